//! The handshake's part: a certificate is asked for, and the client proves that it holds the key. Who signed it, and whether
//! it counts, is asked at the login, where the tenant is known: a fingerprint may be one of a certificate without any CA, and
//! no client should learn from an alert which CAs there are.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

/// Whether clients are asked for a certificate (`client_certificates` of `[ftps]` and `[api]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// They are not.
    Off,
    /// They are, and may do without.
    Optional,
    /// Without one there is no connection, and one that the tenant does not know lets nobody in.
    Required,
}

/// Takes any certificate whose key the client holds.
#[derive(Debug)]
pub struct AnyClient {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    /// For a listener that asks in this way; none where it does not ask.
    pub fn asking(asked: Asked, algorithms: WebPkiSupportedAlgorithms) -> Option<Arc<dyn ClientCertVerifier>> {
        match asked {
            Asked::Off => None,
            Asked::Optional => Some(Arc::new(Self { mandatory: false, algorithms })),
            Asked::Required => Some(Arc::new(Self { mandatory: true, algorithms })),
        }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // With a hint clients would keep a certificate back that is known by its fingerprint, and all would learn the CAs.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match webpki::EndEntityCert::try_from(end_entity) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
