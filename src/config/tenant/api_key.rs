//! `[[tenant.api_key]]`: a key of the REST API.

use causeway_core::identity::{ApiKey, MAX_SIGNATURE_KEYS, SignatureRule, Signing};
use secrecy::ExposeSecret as _;

use super::Known;
use super::identity::scopes;
use crate::config::reader::Section;
use crate::config::secret;
use crate::config::value;

/// What may be demanded of its requests.
pub const RULES: &[(&str, SignatureRule)] =
    &[("off", SignatureRule::Off), ("any", SignatureRule::Any), ("message", SignatureRule::Message)];

/// What its requests are signed with. What is demanded must be possible.
fn signing(section: &Section<'_>) -> Signing {
    let report = section.report();
    let require = section.flag_or("require_signature", value::one_of(RULES));
    let secret = section.secret("signing_secret", secret::signing_secret);
    let keys = section.texts("signature_keys", value::signature_key);
    if let Some(keys) = &keys {
        if keys.value.is_empty() {
            report.error(&keys.spot, "is empty; give a key, or leave it out");
        } else if keys.value.len() > MAX_SIGNATURE_KEYS {
            report
                .error(&keys.spot, format!("has more than {MAX_SIGNATURE_KEYS} keys; remove those that are not used"));
        }
    }
    if let Some(require) = &require
        && require.value != SignatureRule::Off
        && !section.has("signing_secret")
        && !section.has("signature_keys")
    {
        report.error(
            &require.spot,
            "asks for signatures, and there is nothing to check them with; add `signing_secret` or `signature_keys`",
        );
    }
    Signing {
        require: require.map_or(SignatureRule::Off, |found| found.value),
        secret: secret.and_then(|found| found.value),
        keys: keys.map(|found| found.value.into_iter().map(|key| key.value).collect()).unwrap_or_default(),
    }
}

/// Reads one table; none where it has an error, or where its hash was not resolved.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<ApiKey> {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let identity = section.require("identity", section.text("identity", value::slug));
    let hash = section.require("key_hash", section.hash("key_hash", secret::key_hash));
    let scopes = scopes(section, "scopes");
    let created = section.text_or_empty("created", value::moment).map(|f| f.value);
    let expires = section.text_or_empty("expires", value::moment).map(|f| f.value);
    let signing = signing(section);
    let allow_from = section.texts("allow_from", value::network);
    if let Some(id) = &id {
        report.claim("API key or OAuth client", "", &id.value, &id.spot);
    }
    let identity = identity.and_then(|id| known.identity(section, id));
    let hash = hash?;
    let text = hash.value?;
    let digest: [u8; 32] = hex::decode(text.expose_secret()).ok()?.try_into().ok()?;
    // Not by `claim`, whose message would repeat the hash.
    if !report.claim_quietly("key_hash", &hex::encode(digest)) {
        report.error(&hash.spot, "is the hash of another key too; make a key of its own with `causeway hash-key`");
    }
    Some(ApiKey {
        id: id?.value.into(),
        identity: identity?.into(),
        key_hash: digest,
        signing,
        scopes,
        created,
        expires,
        allow_from: allow_from.map(|f| f.value.into_iter().map(|net| net.value).collect()).unwrap_or_default(),
        previous: None,
    })
}
