//! Tickets for the client of a resumed data connection, and for nobody else.
//!
//! Whether a session is resumed is decided with the ClientHello; where a HelloRetryRequest is needed (RFC 8446 section 4.1.4),
//! with the second one, behind which nobody is asked any more before tickets go out. But a server that resumes a session
//! proves itself by that session, and one that does not signs with its certificate's key (section 2.2): where that key was asked
//! for, no ticket of the control connection's is handed out, as the next connection could be resumed with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};

/// The settings of one connection that gets tickets only if it resumes a session.
pub(crate) fn for_resumed_only(config: &ServerConfig) -> Arc<ServerConfig> {
    let signs = Arc::new(AtomicBool::new(false));
    let mut config = config.clone();
    config.ticketer = Arc::new(Tickets { inner: config.ticketer, signs: signs.clone() });
    config.cert_resolver = Arc::new(Certificates { inner: config.cert_resolver, signs });
    Arc::new(config)
}

#[derive(Debug)]
struct Tickets {
    inner: Arc<dyn ProducesTickets>,
    signs: Arc<AtomicBool>,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if self.signs.load(Ordering::Acquire) { None } else { self.inner.encrypt(plain) }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.inner.decrypt(cipher)
    }
}

#[derive(Debug)]
struct Certificates {
    inner: Arc<dyn ResolvesServerCert>,
    signs: Arc<AtomicBool>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let resolved = self.inner.resolve(client_hello)?;
        let key = Arc::new(Key { inner: resolved.key.clone(), signs: self.signs.clone() });
        Some(Arc::new(CertifiedKey { cert: resolved.cert.clone(), key, ocsp: resolved.ocsp.clone() }))
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }
}

#[derive(Debug)]
struct Key {
    inner: Arc<dyn SigningKey>,
    signs: Arc<AtomicBool>,
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.signs.store(true, Ordering::Release);
        self.inner.choose_scheme(offered)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.inner.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
}
