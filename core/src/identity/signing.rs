//! What the requests of an API key are signed with, and whether one is signed as its key wants it: HTTP Message Signatures
//! (RFC 9421, section 3.2, "Verifying a Signature"), and the plain HMAC of a body that `X-Signature` carries.
//!
//! A front end reads what was signed ([`SignedRequest`]); here it is decided what that is worth.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// What stands before the base64 of a secret that is no text.
const ENCODED: &str = "base64:";
/// Bytes of a secret at least: as many as HMAC-SHA-256 brings out (RFC 2104 section 3).
const MIN_SECRET: usize = 32;
/// Keys of one API key at most: each is tried.
pub const MAX_SIGNATURE_KEYS: usize = 8;
/// The DER of a public key up to its bytes (RFC 8410 section 4, RFC 5480 section 2).
const ED25519_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Which signature the requests of a key must have (`require_signature`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureRule {
    /// None. One that is sent must be right all the same.
    #[default]
    Off,
    /// Either kind.
    Any,
    /// An HTTP Message Signature.
    Message,
}

impl SignatureRule {
    /// The word in the configuration and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Any => "any",
            Self::Message => "message",
        }
    }
}

impl From<bool> for SignatureRule {
    /// `true` is the strong kind.
    fn from(required: bool) -> Self {
        if required { Self::Message } else { Self::Off }
    }
}

/// How a signature is made (RFC 9421 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// `hmac-sha256` (section 3.3.3).
    HmacSha256,
    /// `ed25519` (section 3.3.6).
    Ed25519,
    /// `ecdsa-p256-sha256` (section 3.3.4).
    EcdsaP256Sha256,
}

impl SignatureAlgorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::Ed25519, Self::EcdsaP256Sha256];

    /// The name in the registry of HTTP signature algorithms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// A public key that requests are signed with. It means one algorithm, so that no signature can be passed off as one of
/// another. As a text (and in JSON) it is what stands in a PEM file between its two lines.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignatureKey {
    algorithm: SignatureAlgorithm,
    bytes: Vec<u8>,
}

impl SignatureKey {
    /// Reads a public key: PEM (`BEGIN PUBLIC KEY`), the base64 of its DER, or the base64 of the 32 bytes of an Ed25519 key.
    /// Ed25519 and ECDSA on P-256; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let inner = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
            Some(rest) => rest.trim_end().strip_suffix("-----END PUBLIC KEY-----")?,
            None => text,
        };
        let inner: String = inner.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(inner).ok()?;
        if let Some(key) = bytes.strip_prefix(ED25519_HEAD) {
            return (key.len() == 32).then(|| Self { algorithm: SignatureAlgorithm::Ed25519, bytes: key.to_vec() });
        }
        if let Some(point) = bytes.strip_prefix(P256_HEAD) {
            let whole = point.len() == 65 && point.first() == Some(&4);
            return whole.then(|| Self { algorithm: SignatureAlgorithm::EcdsaP256Sha256, bytes: point.to_vec() });
        }
        (bytes.len() == 32).then_some(Self { algorithm: SignatureAlgorithm::Ed25519, bytes })
    }

    /// The one algorithm that it is for.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let done = match self.algorithm {
            SignatureAlgorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature),
            SignatureAlgorithm::EcdsaP256Sha256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes).verify(message, signature)
            }
            // No public key is made for it.
            SignatureAlgorithm::HmacSha256 => return false,
        };
        done.is_ok()
    }
}

impl fmt::Display for SignatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match self.algorithm {
            SignatureAlgorithm::Ed25519 => ED25519_HEAD,
            SignatureAlgorithm::EcdsaP256Sha256 => P256_HEAD,
            SignatureAlgorithm::HmacSha256 => &[],
        };
        f.write_str(&STANDARD.encode([head, &self.bytes].concat()))
    }
}

impl fmt::Debug for SignatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureKey({self})")
    }
}

impl TryFrom<String> for SignatureKey {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        Self::parse(&text).ok_or("is no public key of Ed25519 or ECDSA on P-256")
    }
}

