//! `[[tenant.schedule]]`: a transfer at fixed times. Not built yet.

use super::Known;
use crate::config::reader::Section;
use crate::config::value;

/// Reads one table.
pub fn read(section: &Section<'_>, known: &Known<'_>) {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    let identity = section.require("identity", section.text("identity", value::slug));
    section.text("cron", value::cron);
    section.text("timezone", value::timezone);
    section.text("source", |text| known.endpoint(text));
    section.text("destination", |text| known.endpoint(text));
    if let Some(id) = id {
        report.claim("schedule", known.tenant, &id.value, &id.spot);
    }
    if let Some(identity) = identity {
        known.identity(section, identity);
    }
    report.not_built(&section.spot(), "a schedule");
}
