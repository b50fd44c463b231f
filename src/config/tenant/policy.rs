//! `[[tenant.policy]]`: attribute-based rules. Not built yet.

use crate::config::reader::Section;
use crate::config::value;

/// Reads one table. Without a file it says nothing, so that only the views and scopes decide.
pub fn read(section: &Section<'_>) {
    if let Some(found) = section.text_or_empty("file", value::file_path) {
        section.report().not_built(&found.spot, "a policy");
    }
}