impl From<SignatureKey> for String {
    fn from(key: SignatureKey) -> Self {
        key.to_string()
    }
}

/// Whether this text can be a signing secret: `base64:` and base64, or any text, of 32 bytes at least.
pub fn check_signing_secret(secret: &SecretString) -> Result<()> {
    let wrong = |message| Error::new(ErrorKind::InvalidArgument, message);
    let key = secret_bytes(secret).ok_or_else(|| wrong("begins with base64:, but base64 does not follow"))?;
    if key.len() < MIN_SECRET {
        return Err(wrong("is too short; give it 32 bytes at least (`openssl rand -hex 32`)"));
    }
    Ok(())
}

fn secret_bytes(secret: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose_secret();
    let bytes = match text.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    Some(Zeroizing::new(bytes))
}

/// What the requests of an API key are signed with.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// Which signature they must have.
    pub require: SignatureRule,
    /// The secret of `hmac-sha256` and of `X-Signature` (see [`check_signing_secret`]).
    pub secret: Option<SecretString>,
    /// The keys of the other algorithms; a signature by any of them will do.
    pub keys: Vec<SignatureKey>,
}

impl Signing {
    fn mac(&self) -> Option<Hmac<Sha256>> {
        let key = secret_bytes(self.secret.as_ref()?)?;
        Hmac::<Sha256>::new_from_slice(&key).ok()
    }

    /// Whether something of it made this signature of this message, by that algorithm where one is named.
    fn verifies(&self, algorithm: Option<SignatureAlgorithm>, message: &[u8], signature: &[u8]) -> bool {
        let wanted = |one| algorithm.is_none_or(|named| named == one);
        if wanted(SignatureAlgorithm::HmacSha256)
            && let Some(mut mac) = self.mac()
        {
            mac.update(message);
            if bool::from(mac.finalize().into_bytes().as_slice().ct_eq(signature)) {
                return true;
            }
        }
        self.keys.iter().any(|key| wanted(key.algorithm) && key.verifies(message, signature))
    }

    const fn has_any(&self) -> bool {
        self.secret.is_some() || !self.keys.is_empty()
    }
}

/// One HTTP Message Signature of a request, as its front end has read it.
#[derive(Clone, Debug, Default)]
pub struct MessageSignature {
    /// Its name in the request.
    pub label: String,
    /// `keyid`.
    pub key_id: Option<String>,
    /// `alg`.
    pub algorithm: Option<String>,
    /// `created`, in seconds since 1970.
    pub created: Option<i64>,
    /// `expires`, in seconds since 1970.
    pub expires: Option<i64>,
    /// The signature base (section 2.5). Several where the gateway is known by several URLs: the one that the client called.
    pub bases: Vec<Vec<u8>>,
    /// The signature.
    pub signature: Vec<u8>,
    /// What of the request it would have to cover, and does not.
    pub uncovered: Vec<String>,
}

/// What a request shows to prove that nobody has changed it.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// The HTTP Message Signatures.
    pub messages: Vec<MessageSignature>,
    /// The HMAC-SHA-256 of the body alone (`X-Signature`).
    pub plain: Option<[u8; 32]>,
    /// Why it cannot be read, in a sentence for its client.
    pub fault: Option<Cow<'static, str>>,
    /// Whether it would change something, so that it counts once.
    pub changes: bool,
    /// How far `created` may be from now, either way.
    pub window: Duration,
}

/// The HMAC of a body that is still to come.
pub struct BodyMac {
    mac: Hmac<Sha256>,
    claimed: [u8; 32],
}

impl BodyMac {
    /// Adds bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        self.mac.update(data);
    }

    /// Whether the whole body is the one that was signed.
    pub fn is_right(self) -> bool {
        self.mac.finalize().into_bytes().as_slice().ct_eq(&self.claimed).into()
    }
}

impl fmt::Debug for BodyMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyMac")
    }
}

