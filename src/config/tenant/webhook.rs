//! `[[tenant.webhook]]`: where events are posted to.

use std::sync::Arc;

use causeway_core::events::target::{AddressKind, Targets, Unfit, kind_of};
use causeway_core::events::{EndpointTls, Webhook};
use causeway_core::identity::spec;
use globset::{GlobSet, GlobSetBuilder};

use super::Known;
use crate::config::reader::Section;
use crate::config::report::Located;
use crate::config::secret;
use crate::config::value;

/// Reads one table; none where it has an error, or where its secret was not resolved.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<Webhook> {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let url = section.require("url", section.text("url", value::web_url));
    let targets = Targets::new(known.private_webhooks);
    let events = section.texts("events", value::event_kinds);
    let path = section.text_or_empty("path", value::path_glob);
    let secret = section.require("secret", section.secret("secret", secret::webhook_secret));
    let authorities = section.text_or_empty("ca", value::file_path).and_then(|found| {
        let file = report.path(&found.value);
        report.reads(&file);
        let read = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()));
        match read.and_then(|text| spec::webhook_ca(&text).map(|()| text)) {
            Ok(text) => Some(text),
            Err(why) => {
                report.error(&found.spot, why);
                None
            }
        }
    });
    let identity = section.secret_or_empty("client_identity", spec::webhook_identity).and_then(|found| found.value);
    if let Some(id) = &id {
        report.claim("webhook", known.tenant, &id.value, &id.spot);
    }
    if let Some(url) = &url
        && let Err(unfit) = targets.check(&url.value)
    {
        report.error(&url.spot, told(&unfit));
    }
    let events: Vec<globset::Glob> = match events {
        None => value::event_kinds("*").ok().map(|glob| vec![glob])?,
        Some(Located { value, spot }) => {
            if value.is_empty() {
                report.error(
                    &spot,
                    "is empty, so that nothing would be sent; name a kind, or leave it out for all of them",
                );
            }
            value.into_iter().map(|glob| glob.value).collect()
        }
    };
    Some(Webhook {
        tenant: Arc::from(known.tenant),
        id: id?.value.into(),
        url: url?.value.into(),
        event_texts: events.iter().map(|glob| glob.glob().to_owned()).collect(),
        events: set(events)?,
        path_text: path.as_ref().map(|glob| glob.value.glob().to_owned()),
        path: match path {
            Some(glob) => Some(set(vec![glob.value])?),
            None => None,
        },
        secret: secret?.value?,
        previous: None,
        tls: EndpointTls { authorities, identity },
    })
}

/// What is wrong with a URL, and what to do about it here.
fn told(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Address(ip) if kind_of(*ip) == AddressKind::Private => {
            format!("{unfit}; use a public one, or set events.webhook_allow_private_addresses")
        }
        Unfit::Localhost | Unfit::Scheme => {
            format!("{unfit}; for development set events.webhook_allow_private_addresses")
        }
        Unfit::Address(_) | Unfit::NoUrl | Unfit::TooLong | Unfit::Password | Unfit::Port(_) => unfit.to_string(),
    }
}

fn set(globs: Vec<globset::Glob>) -> Option<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob);
    }
    builder.build().ok()
}
