//! `[database]`: where the ledger is.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::{Parsed, Section};
use super::report::Located;
use super::value;

/// Which ledger.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, owned by this process alone.
    Sqlite(PathBuf),
    /// A database that the nodes of a cluster share: its URL, with the password.
    Postgres(SecretString),
    /// A reference that was not resolved.
    Unresolved,
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub struct Database {
    /// Which one.
    pub place: Place,
    /// What must stay free on the ledger's disk, in bytes; below it writers get "no space".
    pub min_free: u64,
}

impl Database {
    /// Reads the table. `default`: the file in the data folder.
    pub fn read(section: &Section<'_>, default: PathBuf) -> Self {
        let place = read_place(section).unwrap_or(Place::Sqlite(default));
        let min_free = section.text("min_free", value::size);
        if let (Place::Postgres(_), Some(found)) = (&place, &min_free) {
            section.report().warning(&found.spot, "has no effect with PostgreSQL, whose disk is its own; remove it");
        }
        Self { place, min_free: min_free.map_or(64 << 20, |f| f.value) }
    }
}

/// The URL is a secret where it holds a password: then it must be a reference. Without one it may stand in the file.
fn read_place(section: &Section<'_>) -> Option<Place> {
    let report = section.report();
    let is_reference = |text: &str| ["env:", "file:", "vault:"].iter().any(|kind| text.starts_with(kind));
    let found = section.text_or_empty("url", |text| {
        if is_reference(text) {
            return Ok(None);
        }
        if has_password(text) {
            return Err(
                "a password stands here in clear; put the URL into the environment and write \"env:DATABASE_URL\""
                    .to_owned(),
            );
        }
        check(text).map(|()| Some(text.to_owned()))
    })?;
    let url: SecretString = match found {
        Located { value: Some(url), .. } => url.into(),
        Located { value: None, .. } => match section.secret("url", check)?.value {
            Some(url) => url,
            None => return Some(Place::Unresolved),
        },
    };
    match url.expose_secret().strip_prefix("sqlite:") {
        Some(path) => Some(Place::Sqlite(report.path(path.strip_prefix("//").unwrap_or(path)))),
        None => Some(Place::Postgres(url)),
    }
}

fn has_password(text: &str) -> bool {
    reqwest::Url::parse(text)
        .is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password"))
}

fn check(text: &str) -> Parsed<()> {
    // The text may hold a password: no message repeats it.
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.trim_start_matches('/').is_empty() => Ok(()),
        Some(("postgres" | "postgresql", _)) => match reqwest::Url::parse(text) {
            Ok(url) if url.host().is_some() && url.path().len() > 1 => Ok(()),
            _ => Err("is no URL of a PostgreSQL database; write postgres://user@host:5432/database".to_owned()),
        },
        _ => {
            Err("is no URL of a database; write postgres://user@host:5432/database, or sqlite:path, or nothing"
                .to_owned())
        }
    }
}
