//! The keys that the gateway signs by: when which one signs, and which are to be believed.
//!
//! A key is published before it signs, so that whoever keeps the published set for a while knows it by then; and it is believed until the last
//! token that it can have signed has ended. Only the first key, and one that takes the place of a key that cannot be used any more,
//! sign at once.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::algorithm::{Algorithm, PublicKeyOf};
use super::vault::Vault;
use super::{LEEWAY, TOKEN_LIFE};
use crate::error::{Error, Result};
use crate::records::{Micros, SigningKeyRow, micros};

/// The algorithm that the gateway signs by, as tokens name it (RFC 8037 section 3.1).
pub(super) const SIGNS_BY: &str = "EdDSA";
/// A key is made this long before it signs, or a quarter of the rotation, if that is less.
const PUBLISHED_BEFORE: Duration = Duration::from_hours(24);
/// How much longer than its last token a key is believed: a node may learn of its successor this much later.
const SLACK: Duration = Duration::from_mins(2);

/// How long a key is believed after its successor has begun to sign.
pub(super) fn outlives() -> i64 {
    micros(TOKEN_LIFE + SLACK).saturating_add(LEEWAY.saturating_mul(1_000_000))
}

/// A key of the ledger, ready to be used.
pub(super) struct Key {
    pub(super) kid: String,
    /// As published.
    pub(super) algorithm: String,
    verifies_by: Algorithm,
    public: PublicKeyOf,
    /// None where the private part cannot be read here.
    pair: Option<Ed25519KeyPair>,
    created_at: Micros,
    signs_from: Micros,
    retired_at: Option<Micros>,
}

impl Key {
    fn of(row: &SigningKeyRow, vault: &Vault) -> Option<Self> {
        let verifies_by = Algorithm::parse(&row.algorithm)?;
        let public = match verifies_by {
            Algorithm::EdDsa => PublicKeyOf::Ed25519(row.public.clone()),
            Algorithm::Es256 => PublicKeyOf::P256(row.public.clone()),
            Algorithm::Es384 | Algorithm::Rs(_) | Algorithm::Ps(_) => return None,
        };
        Some(Self {
            kid: row.kid.clone(),
            algorithm: row.algorithm.clone(),
            verifies_by,
            public,
            pair: usable(row, vault),
            created_at: row.created_at,
            signs_from: row.signs_from,
            retired_at: row.retired_at,
        })
    }

    /// Whether this is the key's signature, by the key's own algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm == self.verifies_by && self.public.verifies(self.verifies_by, message, signature)
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let pair = self.pair.as_ref().ok_or_else(|| Error::internal("a key without its private part is to sign"))?;
        Ok(pair.try_sign(message).map_err(Error::internal)?.as_ref().to_vec())
    }

    /// The key as it is published.
    pub(super) fn to_jwk(&self) -> serde_json::Value {
        self.public.to_jwk(&self.kid, &self.algorithm)
    }
}

/// The pair of a row, where this process can sign by it.
fn usable(row: &SigningKeyRow, vault: &Vault) -> Option<Ed25519KeyPair> {
    if row.algorithm != SIGNS_BY {
        return None;
    }
    let pair = Ed25519KeyPair::from_pkcs8(&vault.open(row)?).ok()?;
    (pair.public_key().as_ref() == row.public).then_some(pair)
}

/// The keys of the ledger at a moment.
#[derive(Default)]
pub(super) struct KeyRing(Vec<Arc<Key>>);

