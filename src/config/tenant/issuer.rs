//! `[[tenant.issuer]]`: an OpenID Connect provider. Not built yet.

use super::Known;
use crate::config::reader::Section;
use crate::config::value;

/// Reads one table.
pub fn read(section: &Section<'_>, known: &Known<'_>) {
    let report = section.report();
    let url = section.require("url", section.text("url", value::web_url));
    section.require("audience", section.text("audience", value::words));
    section.text("identity_claim", value::words);
    section.text("scope_claim", value::words);
    for (_, identity) in section.free_texts("identities", value::slug) {
        known.identity(section, identity);
    }
    if let Some(url) = url {
        report.claim("issuer", known.tenant, url.value.as_str(), &url.spot);
    }
    report.not_built(&section.spot(), "an issuer of tokens");
}
