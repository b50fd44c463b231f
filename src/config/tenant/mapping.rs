//! `[[tenant.mapping]]`: a rule instead of a list of logins.

use causeway_core::identity::{Mapping, MappingError, NamePattern, PathTemplate};

use super::Known;
use super::login::{self, Shown};
use crate::config::reader::{Parsed, Section};
use crate::config::value;

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<Mapping> {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let protocols = login::protocols(section, false);
    let pattern = section.require("username", section.text("username", |text| said(NamePattern::new(text))));
    let pattern = pattern.map(|found| found.value);
    let identity = section.require("identity", section.text("identity", value::slug));
    // Without a pattern nothing can be said of what refers to its groups.
    let home = section
        .text("home", |text| pattern.as_ref().map(|pattern| said(PathTemplate::home(text, pattern))).transpose());
    let file = section.text_or_empty("authorized_keys_file", |text| {
        pattern.as_ref().map(|pattern| said(PathTemplate::key_file(text, pattern))).transpose()
    });
    let shown = Shown {
        key: section.has("authorized_keys_file"),
        certificate: known.certificates,
        password: false,
        code: false,
    };
    let require = login::require(section, shown);
    let allow_from = section.texts("allow_from", value::network);
    if let Some(id) = &id {
        report.claim("mapping", known.tenant, &id.value, &id.spot);
    }
    let identity = identity.and_then(|id| known.identity(section, id));
    if !shown.key && !shown.certificate {
        report.warning(&section.spot(), "has no `authorized_keys_file`; nobody can log in by it");
    }
    let pattern = pattern?;
    let home = match home {
        Some(found) => found.value?,
        None => PathTemplate::home("/", &pattern).ok()?,
    };
    Some(Mapping {
        id: id?.value.into(),
        username: pattern,
        identity: identity?.into(),
        protocols,
        home,
        authorized_keys_file: file.and_then(|found| found.value),
        require,
        allow_from: allow_from.map(|f| f.value.into_iter().map(|net| net.value).collect()).unwrap_or_default(),
    })
}

fn said<T>(result: Result<T, MappingError>) -> Parsed<T> {
    result.map_err(|error| error.to_string())
}
