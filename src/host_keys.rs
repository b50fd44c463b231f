//! SSH host keys: the configured ones, or one of each kind that is made once and kept; and their certificates.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use causeway_sftp::{HostCertificate, HostKey, HostKeyKind};
use secrecy::ExposeSecret as _;

use crate::data_dir::{make_folder, write_private};
use crate::failure::{Failure, Outcome};

/// The keys of these files; where there are none, the default ones in the folder, made where they are missing. It may
/// compute for a second: call it where that may be.
pub fn load(configured: &[PathBuf], folder: &Path) -> Outcome<Vec<HostKey>> {
    if configured.is_empty() {
        make_folder(folder)?;
        let made = |kind: &HostKeyKind| load_or_make(&folder.join(format!("ssh_host_{}_key", kind.as_str())), *kind);
        return HostKeyKind::ALL.iter().map(made).collect();
    }
    configured.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Outcome<HostKey> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::configuration(format!(
            "sftp.host_keys: {}: {why}; name a private key without passphrase",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    HostKey::from_openssh(&text).map_err(|e| wrong(&e))
}

/// The certificates of these files. One that clients do not believe today is said in the log: until it is replaced they
/// fall back to what they know of the key itself, or refuse.
pub fn load_certificates(configured: &[PathBuf]) -> Outcome<Vec<HostCertificate>> {
    configured.iter().map(|path| read_certificate(path)).collect()
}

fn read_certificate(path: &Path) -> Outcome<HostCertificate> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::configuration(format!("sftp.host_certificates: {}: {why}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let certificate = HostCertificate::from_openssh(&text).map_err(|e| wrong(&e))?;
    if !certificate.is_valid_at(SystemTime::now()) {
        tracing::warn!(
            path = %path.display(),
            key_id = certificate.key_id(),
            "the host certificate has expired or is not valid yet; have the CA make a new one"
        );
    }
    Ok(certificate)
}

fn load_or_make(path: &Path, kind: HostKeyKind) -> Outcome<HostKey> {
    if path.exists() {
        return read(path);
    }
    let key = HostKey::generate(kind)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    write_private(Path::new(&beside), format!("{}\n", key.public_line()?).as_bytes())?;
    write_private(path, key.to_openssh()?.expose_secret().as_bytes())?;
    tracing::info!(path = %path.display(), fingerprint = key.fingerprint(), "made a host key");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_keys_are_made_once() {
        let root = tempfile::tempdir().unwrap();
        let first = load(&[], root.path()).unwrap();
        let names: Vec<String> = first.iter().map(HostKey::algorithm).collect();
        assert_eq!(names, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
        let prints = |keys: &[HostKey]| keys.iter().map(HostKey::fingerprint).collect::<Vec<_>>();
        assert_eq!(prints(&first), prints(&load(&[], root.path()).unwrap()));
        let named = load(&[root.path().join("ssh_host_ed25519_key")], Path::new("/nowhere")).unwrap();
        assert_eq!(prints(&named), prints(&first[..1]));
    }

    #[test]
    fn a_wrong_file_is_a_configuration_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        std::fs::write(&path, "no key").unwrap();
        assert_eq!(load(std::slice::from_ref(&path), root.path()).unwrap_err().code, 2);
        assert_eq!(load_certificates(&[path]).unwrap_err().code, 2);
    }
}
