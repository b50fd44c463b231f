//! Signed heads and cuts (contract, `events.md`, "Audit"): Ed25519 (RFC 8032) over canonical JSON (RFC 8785).
//!
//! A chain by itself cannot tell that its end was cut off, or that all of it was made anew by somebody who can write the
//! database. A head can, where the key that signed it is not in the database and a copy of it is kept elsewhere.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::canonical::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::events::timestamp;
use crate::records::{AuditHead, HeadKind, Micros, since_epoch};

/// What the `type` of a line begins with: nothing else that the gateway signs looks like it.
const TYPE: &str = "causeway.audit.";

/// The key that heads are signed by.
pub struct HeadKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadKey({})", STANDARD.encode(self.public))
    }
}

impl HeadKey {
    /// The key that grows from a seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// Of the cryptographic library.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(Error::internal)?;
        let public = pair.public_key().as_ref().try_into().map_err(Error::internal)?;
        Ok(Self { pair, public })
    }

    /// The public part, by which signatures are verified.
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Signs a statement about a place of a chain.
    ///
    /// # Errors
    /// Of the cryptographic library.
    pub fn sign(&self, kind: HeadKind, (chain, seq): (&str, i64), hash: [u8; 32], at: Micros) -> Result<AuditHead> {
        let (chain, key) = (chain.to_owned(), self.public);
        let mut head = AuditHead { kind, chain, seq, hash, at, key, signature: Vec::new() };
        head.signature = self.pair.try_sign(&head.message()).map_err(Error::internal)?.as_ref().to_vec();
        Ok(head)
    }
}

impl AuditHead {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("type", format!("{TYPE}{}", self.kind.as_str()).into()),
            ("chain", self.chain.as_str().into()),
            ("seq", u64::try_from(self.seq).unwrap_or(0).into()),
            ("hash", hex::encode(self.hash).into()),
            ("signed_at", timestamp(self.at).into()),
            ("key", STANDARD.encode(self.key).into()),
        ]
    }

    /// The bytes that are signed: the line without its signature, as canonical JSON.
    pub fn message(&self) -> Vec<u8> {
        Value::Object(self.fields()).to_canonical()
    }

    /// Whether its own key has signed it. Whether that key may is another question.
    pub fn is_signed(&self) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(&self.message(), &self.signature).is_ok()
    }

    /// One line of JSON, without its end.
    pub fn to_line(&self) -> String {
        let mut fields = self.fields();
        fields.push(("signature", STANDARD.encode(&self.signature).into()));
        Value::Object(fields).to_json()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// `InvalidArgument`: it is none.
    pub fn parse(line: &str) -> Result<Self> {
        Self::read(line).ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "this is no signed head of a chain"))
    }

    fn read(line: &str) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| json.get(name)?.as_str();
        let bytes = |name: &str| STANDARD.decode(text(name)?).ok();
        let word = text("type")?.strip_prefix(TYPE)?;
        let kind = [HeadKind::Head, HeadKind::Cut].into_iter().find(|kind| kind.as_str() == word)?;
        let moment = OffsetDateTime::parse(text("signed_at")?, &Rfc3339).ok()?;
        Some(Self {
            kind,
            chain: text("chain")?.to_owned(),
            seq: json.get("seq")?.as_i64()?,
            hash: hex::decode(text("hash")?).ok()?.try_into().ok()?,
            at: since_epoch(moment),
            key: bytes("key")?.try_into().ok()?,
            signature: bytes("signature")?,
        })
    }
}

/// What is known outside of the database: whose signatures count, and heads that were kept elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Public keys whose heads and cuts count.
    pub keys: Vec<[u8; 32]>,
    /// Heads and cuts that the database does not have to show.
    pub kept: Vec<AuditHead>,
}

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A known key has made it.
    Good,
    /// Its key has made it, but nobody knows that key here.
    Unknown,
    /// Its key has not made it.
    Forged,
}

impl Trust {
    /// Whether a head counts that is signed as it says.
    pub fn knows_key_of(&self, head: &AuditHead) -> bool {
        self.keys.contains(&head.key)
    }

    /// What the signature of a head is worth.
    pub(crate) fn worth(&self, head: &AuditHead) -> Worth {
        if !head.is_signed() {
            Worth::Forged
        } else if self.knows_key_of(head) {
            Worth::Good
        } else {
            Worth::Unknown
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head() -> AuditHead {
        let key = HeadKey::from_seed(&[7; 32]).unwrap();
        key.sign(HeadKind::Head, ("acme", 12), [0xab; 32], 1_764_000_000_123_456).unwrap()
    }

    #[test]
    fn what_is_signed_is_canonical() {
        let expected = format!(
            "{{\"chain\":\"acme\",\"hash\":\"{}\",\"key\":\"{}\",\"seq\":12,\"signed_at\":\"2025-11-24T16:00:00.123456Z\",\
             \"type\":\"causeway.audit.head\"}}",
            "ab".repeat(32),
            STANDARD.encode(head().key),
        );
        assert_eq!(String::from_utf8(head().message()).unwrap(), expected);
    }

    #[test]
    fn a_line_comes_back() {
        let head = head();
        assert!(head.is_signed());
        let line = head.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(AuditHead::parse(&line).unwrap(), head);
        for bad in ["", "{}", "[]", &line.replace("audit.head", "audit.tail"), &line.replace("abab", "xbab")] {
            assert!(AuditHead::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_change_of_it_breaks_the_signature() {
        let other = HeadKey::from_seed(&[8; 32]).unwrap();
        assert!(!format!("{other:?}").contains(&STANDARD.encode([8; 32])), "the seed is not shown");
        let head = head();
        for changed in [
            AuditHead { kind: HeadKind::Cut, ..head.clone() },
            AuditHead { chain: "acmf".into(), ..head.clone() },
            AuditHead { seq: 11, ..head.clone() },
            AuditHead { hash: [0xac; 32], ..head.clone() },
            AuditHead { at: head.at + 1, ..head.clone() },
            AuditHead { key: other.public(), ..head.clone() },
            AuditHead { signature: vec![0; 64], ..head.clone() },
            AuditHead { signature: Vec::new(), ..head.clone() },
        ] {
            assert!(!changed.is_signed(), "{changed:?}");
        }
    }

    #[test]
    fn a_signature_is_worth_what_its_key_is() {
        let head = head();
        let knows = Trust { keys: vec![head.key], kept: Vec::new() };
        assert_eq!(knows.worth(&head), Worth::Good);
        assert_eq!(Trust::default().worth(&head), Worth::Unknown);
        assert_eq!(knows.worth(&AuditHead { seq: 13, ..head }), Worth::Forged);
    }
}
