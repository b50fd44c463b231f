//! `[[storage]]`: where content is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::reader::Section;
use super::report::Located;
use super::secret;
use super::value;

/// What a storage is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder.
    Local(PathBuf),
    /// Gone when the process ends.
    Memory,
    /// An S3-compatible store.
    S3,
}

/// One storage.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// The kinds by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A folder.
    Local,
    /// An S3-compatible store.
    S3,
    /// Gone when the process ends.
    Memory,
}

/// The words.
pub const KINDS: &[(&str, Word)] = &[("local", Word::Local), ("s3", Word::S3), ("memory", Word::Memory)];

impl Storage {
    /// Reads one table; none where it has an error.
    fn read(section: &Section<'_>, data_dir: &Path) -> Option<Self> {
        let report = section.report();
        let name = section.require("name", section.text("name", value::slug));
        let kind = section.require("kind", section.text("kind", value::one_of(KINDS)));
        let root = section.text_or_empty("root", value::file_path);
        let bucket = section.text_or_empty("bucket", value::words);
        let mut of_s3 = vec![
            bucket.as_ref().map(|f| f.spot.clone()),
            section.text_or_empty("prefix", value::words).map(|f| f.spot),
            section.text_or_empty("region", value::words).map(|f| f.spot),
            section.text_or_empty("endpoint", value::web_url).map(|f| f.spot),
        ];
        for key in ["access_key_id", "secret_access_key"] {
            of_s3.push(section.secret_or_empty(key, secret::any).map(|f| f.spot));
        }
        if let Some(found) = section.secret_or_empty("encrypt_with", secret::storage_key) {
            report.not_built(&found.spot, "encryption at rest");
        }
        let (name, kind) = (name?, kind?);
        report.claim("storage", "", &name.value, &name.spot);
        if kind.value != Word::S3 {
            for spot in of_s3.iter().flatten() {
                report.error(spot, "belongs to kind = \"s3\"; remove it, or change the kind");
            }
        }
        if let Some(found) = root.as_ref().filter(|_| kind.value != Word::Local) {
            report.error(&found.spot, "belongs to kind = \"local\"; remove it, or change the kind");
        }
        let kind = match kind.value {
            Word::Local => {
                let path =
                    root.as_ref().map_or_else(|| data_dir.join("storage").join(&name.value), |f| report.path(&f.value));
                let spot = root.map_or_else(|| name.spot.clone(), |f| f.spot);
                report.claim("root", "", &path.display().to_string(), &spot);
                Kind::Local(path)
            }
            Word::Memory => Kind::Memory,
            Word::S3 => {
                section.require("bucket", bucket);
                report.not_built(&kind.spot, "a storage of kind \"s3\"");
                Kind::S3
            }
        };
        Some(Self { name: name.value, kind })
    }
}

/// Reads all storages, and the names that mounts may refer to.
pub fn read(root: &Section<'_>, data_dir: &Path) -> (Vec<Storage>, BTreeSet<String>) {
    let mut names = BTreeSet::new();
    let mut storages = Vec::new();
    for section in root.tables("storage") {
        if let Some(storage) = Storage::read(&section, data_dir) {
            names.insert(storage.name.clone());
            storages.push(storage);
        } else if let Some(Located { value, .. }) = section.text("name", |text| Ok(text.to_owned())) {
            // A storage with an error is still one that mounts can mean: its own error is enough.
            names.insert(value);
        }
    }
    (storages, names)
}
