//! `[[tenant.route]]`: a file that arrives goes on by itself. Not built yet.

use super::Known;
use crate::config::reader::{Parsed, Section};
use crate::config::value;

/// Reads one table.
pub fn read(section: &Section<'_>, known: &Known<'_>) {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let identity = section.require("identity", section.text("identity", value::slug));
    section.text("on", value::event_kinds);
    section.text("path", value::path_glob);
    section.text("to", |text| known.endpoint(text));
    section.text("after", after);
    if let Some(id) = id {
        report.claim("route", known.tenant, &id.value, &id.spot);
    }
    if let Some(identity) = identity {
        known.identity(section, identity);
    }
    report.not_built(&section.spot(), "a route");
}

fn after(text: &str) -> Parsed<()> {
    match text.split_once(':') {
        None if text == "keep" || text == "delete" => Ok(()),
        Some(("move", folder)) => value::tree_path(folder).map(|_| ()),
        _ => Err(format!("`{text}` is not known here; write \"keep\" or \"delete\" or \"move:/folder/\"")),
    }
}
