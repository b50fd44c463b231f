//! `[[tenant.api_key]]`: a key of the REST API.

use causeway_core::identity::ApiKey;
use secrecy::ExposeSecret as _;

use super::Known;
use super::identity::scopes;
use crate::config::reader::Section;
use crate::config::secret;
use crate::config::value;

/// Reads one table; none where it has an error, or where its hash was not resolved.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<ApiKey> {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let identity = section.require("identity", section.text("identity", value::slug));
    let hash = section.require("key_hash", section.hash("key_hash", secret::key_hash));
    let scopes = scopes(section, "scopes");
    let created = section.text_or_empty("created", value::moment).map(|f| f.value);
    let expires = section.text_or_empty("expires", value::moment).map(|f| f.value);
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
        scopes,
        created,
        expires,
        allow_from: allow_from.map(|f| f.value.into_iter().map(|net| net.value).collect()).unwrap_or_default(),
        previous: None,
    })
}
