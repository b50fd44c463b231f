//! The signed heads of the trail outside of the database: the key that signs them, the keys that are believed, and the file that
//! they are written to (one JSON object a line).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_core::audit::{AuditSettings, HeadKey, Trust};
use causeway_core::ports::HeadShelf;
use causeway_core::records::{AuditHead, HeadKind};
use causeway_core::{Error, Result};
use secrecy::ExposeSecret as _;

use crate::config::Config;
use crate::data_dir::{make_folder, write_private};
use crate::failure::{Failure, Outcome};

/// The seed of the generated key, in base64, in the folder of the keys.
const KEY: &str = "audit_head_key";
/// The public parts of it and of those before it, a line each.
const PUBLIC_KEYS: &str = "audit_head_keys.pub";
/// The file of the heads, in the data folder.
const HEADS: &str = "audit-heads.ndjson";

/// What the configuration says of the trail, with the key made where it is missing, and what was signed before.
pub fn open(config: &Config, settings: AuditSettings) -> Outcome<AuditSettings> {
    let folder = config.data_dir.join("keys");
    let key = match &config.events.audit_key {
        Some(seed) => HeadKey::from_seed(seed.expose_secret())?,
        None => load_or_make(&folder)?,
    };
    let mut keys = public_keys(&folder.join(PUBLIC_KEYS))?;
    if !keys.contains(&key.public()) {
        keys.push(key.public());
        make_folder(&folder)?;
        let text: String = keys.iter().map(|key| STANDARD.encode(key) + "\n").collect();
        write_private(&folder.join(PUBLIC_KEYS), text.as_bytes())?;
    }
    let path = heads_path(config);
    cut_torn_line(&path)?;
    let (heads, wrong) = read_heads(&path)?;
    for line in wrong {
        tracing::error!(path = %path.display(), line, "this line is no signed head of the audit trail; it is passed over");
    }
    let mut newest: BTreeMap<String, AuditHead> = BTreeMap::new();
    for head in heads.into_iter().filter(|head| head.kind == HeadKind::Head) {
        if newest.get(&head.chain).is_none_or(|other| other.seq < head.seq) {
            newest.insert(head.chain.clone(), head);
        }
    }
    Ok(AuditSettings {
        key: Some(Arc::new(key)),
        trust: Trust { keys, kept: newest.into_values().collect() },
        shelf: Some(Arc::new(HeadFile { path })),
        ..settings
    })
}

/// What is known to verify by, without making anything: the keys of this gateway, and all heads of its file.
pub fn known(config: &Config) -> Outcome<Trust> {
    let folder = config.data_dir.join("keys");
    let mut keys = public_keys(&folder.join(PUBLIC_KEYS))?;
    if let Some(seed) = &config.events.audit_key {
        let public = HeadKey::from_seed(seed.expose_secret())?.public();
        if !keys.contains(&public) {
            keys.push(public);
        }
    }
    Ok(Trust { keys, kept: kept(&heads_path(config))? })
}

/// The heads of a file, all of them; none where there is no file.
pub fn kept(path: &Path) -> Outcome<Vec<AuditHead>> {
    let (heads, wrong) = read_heads(path)?;
    match wrong.first() {
        None => Ok(heads),
        Some(line) => Err(Failure::new(format!(
            "{}: line {line} is no signed head; take a copy of the file that was kept elsewhere",
            path.display()
        ))),
    }
}

/// A public key as it is written.
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn heads_path(config: &Config) -> PathBuf {
    config.events.audit_heads.clone().unwrap_or_else(|| config.data_dir.join(HEADS))
}

fn load_or_make(folder: &Path) -> Outcome<HeadKey> {
    let path = folder.join(KEY);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let seed = public_key(&text).ok_or_else(|| {
                Failure::new(format!("{} is no key; restore it from a backup, or remove it", path.display()))
            })?;
            Ok(HeadKey::from_seed(&seed)?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|e| Failure::step("no random numbers", e))?;
            make_folder(folder)?;
            write_private(&path, (STANDARD.encode(seed) + "\n").as_bytes())?;
            let key = HeadKey::from_seed(&seed)?;
            let public = STANDARD.encode(key.public());
            tracing::info!(path = %path.display(), public, "made the key that signs the heads of the audit trail");
            Ok(key)
        }
        Err(error) => Err(Failure::step(format_args!("{} cannot be read", path.display()), error)),
    }
}

