//! Whom the gateway believes where it is the client: the certificates of a file.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::failure::{Failure, Outcome};

/// The certificates (PEM) of the file that a key of the configuration names. Fails where it cannot be read, or holds none.
pub fn roots(path: &Path, key: &str) -> Outcome<RootCertStore> {
    let failed = |why: &dyn std::fmt::Display| Failure::configuration(format!("{key}: {}: {why}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| failed(&e))?;
    if certificates.is_empty() {
        return Err(failed(&"it holds no certificate"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|e| failed(&e))?;
    }
    Ok(roots)
}
