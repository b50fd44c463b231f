//! What `[oauth]` says of tokens: how long a key signs, what encrypts the keys at rest, and where issuers may be.

use std::sync::Arc;
use std::time::Duration;

use causeway_core::tokens::TokenSettings;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::reader::Section;
use super::secret;
use super::value;

/// Below this a warning is due: whoever keeps the published keys would have to ask for them all the time.
const SHORT_ROTATION: Duration = Duration::from_hours(24);

/// Tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// How long a key signs before the next one does.
    pub key_rotation: Duration,
    /// What private keys are encrypted by in the ledger.
    pub encryption_key: Option<Arc<SecretBox<[u8; 32]>>>,
    /// Whether issuers may be at private addresses, and at loopback ones without TLS.
    pub private_issuers: bool,
}

/// Reads the keys of the table that are about tokens.
pub fn read(section: &Section<'_>) -> Tokens {
    let default = TokenSettings::default().key_rotation;
    let key_rotation = section.text("token_key_rotation", value::duration).map_or(default, |found| {
        if found.value < SHORT_ROTATION {
            section.report().warning(
                &found.spot,
                "is shorter than a day; clients that keep the published keys may meet ones that they do not know",
            );
        }
        found.value
    });
    let encryption_key = section.secret_or_empty("token_encryption_key", secret::storage_key);
    let private_issuers = section.flag("issuer_allow_private_addresses").is_some_and(|found| found.value);
    Tokens { key_rotation, encryption_key: encryption_key.and_then(|found| bytes(&found.value?)), private_issuers }
}

/// The key that the text is; it was checked before.
pub(super) fn bytes(text: &SecretString) -> Option<Arc<SecretBox<[u8; 32]>>> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.expose_secret()).ok()?;
    Some(Arc::new(SecretBox::new(Box::new(decoded.try_into().ok()?))))
}
