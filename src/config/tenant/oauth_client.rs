//! `[[tenant.oauth_client]]`: an application that acts for signed-in people.

use causeway_core::identity::{OAuthClient, RedirectUri};
use secrecy::ExposeSecret as _;

use super::identity::scopes;
use crate::config::reader::{Parsed, Section};
use crate::config::secret;
use crate::config::value;

/// Reads one table; none where it has an error, or where its hash was not resolved.
pub fn read(section: &Section<'_>) -> Option<OAuthClient> {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let name = section.text_or_empty("name", value::words).map(|found| found.value);
    let hash = section.hash("secret_hash", secret::key_hash);
    let scopes = scopes(section, "scopes");
    let redirect_uris = section.require("redirect_uris", section.texts("redirect_uris", redirect_uri));
    if let Some(id) = &id {
        report.claim("API key or OAuth client", "", &id.value, &id.spot);
    }
    let secret_hash = match hash {
        // No hash, and it would be a public client: not where there is one that was not looked up.
        Some(hash) => Some(hex::decode(hash.value?.expose_secret()).ok()?.try_into().ok()?),
        None => None,
    };
    let (id, redirect_uris) = (id?.value, redirect_uris?);
    if redirect_uris.value.is_empty() {
        report.error(&redirect_uris.spot, "names no URI, so that nobody could be sent back; add one");
        return None;
    }
    Some(OAuthClient {
        name: name.unwrap_or_else(|| id.clone()),
        id: id.into(),
        secret_hash,
        scopes,
        redirect_uris: redirect_uris.value.into_iter().map(|uri| uri.value).collect(),
    })
}

fn redirect_uri(text: &str) -> Parsed<RedirectUri> {
    RedirectUri::parse(text).map_err(|why| format!("`{text}` {why}"))
}
