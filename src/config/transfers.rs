//! `[transfers]`: transfers in the background.

use causeway_core::jobs::transfers::TransferSettings;

use super::reader::Section;
use super::value;

/// Reads the table.
pub fn read(section: &Section<'_>) -> TransferSettings {
    let default = TransferSettings::default();
    let duration = |key, default| section.text(key, value::duration).map_or(default, |f| f.value);
    TransferSettings {
        workers: section.number("workers", 0..=1000).map_or(default.workers, |f| f.value as usize),
        lease: duration("lease", default.lease),
        max_attempts: section.number("max_attempts", 1..=1000).map_or(default.max_attempts, |f| f.value),
        retry_delay: duration("retry_delay", default.retry_delay),
        max_files: section.number("max_files", 1..=10_000_000).map_or(default.max_files, |f| f.value as usize),
        retention: duration("retention", default.retention),
    }
}
