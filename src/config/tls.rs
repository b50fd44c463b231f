//! `[tls]`: the gateway's certificate.

use std::path::PathBuf;

use super::reader::Section;
use super::value;

/// The lowest TLS version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The versions.
pub const VERSIONS: &[(&str, MinVersion)] = &[("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

/// The gateway's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain and private key, both PEM; none: the development certificate.
    pub files: Option<(PathBuf, PathBuf)>,
    /// The lowest version.
    pub min_version: MinVersion,
}

impl Tls {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let report = section.report();
        let certificate = section.text_or_empty("certificate", value::file_path);
        let private_key = section.text_or_empty("private_key", value::file_path);
        for found in [&certificate, &private_key].into_iter().flatten() {
            let path = report.path(&found.value);
            if let Err(error) = std::fs::File::open(&path) {
                report.error(
                    &found.spot,
                    format!("{} cannot be read: {}; name a PEM file", path.display(), error.kind()),
                );
            }
        }
        let files = match (certificate, private_key) {
            (Some(certificate), Some(key)) => Some((report.path(&certificate.value), report.path(&key.value))),
            (Some(alone), None) => {
                report.error(&alone.spot, "stands here without `private_key`; give both or neither");
                None
            }
            (None, Some(alone)) => {
                report.error(&alone.spot, "stands here without `certificate`; give both or neither");
                None
            }
            (None, None) => None,
        };
        let min_version = section.text("min_version", value::one_of(VERSIONS)).map_or(MinVersion::Tls12, |f| f.value);
        Self { files, min_version }
    }
}
