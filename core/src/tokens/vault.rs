//! Private keys at rest: in clear, or encrypted (AES-256-GCM) where the configuration has a key for that.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret as _, SecretBox, SecretSlice};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::records::SigningKeyRow;

/// Opens and closes private keys.
pub(crate) struct Vault(Option<RandomizedNonceKey>);

/// What binds the ciphertext to its row, so that one cannot be put in another's place.
fn bound_to(kid: &str) -> Aad<Vec<u8>> {
    Aad::from([b"causeway signing key\0", kid.as_bytes()].concat())
}

impl Vault {
    /// With this key; none: everything stands in clear.
    pub(crate) fn new(key: Option<&Arc<SecretBox<[u8; 32]>>>) -> Self {
        // Thirty-two bytes always make a key.
        Self(key.and_then(|key| RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret()).ok()))
    }

    /// What stands in the ledger of this private key, and whether that is encrypted.
    pub(crate) fn close(&self, kid: &str, private: &[u8]) -> Result<(SecretSlice<u8>, bool)> {
        let Some(key) = &self.0 else { return Ok((private.to_vec().into(), false)) };
        let mut text = Zeroizing::new(private.to_vec());
        let nonce = key.seal_in_place_append_tag(bound_to(kid), &mut *text).map_err(Error::internal)?;
        Ok(([nonce.as_ref().as_slice(), &text].concat().into(), true))
    }

    /// The private key of a row. None where it is not encrypted as the configuration wants it now: by another key, or not at all.
    pub(crate) fn open(&self, row: &SigningKeyRow) -> Option<Zeroizing<Vec<u8>>> {
        let stored = row.private.expose_secret();
        match (&self.0, row.sealed) {
            (None, false) => Some(Zeroizing::new(stored.to_vec())),
            (Some(key), true) => {
                let (nonce, text) = stored.split_at_checked(NONCE_LEN)?;
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let mut text = Zeroizing::new(text.to_vec());
                let len = key.open_in_place(nonce, bound_to(&row.kid), &mut text).ok()?.len();
                text.truncate(len);
                Some(text)
            }
            (None, true) | (Some(_), false) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn vault(byte: Option<u8>) -> Vault {
        Vault::new(byte.map(|byte| Arc::new(SecretBox::new(Box::new([byte; 32])))).as_ref())
    }

    fn row(kid: &str, (private, sealed): (SecretSlice<u8>, bool)) -> SigningKeyRow {
        SigningKeyRow {
            kid: kid.into(),
            algorithm: "EdDSA".into(),
            public: Vec::new(),
            private,
            sealed,
            created_at: 0,
            signs_from: 0,
            retired_at: None,
        }
    }

    #[test]
    fn a_sealed_key_opens_for_its_own_row_and_vault_alone() {
        let (clear, one, two) = (vault(None), vault(Some(1)), vault(Some(2)));
        let sealed = row("a", one.close("a", b"private").unwrap());
        assert!(sealed.sealed);
        assert!(!sealed.private.expose_secret().windows(7).any(|part| part == b"private"));
        assert_ne!(
            sealed.private.expose_secret(),
            one.close("a", b"private").unwrap().0.expose_secret(),
            "another nonce"
        );
        assert_eq!(one.open(&sealed).unwrap().as_slice(), b"private");
        assert!(two.open(&sealed).is_none() && clear.open(&sealed).is_none());
        assert!(one.open(&SigningKeyRow { kid: "b".into(), ..sealed.clone() }).is_none(), "put into another's place");
        for cut in [0, 5, 12, 20] {
            let part = sealed.private.expose_secret().iter().copied().take(cut).collect::<Vec<_>>();
            assert!(one.open(&row("a", (part.into(), true))).is_none(), "{cut}");
        }
        let open = row("a", clear.close("a", b"private").unwrap());
        assert!(!open.sealed);
        assert_eq!(clear.open(&open).unwrap().as_slice(), b"private");
        assert!(one.open(&open).is_none(), "in clear where it is to be encrypted");
    }
}
