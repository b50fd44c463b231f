//! `[telemetry]`: logs and traces.

use super::reader::Section;
use super::value;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For reading.
    Human,
    /// One JSON object a line.
    Json,
}

/// The formats.
pub const FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

/// Logs and traces.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// How the log is written.
    pub log_format: LogFormat,
}

impl Telemetry {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        if let Some(found) = section.text_or_empty("otlp_endpoint", value::web_url) {
            section.report().not_built(&found.spot, "the export of traces");
        }
        Self { log_format: section.text("log_format", value::one_of(FORMATS)).map_or(LogFormat::Human, |f| f.value) }
    }
}
