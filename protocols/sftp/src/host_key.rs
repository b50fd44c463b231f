//! Host keys and client keys in OpenSSH's formats, so that the daemon can make, keep and show them without knowing the
//! transport (RFC 4253 section 6.6 for the public blobs; OpenSSH's PROTOCOL.key for the private file).

use std::fmt;

use causeway_core::{Error, ErrorKind, Result};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use secrecy::SecretString;

/// The kinds of host key that a gateway has by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKeyKind {
    /// Ed25519 (RFC 8709).
    Ed25519,
    /// ECDSA on NIST P-256 (RFC 5656).
    EcdsaP256,
    /// RSA with 3,072 bits, signing with SHA-2 only (RFC 8332).
    Rsa3072,
}

impl HostKeyKind {
    /// All of them, most preferred first.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::EcdsaP256, Self::Rsa3072];

    /// The name for a file: `ssh_host_<name>_key`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa3072 => "rsa-3072",
        }
    }
}

/// The private key by which the gateway proves itself to clients.
#[derive(Clone)]
pub struct HostKey(PrivateKey);

impl HostKey {
    /// Makes a key. RSA takes up to a second of computing.
    pub fn generate(kind: HostKeyKind) -> Result<Self> {
        let mut rng = safe_rng();
        let key = match kind {
            HostKeyKind::Ed25519 => PrivateKey::random(&mut rng, Algorithm::Ed25519),
            HostKeyKind::EcdsaP256 => PrivateKey::random(&mut rng, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
            HostKeyKind::Rsa3072 => RsaKeypair::random(&mut rng, 3072)
                .and_then(|pair| PrivateKey::new(KeypairData::from(pair), String::new())),
        };
        key.map(Self).map_err(|error| Error::internal(format_args!("making a host key: {error}")))
    }

    /// Reads a private key file. `InvalidArgument` where it is none, has a passphrase, or is of a kind or size that is
    /// not used any more.
    pub fn from_openssh(pem: &str) -> Result<Self> {
        let key = PrivateKey::from_openssh(pem).map_err(|_| {
            invalid("this is no private key in OpenSSH's format; make one with `ssh-keygen -t ed25519 -N ''`")
        })?;
        if key.is_encrypted() {
            return Err(invalid("the host key has a passphrase; remove it with `ssh-keygen -p`"));
        }
        match key.key_data() {
            KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) => {}
            KeypairData::Rsa(pair) if pair.key_size() >= 2048 => {}
            KeypairData::Rsa(_) => return Err(invalid("the RSA host key has fewer than 2048 bits; make a longer one")),
            _ => return Err(invalid("host keys are ed25519, ecdsa or rsa; make one of those")),
        }
        Ok(Self(key))
    }

    /// The private key file.
    pub fn to_openssh(&self) -> Result<SecretString> {
        private_file(&self.0)
    }

    /// `SHA256:…`, as `ssh` shows it at the first connection.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The algorithm's name, `ssh-ed25519` for example.
    pub fn algorithm(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// The public key as in `known_hosts` after the host's name: `ssh-ed25519 AAAA…`.
    pub fn public_line(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// Whether this is its public half.
    pub(crate) fn has_public(&self, key: &KeyData) -> bool {
        self.0.public_key().key_data() == key
    }

    pub(crate) fn into_inner(self) -> PrivateKey {
        self.0
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

/// Makes an Ed25519 key for a client: the private key file, and the line for `authorized_keys`.
pub fn generate_client_key(comment: &str) -> Result<(SecretString, String)> {
    let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)
        .map_err(|error| Error::internal(format_args!("making a client key: {error}")))?;
    key.set_comment(comment);
    Ok((private_file(&key)?, public_line(&key)?))
}

fn private_file(key: &PrivateKey) -> Result<SecretString> {
    key.to_openssh(LineEnding::LF)
        .map(|pem| SecretString::from(pem.as_str()))
        .map_err(|error| Error::internal(format_args!("writing a private key: {error}")))
}

fn public_line(key: &PrivateKey) -> Result<String> {
    key.public_key().to_openssh().map_err(|error| Error::internal(format_args!("writing a public key: {error}")))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::identity::PublicKey;
    use secrecy::ExposeSecret;

    #[test]
    fn keys_are_written_and_read_back() {
        for kind in HostKeyKind::ALL {
            let key = HostKey::generate(kind).unwrap();
            let file = key.to_openssh().unwrap();
            assert!(file.expose_secret().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
            let again = HostKey::from_openssh(file.expose_secret()).unwrap();
            assert_eq!(again.fingerprint(), key.fingerprint());
            assert_eq!(again.public_line().unwrap(), key.public_line().unwrap());
            assert!(key.fingerprint().starts_with("SHA256:"));
            let line = PublicKey::from_line(&key.public_line().unwrap()).unwrap();
            assert_eq!(line.blob, key.0.public_key().to_bytes().unwrap());
        }
        assert!(HostKey::from_openssh("nonsense").is_err());
    }

    #[test]
    fn a_client_key_is_a_line_and_a_file() {
        let (private, line) = generate_client_key("demo").unwrap();
        assert!(line.starts_with("ssh-ed25519 ") && line.ends_with(" demo"));
        assert!(PublicKey::from_line(&line).is_some());
        assert!(HostKey::from_openssh(private.expose_secret()).is_ok());
    }
}
