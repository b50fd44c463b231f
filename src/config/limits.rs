//! `[limits]`: sizes, bandwidth, failed logins.

use std::time::Duration;

use super::reader::Section;
use super::value;

const REQUESTS_PER_MINUTE: u32 = 6000;

/// What nobody may exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Bytes per second that one session may send.
    pub bandwidth_up: Option<u64>,
    /// Bytes per second that one session may receive.
    pub bandwidth_down: Option<u64>,
    /// Failed logins of one (login, address) in the window.
    pub failed_logins: u32,
    /// The window.
    pub failed_logins_window: Duration,
    /// How long logins are then refused.
    pub ban: Duration,
}

impl Limits {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        match section.number("requests_per_minute", 1..=u32::MAX) {
            Some(found) if found.value == REQUESTS_PER_MINUTE => {
                section.report().without_effect(&found.spot, "the limit of requests");
            }
            Some(found) => {
                section.report().not_built(&found.spot, "another limit of requests");
            }
            None => {}
        }
        let duration = |key: &'static str, default: u64| {
            section.text(key, value::duration).map_or(Duration::from_secs(default), |f| f.value)
        };
        Self {
            max_file_size: section.text("max_file_size", value::size).map_or(100 << 30, |f| f.value),
            bandwidth_up: section.text_or_empty("bandwidth_up", value::rate).map(|f| f.value),
            bandwidth_down: section.text_or_empty("bandwidth_down", value::rate).map(|f| f.value),
            failed_logins: section.number("failed_logins", 1..=1_000_000).map_or(10, |f| f.value),
            failed_logins_window: duration("failed_logins_window", 600),
            ban: duration("ban", 900),
        }
    }
}
