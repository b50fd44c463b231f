//! `[[tenant.issuer]]`: an OpenID Connect provider whose tokens the tenant takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_core::tokens::Issuer;

use super::Known;
use crate::config::reader::{Parsed, Section};
use crate::config::value;

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<Issuer> {
    let report = section.report();
    let url = section.require("url", section.text("url", |text| url(text, known.private_issuers)));
    let audience = section.require("audience", section.text("audience", value::words));
    let identity_claim = section.text("identity_claim", value::words).map_or_else(|| "sub".to_owned(), |f| f.value);
    let scope_claim = section.text_or_empty("scope_claim", value::words).map(|found| found.value);
    let scope_claim = if section.has("scope_claim") { scope_claim } else { Some("scope".to_owned()) };
    let mut identities: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for (value, identity) in section.free_texts("identities", value::slug) {
        if let Some(identity) = known.identity(section, identity) {
            identities.insert(value, identity.into());
        }
    }
    let parties = section.texts("authorized_parties", value::words);
    let authorized_parties = parties.map(|f| f.value.into_iter().map(|one| one.value).collect()).unwrap_or_default();
    if known.no_api {
        report.warning(&section.spot(), "has no effect without [api], which is where tokens are taken");
    }
    let (url, audience) = (url?, audience?);
    report.claim("issuer", known.tenant, &url.value, &url.spot);
    // Its tokens say by their audience which tenant they are for.
    if !report.claim_quietly("issuer and audience", &format!("{}\0{}", url.value, audience.value)) {
        report.error(
            &audience.spot,
            "is the audience of another tenant at this issuer, too; give each tenant an audience of its own",
        );
    }
    if known.public_url.is_some_and(|own| own == url.value) {
        report.error(&url.spot, "is this gateway's own `api.public_url`; its own tokens need no issuer");
    }
    Some(Issuer {
        url: url.value.into(),
        audience: audience.value,
        identity_claim,
        identities,
        scope_claim,
        authorized_parties,
    })
}

/// The URL of an issuer (OpenID Connect Core 1.0 section 2): https, without query and fragment; kept as it is written, as it has to be the
/// same as in the tokens.
fn url(text: &str, private: bool) -> Parsed<String> {
    let url = value::web_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has more than a path behind the host; remove what follows ? or #"));
    }
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() == "http" && !(private && loopback) {
        return Err(format!(
            "`{text}` is not https; only loopback addresses may be without, and only with `oauth.issuer_allow_private_addresses`"
        ));
    }
    Ok(text.to_owned())
}
