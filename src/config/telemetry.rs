//! `[telemetry]`: logs and traces.

use super::reader::Section;
use super::value;
use crate::traces::{Target, read_headers};

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

/// The most traces of which one is recorded.
pub const MOST_ONE_IN: u32 = 1_000_000;

/// Logs and traces.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// How the log is written.
    pub log_format: LogFormat,
    /// Where traces go; none: nowhere.
    pub traces: Option<Target>,
}

impl Telemetry {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let endpoint = section.text_or_empty("otlp_endpoint", value::web_url);
        let headers = section.secret_or_empty("otlp_headers", |text| read_headers(text).map(drop));
        let ca = section.text_or_empty("otlp_ca", value::file_path).map(|f| section.report().path(&f.value));
        let one_in = section.number("otlp_one_in", 1..=MOST_ONE_IN).map_or(1, |found| found.value);
        Self {
            log_format: section.text("log_format", value::one_of(FORMATS)).map_or(LogFormat::Human, |f| f.value),
            traces: endpoint.map(|endpoint| Target {
                endpoint: endpoint.value,
                headers: headers.and_then(|found| found.value),
                ca,
                one_in,
            }),
        }
    }
}
