//! The signed heads of the trail outside of the database: the key that signs them, the keys that are believed, and the file that
//! they are written to (one JSON object a line).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_core::audit::{AuditSettings, HeadKey, Trust};
use causeway_core::ports::HeadShelf;
use causeway_core::records::AuditHead;
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
    let mut trust = Trust { keys, kept: Vec::new() };
    let (mut newest, mut strange) = (BTreeMap::<_, AuditHead>::new(), 0_u64);
    let lines = read_heads(&path, |head| {
        let place = (head.kind, head.chain.clone());
        if !trust.knows_key_of(&head) {
            strange += 1;
        } else if newest.get(&place).is_none_or(|other| other.seq < head.seq) {
            newest.insert(place, head);
        }
    })?;
    cut_torn_line(&path, lines.whole)?;
    for line in lines.wrong {
        tracing::error!(path = %path.display(), line, "this line is no signed head of the audit trail; it is passed over");
    }
    if strange > 0 {
        tracing::error!(
            path = %path.display(),
            heads = strange,
            "heads of the audit trail are signed by keys that this gateway does not know; restore keys/{PUBLIC_KEYS} from a backup"
        );
    }
    trust.kept = newest.into_values().collect();
    Ok(AuditSettings { key: Some(Arc::new(key)), trust, shelf: Some(Arc::new(HeadFile { path })), ..settings })
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
    let mut heads = Vec::new();
    let lines = read_heads(path, |head| heads.push(head))?;
    match lines.wrong.first() {
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

/// What a file of heads holds besides them.
#[derive(Debug)]
struct Lines {
    /// The numbers of the lines that are no heads.
    wrong: Vec<usize>,
    /// The length of all whole lines, in bytes. A last line without its end is one that a crash has torn: the ledger has it whole.
    whole: u64,
}

/// Reads a file of heads, which may be a long one, line by line.
fn read_heads(path: &Path, mut take: impl FnMut(AuditHead)) -> Outcome<Lines> {
    let failed = |error: std::io::Error| Failure::step(format_args!("{} cannot be read", path.display()), error);
    let mut found = Lines { wrong: Vec::new(), whole: 0 };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed(error)),
    };
    let (mut file, mut line) = (BufReader::new(file), Vec::new());
    for number in 1.. {
        line.clear();
        let length = file.read_until(b'\n', &mut line).map_err(failed)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        found.whole += length as u64;
        let text = std::str::from_utf8(&line).map(str::trim);
        match text.map(|text| (text.is_empty(), AuditHead::parse(text))) {
            Ok((true, _)) => {}
            Ok((false, Ok(head))) => take(head),
            Ok((false, Err(_))) | Err(_) => found.wrong.push(number),
        }
    }
    Ok(found)
}

/// Removes what stands behind the last whole line. A file without such a rest, which may be append-only, is not touched.
fn cut_torn_line(path: &Path, whole: u64) -> Outcome {
    if !std::fs::metadata(path).is_ok_and(|file| file.len() > whole) {
        return Ok(());
    }
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(whole)?;
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
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(text) {
        // On a full disk a part of it may be there. What comes next must not stand behind half a line.
        if file.metadata().is_ok_and(|file| file.len() > before) {
            // What failed first is what is told.
            let _ = file.set_len(before);
        }
        return Err(error);
    }
    file.sync_data()?;
    match path.parent() {
        Some(folder) if is_new && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::records::HeadKind;

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
        let lines = read_heads(&path, drop).unwrap();
        cut_torn_line(&path, lines.whole).unwrap();
        file.put(&[head(&key, "acme", 4)]).await.unwrap();
        assert_eq!(seqs(), [1, 2, 3, 4]);
        append(&path, b"x\n").unwrap();
        assert!(kept(&path).unwrap_err().message.contains("line 5"));
        append(&path, b"\xff\n").unwrap();
        let mut seqs = Vec::new();
        assert_eq!(read_heads(&path, |head| seqs.push(head.seq)).unwrap().wrong, [5, 6]);
        assert_eq!(seqs, [1, 2, 3, 4]);
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
