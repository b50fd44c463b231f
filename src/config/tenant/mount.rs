//! `[[tenant.mount]]`: where content below a path is placed.

use causeway_core::identity::Mount;

use super::Known;
use crate::config::reader::Section;
use crate::config::value;

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<Mount> {
    let at = section.require("at", section.text("at", value::tree_path));
    let storage = section.require("storage", section.text("storage", value::slug));
    let path = section.text_or_empty("path", value::storage_path);
    if let Some(at) = &at {
        section.report().claim("mount at", known.tenant, at.value.as_str(), &at.spot);
    }
    let storage = known.storage(section, storage?)?;
    Some(Mount { at: at?.value, storage, path: path.map_or_else(|| known.tenant.to_owned(), |f| f.value) })
}