/// What the signatures of a request are worth: they are right, as far as can be said without its body.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// What the body must be.
    pub(crate) mac: Option<BodyMac>,
    /// The SHA-256 of what each signature signed, and until when (seconds since 1970) it must not count again.
    pub(crate) signed: Vec<([u8; 32], i64)>,
}

fn refused(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unauthenticated, why)
}

/// Judges the signatures of a request with this API key; none: it has none. `now` in seconds since 1970. Every one that is there
/// must be right, recent and cover enough; and there must be one, where the key wants it.
pub(crate) fn examine(key: &str, signing: &Signing, request: Option<&SignedRequest>, now: i64) -> Result<Examined> {
    let Some(request) = request else {
        return match signing.require {
            SignatureRule::Off => Ok(Examined::default()),
            SignatureRule::Any => Err(refused(
                "requests with this API key must be signed; send `Signature-Input` and `Signature` (RFC 9421), or `X-Signature`",
            )),
            SignatureRule::Message => Err(refused(
                "requests with this API key must be signed; send `Signature-Input` and `Signature` (RFC 9421)",
            )),
        };
    };
    if let Some(fault) = &request.fault {
        return Err(refused(fault.clone()));
    }
    if !signing.has_any() {
        return Err(refused(
            "this API key has no `signing_secret` and no `signature_keys` that a signature could be checked with; leave the signature out",
        ));
    }
    let mut examined = Examined::default();
    for message in &request.messages {
        examined.signed.push(examine_message(key, signing, message, request.window, now)?);
    }
    if let Some(claimed) = request.plain {
        let mac = signing.mac().ok_or_else(|| {
            refused("this API key has no `signing_secret` that `X-Signature` could be checked with; leave it out")
        })?;
        examined.mac = Some(BodyMac { mac, claimed });
    }
    if request.messages.is_empty() && request.plain.is_none() {
        return Err(refused("the signature fields of the request have nothing in them; sign it, or leave them out"));
    }
    match signing.require {
        SignatureRule::Message if request.messages.is_empty() => Err(refused(
            "`X-Signature` is not enough for this API key; send `Signature-Input` and `Signature` (RFC 9421)",
        )),
        SignatureRule::Off | SignatureRule::Any | SignatureRule::Message => Ok(examined),
    }
}

fn examine_message(
    key: &str,
    signing: &Signing,
    message: &MessageSignature,
    window: Duration,
    now: i64,
) -> Result<([u8; 32], i64)> {
    let label = &message.label;
    let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    let because = |why: &str| Err(refused(format!("the signature `{label}` {why}")));
    match message.key_id.as_deref() {
        Some(id) if id == key => {}
        Some(_) => return because("has another `keyid` than the id of the API key; no other key is known for it"),
        None => return because("has no `keyid`; write the id of the API key"),
    }
    let algorithm = match message.algorithm.as_deref().map(|name| (name, SignatureAlgorithm::parse(name))) {
        None => None,
        Some((_, Some(algorithm))) => Some(algorithm),
        Some((_, None)) => {
            return because("has an `alg` that is not taken here; use hmac-sha256, ed25519 or ecdsa-p256-sha256");
        }
    };
    let Some(created) = message.created else {
        return because("has no `created`; write when it was made, in seconds since 1970");
    };
    if created < now.saturating_sub(window) {
        return because(&format!("is older than {window} seconds; sign the request anew"));
    }
    if created > now.saturating_add(window) {
        return because(&format!("is more than {window} seconds from the future; set the clock right"));
    }
    if message.expires.is_some_and(|expires| expires <= now) {
        return because("has expired; sign the request anew");
    }
    if !message.uncovered.is_empty() {
        let missing = message.uncovered.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        return because(&format!("does not cover {missing}; sign that too"));
    }
    let Some(base) = message.bases.iter().find(|base| signing.verifies(algorithm, base, &message.signature)) else {
        return because(
            "is not right: the request was changed on its way, or signed with another key, or for another URL",
        );
    };
    // Longer than it can count, as clocks differ.
    Ok((Sha256::digest(base).into(), created.saturating_add(window.saturating_mul(2))))
}

#[cfg(test)]
#[path = "signing_test.rs"]
mod tests;
