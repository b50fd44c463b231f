//! `[[tenant.oauth_client]]`: an application that acts for signed-in people. Not built yet.

use crate::config::reader::Section;
use crate::config::secret;
use crate::config::value;

/// Reads one table.
pub fn read(section: &Section<'_>) {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    section.hash("secret_hash", secret::key_hash);
    section.texts("redirect_uris", value::web_url);
    if let Some(id) = id {
        report.claim("API key or OAuth client", "", &id.value, &id.spot);
    }
    report.not_built(&section.spot(), "an OAuth client");
}
