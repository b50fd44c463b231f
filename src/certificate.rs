//! The gateway's TLS certificate: the configured one, or a development certificate that is made once and kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client_certificates::handshake::{AnyClient, Asked};
use crate::config::node::host_name;
use crate::config::tls::{MinVersion, Tls};
use crate::data_dir::{make_folder, write_private};
use crate::failure::{Failure, Outcome};

/// A certificate chain and its key on disk.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM chain.
    pub chain: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// The development certificate's authority, for clients to trust.
pub fn development_ca(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// The development certificate in a folder, made where it is missing: for `localhost`, 127.0.0.1, ::1 and the host's
/// name, under an authority of its own whose key is thrown away.
pub fn development(folder: &Path) -> Outcome<Files> {
    let files = Files { chain: folder.join("server.pem"), key: folder.join("server.key") };
    if files.chain.exists() && files.key.exists() && development_ca(folder).exists() {
        return Ok(files);
    }
    make_folder(folder)?;
    let made = make().map_err(|e| Failure::step("the development certificate cannot be made", e))?;
    // The chain comes last: only with it is the set complete.
    write_private(&development_ca(folder), made.ca.as_bytes())?;
    write_private(&files.key, made.key.as_bytes())?;
    write_private(&files.chain, made.chain.as_bytes())?;
    tracing::info!(folder = %folder.display(), "made a development certificate");
    Ok(files)
}

struct Made {
    ca: String,
    chain: String,
    key: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let now = OffsetDateTime::now_utc();
    let lifetime = |params: &mut CertificateParams| {
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(3650);
    };
    let named = |name: &str| {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        subject
    };
    let mut authority = CertificateParams::default();
    authority.distinguished_name = named("causeway development CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lifetime(&mut authority);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut names = vec!["localhost".to_owned()];
    let host = host_name();
    // A host's name that is no DNS name is left out rather than refused.
    if host != "localhost" && CertificateParams::new(vec![host.clone()]).is_ok() {
        names.push(host);
    }
    let mut server = CertificateParams::new(names)?;
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        server.subject_alt_names.push(SanType::IpAddress(ip));
    }
    server.distinguished_name = named("causeway development server");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    lifetime(&mut server);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    Ok(Made {
        ca: authority.pem(),
        chain: format!("{}{}", certificate.pem(), authority.pem()),
        key: key.serialize_pem(),
    })
}

/// What the listeners of the API and of FTPS speak: TLS from the lowest version on; for the API, HTTP/2 before HTTP/1.1
/// (RFC 7301), which FTPS leaves out. `asked`: whether clients are asked for a certificate.
pub fn server_config(tls: &Tls, development_folder: &Path, asked: Asked) -> Outcome<Arc<ServerConfig>> {
    let files = match &tls.files {
        Some((chain, key)) => Files { chain: chain.clone(), key: key.clone() },
        None => development(development_folder)?,
    };
    let chain =
        CertificateDer::pem_file_iter(&files.chain).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|e| {
            Failure::configuration(format!("tls.certificate: {}: {e}; name a PEM file", files.chain.display()))
        })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| {
        Failure::configuration(format!("tls.private_key: {}: {e}; name a PEM file", files.key.display()))
    })?;
    let versions: &[&rustls::SupportedProtocolVersion] = match tls.min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let wrong = |e: rustls::Error| {
        Failure::configuration(format!(
            "tls: {} and {} do not go together: {e}",
            files.chain.display(),
            files.key.display()
        ))
    };
    let provider = aws_lc_rs::default_provider();
    let clients = AnyClient::asking(asked, provider.signature_verification_algorithms);
    let builder =
        ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).map_err(wrong)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// When the first certificate of a chain ends, in seconds since 1970; none: that cannot be read.
pub fn not_after(chain: &Path) -> Option<i64> {
    let first = CertificateDer::pem_file_iter(chain).ok()?.next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// How often the files are looked at.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// What tells that a file was written anew.
type Trace = Option<(std::time::SystemTime, u64)>;

fn trace(path: &Path) -> Trace {
    std::fs::metadata(path).ok().and_then(|m| m.modified().ok().map(|at| (at, m.len())))
}

/// What a listener is to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The certificate and the versions.
    pub tls: Tls,
    /// Whether clients are asked for a certificate.
    pub asked: Asked,
}

impl Wanted {
    /// The files of its chain and its key.
    pub fn files(&self, development_folder: &Path) -> (PathBuf, PathBuf) {
        match &self.tls.files {
            Some((chain, key)) => (chain.clone(), key.clone()),
            None => (development_folder.join("server.pem"), development_folder.join("server.key")),
        }
    }
}

/// The same, kept up to date with its files and with what is wanted: connections that come after a change get the new certificate,
/// those that are there stay as they are. Files that are wrong, or not yet whole, change nothing and are told in the log.
pub fn live(
    mut wanted: watch::Receiver<Wanted>,
    development_folder: &Path,
) -> Outcome<watch::Receiver<Arc<ServerConfig>>> {
    let mut want = wanted.borrow_and_update().clone();
    let (current, seen) = watch::channel(server_config(&want.tls, development_folder, want.asked)?);
    let folder = development_folder.to_owned();
    let (mut chain, mut key) = want.files(&folder);
    let mut known = (trace(&chain), trace(&key));
    tokio::spawn(async move {
        loop {
            let other = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                Ok(()) = wanted.changed() => true,
                () = current.closed() => return,
            };
            if other {
                want = wanted.borrow_and_update().clone();
                (chain, key) = want.files(&folder);
            }
            let now = (trace(&chain), trace(&key));
            if !other && (now == known || now.0.is_none() || now.1.is_none()) {
                continue;
            }
            known = now;
            match server_config(&want.tls, &folder, want.asked) {
                Ok(config) => {
                    tracing::info!(chain = %chain.display(), "the certificate is taken anew");
                    // The receivers were there a moment ago; where they are gone nobody needs it.
                    let _ = current.send(config);
                }
                Err(failure) => {
                    tracing::error!(error = %failure.message, "the changed certificate cannot be used; the one of before stays");
                }
            }
        }
    });
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_certificate_is_made_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("certs");
        let tls = Tls { files: None, min_version: MinVersion::Tls13 };
        server_config(&tls, &folder, Asked::Off).unwrap();
        let first = std::fs::read(folder.join("server.pem")).unwrap();
        let config = server_config(&tls, &folder, Asked::Optional).unwrap();
        assert_eq!(std::fs::read(folder.join("server.pem")).unwrap(), first);
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        let years =
            (not_after(&folder.join("server.pem")).unwrap() - OffsetDateTime::now_utc().unix_timestamp()) / 31_536_000;
        assert!((9..=10).contains(&years), "{years}");
        assert_eq!(not_after(&folder.join("server.key")), None);
    }

    #[test]
    fn a_wrong_file_is_a_configuration_error() {
        let root = tempfile::tempdir().unwrap();
        let text = root.path().join("text");
        std::fs::write(&text, "no pem").unwrap();
        let tls = Tls { files: Some((text.clone(), text)), min_version: MinVersion::Tls12 };
        assert_eq!(server_config(&tls, root.path(), Asked::Off).unwrap_err().code, 2);
    }
}