fn public_keys(path: &Path) -> Outcome<Vec<[u8; 32]>> {
    let text = read_if_there(path)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            public_key(line).ok_or_else(|| {
                Failure::new(format!("{}: `{line}` is no public key; 32 bytes in base64 are one", path.display()))
            })
        })
        .collect()
}

fn read_if_there(path: &Path) -> Outcome<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::step(format_args!("{} cannot be read", path.display()), error)),
    }
}

/// The heads of a file, and the numbers of the lines that are none. A last line without its end is one that a crash has torn: the
/// ledger has it whole.
fn read_heads(path: &Path) -> Outcome<(Vec<AuditHead>, Vec<usize>)> {
    let text = read_if_there(path)?;
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let (mut heads, mut wrong) = (Vec::new(), Vec::new());
    for (line, number) in whole.lines().zip(1..).filter(|(line, _)| !line.is_empty()) {
        match AuditHead::parse(line) {
            Ok(head) => heads.push(head),
            Err(_) => wrong.push(number),
        }
    }
    Ok((heads, wrong))
}

/// Removes what stands behind the last whole line.
fn cut_torn_line(path: &Path) -> Outcome {
    let bytes = read_if_there(path)?;
    let whole = bytes.rfind('\n').map_or(0, |end| end + 1);
    if whole == bytes.len() {
        return Ok(());
    }
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(whole as u64)?;
        file.sync_all()
    });
    cut.map_err(|e| Failure::step(format_args!("{} cannot be mended", path.display()), e))
}

/// The file. It is opened for each write: a copy of it may be moved away, and the file may be made append-only.
#[derive(Debug)]
struct HeadFile {
    path: PathBuf,
}

#[async_trait]
impl HeadShelf for HeadFile {
    async fn put(&self, heads: &[AuditHead]) -> Result<()> {
        let text: String = heads.iter().map(|head| head.to_line() + "\n").collect();
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || append(&path, text.as_bytes())).await;
        done.map_err(Error::internal)?.map_err(|error| {
            tracing::error!(path = %self.path.display(), %error, "the heads of the audit trail cannot be written");
            Error::new(causeway_core::ErrorKind::Unavailable, "the file of signed heads cannot be written")
        })
    }
}

fn append(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let is_new = !path.exists();
    let mut file: File = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_data()?;
    match path.parent() {
        Some(folder) if is_new && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: &HeadKey, chain: &str, seq: i64) -> AuditHead {
        key.sign(HeadKind::Head, (chain, seq), [7; 32], 1).unwrap()
    }

    #[tokio::test]
    async fn heads_come_back_and_a_torn_line_does_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("heads");
        assert!(kept(&path).unwrap().is_empty());
        let key = HeadKey::from_seed(&[1; 32]).unwrap();
        let file = HeadFile { path: path.clone() };
        file.put(&[head(&key, "acme", 1), head(&key, "", 2)]).await.unwrap();
        file.put(&[head(&key, "acme", 3)]).await.unwrap();
        let seqs = || kept(&path).unwrap().iter().map(|head| head.seq).collect::<Vec<_>>();
        assert_eq!(seqs(), [1, 2, 3]);
        append(&path, b"{\"type\":\"cause").unwrap();
        assert_eq!(seqs(), [1, 2, 3]);
        cut_torn_line(&path).unwrap();
        file.put(&[head(&key, "acme", 4)]).await.unwrap();
        assert_eq!(seqs(), [1, 2, 3, 4]);
        append(&path, b"x\n").unwrap();
        assert!(kept(&path).unwrap_err().message.contains("line 5"));
        assert_eq!(read_heads(&path).unwrap().0.len(), 4);
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("keys");
        let made = load_or_make(&folder).unwrap();
        assert_eq!(load_or_make(&folder).unwrap().public(), made.public());
        assert_eq!(std::fs::metadata(folder.join(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(folder.join(KEY), "short").unwrap();
        assert!(load_or_make(&folder).is_err());
        assert!(public_keys(&folder.join("none")).unwrap().is_empty());
        std::fs::write(folder.join("some"), format!("{}\n\nx\n", STANDARD.encode(made.public()))).unwrap();
        assert!(public_keys(&folder.join("some")).is_err());
    }
}
