//! `[uploads]`: incomplete uploads, temporary names, checks of content.

use std::time::Duration;

use causeway_core::transfer::TypeCheck;
use globset::{GlobSet, GlobSetBuilder};

use super::reader::Section;
use super::value;

const TEMPORARY_NAMES: &[&str] = &["*.filepart", "*.partial", "*.part", "*.tmp", ".in.*"];

/// What becomes of content that is not of its type.
pub const CHECKS: &[(&str, TypeCheck)] =
    &[("off", TypeCheck::Off), ("event", TypeCheck::Event), ("refuse", TypeCheck::Refuse)];

/// How uploads are treated.
#[derive(Clone, Debug)]
pub struct Uploads {
    /// How long a detached upload can be resumed.
    pub incomplete_expiry: Duration,
    /// Names that are announced when they are renamed.
    pub temporary_names: GlobSet,
    /// What becomes of content that is not of the type that it is declared to be.
    pub content_type_check: TypeCheck,
    /// How long an open upload may receive nothing before another session of its identity can take it over.
    pub idle_detach: Duration,
    /// How long a blob without reference is kept.
    pub blob_grace: Duration,
    /// Bytes between two checkpoints.
    pub checkpoint: u64,
}

impl Uploads {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let report = section.report();
        let duration = |key: &'static str, default: u64| {
            section.text(key, value::duration).map_or(Duration::from_secs(default), |f| f.value)
        };
        let content_type_check =
            section.text("content_type_check", value::one_of(CHECKS)).map_or(TypeCheck::Event, |f| f.value);
        let mut builder = GlobSetBuilder::new();
        let found = section.texts("temporary_names", value::name_glob);
        match &found {
            Some(found) => found.value.iter().for_each(|glob| {
                builder.add(glob.value.clone());
            }),
            None => TEMPORARY_NAMES.iter().filter_map(|text| value::name_glob(text).ok()).for_each(|glob| {
                builder.add(glob);
            }),
        }
        let temporary_names = builder.build().unwrap_or_else(|error| {
            if let Some(found) = &found {
                report.error(&found.spot, format!("the patterns do not go together: {}; use fewer", error.kind()));
            }
            GlobSet::empty()
        });
        Self {
            incomplete_expiry: duration("incomplete_expiry", 7 * 86_400),
            temporary_names,
            content_type_check,
            idle_detach: duration("idle_detach", 10),
            blob_grace: section
                .text("blob_grace", value::duration_or_zero)
                // Longer than a day: a backup of the database from last night must find the content that it names.
                .map_or(Duration::from_hours(26), |f| f.value),
            checkpoint: section.text("checkpoint", value::size).map_or(64 << 20, |f| f.value),
        }
    }
}