impl KeyRing {
    /// Of these rows. One that cannot be read is left out.
    pub(super) fn of(rows: &[SigningKeyRow], vault: &Vault) -> Self {
        Self(rows.iter().filter_map(|row| Key::of(row, vault).map(Arc::new)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that signs now.
    pub(super) fn signer(&self, now: Micros) -> Option<&Arc<Key>> {
        let may = |key: &&Arc<Key>| key.pair.is_some() && key.signs_from <= now && outlasts(key.retired_at, now);
        self.0.iter().filter(may).max_by_key(|key| (key.signs_from, key.created_at))
    }

    /// The key with this id, where it is to be believed now.
    pub(super) fn find(&self, kid: &str, now: Micros) -> Option<&Arc<Key>> {
        self.published(now).find(|key| key.kid == kid)
    }

    /// When the next key has to sign, where one has to be made now.
    pub(super) fn next(&self, now: Micros, rotation: Duration) -> Option<Micros> {
        let mine = || self.0.iter().filter(|key| key.pair.is_some() && outlasts(key.retired_at, now));
        let newest = mine().map(|key| key.signs_from).max().filter(|_| mine().any(|key| key.signs_from <= now));
        let Some(newest) = newest else { return Some(now) };
        let before = micros(PUBLISHED_BEFORE.min(rotation / 4));
        let due = newest.saturating_add(micros(rotation));
        (due.saturating_sub(before) <= now).then(|| due.max(now.saturating_add(before)))
    }

    /// The keys that are to be believed now, or soon.
    pub(super) fn published(&self, now: Micros) -> impl Iterator<Item = &Arc<Key>> {
        self.0.iter().filter(move |key| key.retired_at.is_none_or(|at| at > now))
    }
}

/// Whether what is signed now ends before its key.
fn outlasts(retired_at: Option<Micros>, now: Micros) -> bool {
    retired_at.is_none_or(|at| at.saturating_sub(now) > micros(TOKEN_LIFE))
}

/// A new key that signs from that moment on.
pub(super) fn generate(now: Micros, signs_from: Micros, vault: &Vault) -> Result<SigningKeyRow> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(Error::internal)?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(Error::internal)?;
    let public = pair.public_key().as_ref().to_vec();
    let kid = PublicKeyOf::Ed25519(public.clone()).thumbprint();
    let (private, sealed) = vault.close(&kid, document.as_ref())?;
    let algorithm = SIGNS_BY.to_owned();
    Ok(SigningKeyRow { kid, algorithm, public, private, sealed, created_at: now, signs_from, retired_at: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use secrecy::SecretBox;

    const HOUR: i64 = 3_600_000_000;
    const ROTATION: Duration = Duration::from_hours(720);

    fn next(rows: &[SigningKeyRow], now: Micros, rotation: Duration, vault: &Vault) -> Option<Micros> {
        KeyRing::of(rows, vault).next(now, rotation)
    }

    #[test]
    fn keys_follow_each_other_without_a_gap() {
        let vault = Vault::new(None);
        let mut rows = Vec::new();
        assert_eq!(next(&rows, 0, ROTATION, &vault), Some(0), "the first one signs at once");
        rows.push(generate(0, 0, &vault).unwrap());
        assert_eq!(next(&rows, 0, ROTATION, &vault), None);
        assert_eq!(next(&rows, 695 * HOUR, ROTATION, &vault), None);
        assert_eq!(next(&rows, 696 * HOUR, ROTATION, &vault), Some(720 * HOUR), "published a day before it signs");
        assert_eq!(next(&rows, 900 * HOUR, ROTATION, &vault), Some(924 * HOUR), "however late that is");
        let signs_from = 720 * HOUR;
        rows.push(generate(696 * HOUR, signs_from, &vault).unwrap());
        rows[0].retired_at = Some(signs_from + outlives());
        assert_eq!(next(&rows, 700 * HOUR, ROTATION, &vault), None);

        let ring = KeyRing::of(&rows, &vault);
        let signer = |now| ring.signer(now).map(|key| key.kid.clone());
        assert_eq!(signer(signs_from - 1), Some(rows[0].kid.clone()));
        assert_eq!(signer(signs_from), Some(rows[1].kid.clone()));
        let end = signs_from + outlives();
        assert!(ring.find(&rows[0].kid, end - 1).is_some() && ring.find(&rows[0].kid, end).is_none());
        assert_eq!(ring.published(697 * HOUR).count(), 2);
        assert_eq!(ring.published(end).count(), 1);
        assert!(ring.find("../etc/passwd", 0).is_none());
    }

    #[test]
    fn a_key_that_cannot_be_used_is_replaced_at_once() {
        let (clear, sealed) = (Vault::new(None), Vault::new(Some(&Arc::new(SecretBox::new(Box::new([3; 32]))))));
        let old = generate(0, 0, &clear).unwrap();
        assert_eq!(next(std::slice::from_ref(&old), HOUR, ROTATION, &sealed), Some(HOUR), "it stands there in clear");
        let ring = KeyRing::of(std::slice::from_ref(&old), &sealed);
        assert!(ring.signer(HOUR).is_none() && ring.find(&old.kid, HOUR).is_some(), "and is believed");
        let retired = SigningKeyRow { retired_at: Some(HOUR), ..old.clone() };
        assert_eq!(next(&[retired], HOUR, ROTATION, &clear), Some(HOUR));
        let other = SigningKeyRow { public: vec![7; 32], ..old };
        assert_eq!(next(&[other], HOUR, ROTATION, &clear), Some(HOUR), "its halves do not belong together");
    }

    #[test]
    fn what_a_key_signs_it_verifies() {
        let vault = Vault::new(None);
        let rows = [generate(0, 0, &vault).unwrap(), generate(0, HOUR, &vault).unwrap()];
        let ring = KeyRing::of(&rows, &vault);
        let (key, other) = (ring.signer(1).unwrap(), ring.find(&rows[1].kid, 1).unwrap());
        let signature = key.sign(b"message").unwrap();
        assert!(key.verifies(Algorithm::EdDsa, b"message", &signature));
        assert!(!key.verifies(Algorithm::Es256, b"message", &signature), "the algorithm is the key's");
        assert!(!other.verifies(Algorithm::EdDsa, b"message", &signature));
        assert!(!key.verifies(Algorithm::EdDsa, b"massage", &signature));
        let jwk = key.to_jwk();
        assert_eq!(
            (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"]),
            (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into(), &"sig".into())
        );
        let names: Vec<&String> = jwk.as_object().unwrap().keys().collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"], "public parts alone");
    }
}
