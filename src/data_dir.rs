//! The data folder: locked by the running process, with the installation's id, and files that are written whole or
//! not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use crate::failure::{Failure, Outcome};

/// What a running process tells of itself, for tests and scripts.
const LISTENING: &str = "listening.json";

/// The data folder, held by this process until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    installation: Uuid,
    /// Closing it gives the lock back; the kernel does so too when the process dies.
    _lock: File,
}

impl DataDir {
    /// Makes the folder (mode 0700) where it is missing, and locks it. Fails where another process holds it.
    pub fn open(path: &Path) -> Outcome<Self> {
        make_folder(path)?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|e| Failure::step(format_args!("{} cannot be opened", lock_path.display()), e))?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(Failure::step(format_args!("{} cannot be locked", lock_path.display()), error));
            }
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            let holder = holder.trim();
            let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(Failure::new(format!(
                "the data folder {} is in use by another causeway{who}; stop that one, or give this one a data_dir of its own",
                path.display()
            )));
        }
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|e| Failure::step(format_args!("{} cannot be written", lock_path.display()), e))?;
        remove_if_there(&path.join(LISTENING))?;
        let installation = installation_id(path)?;
        Ok(Self { path: path.to_owned(), installation, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id that stays with the folder.
    pub const fn installation(&self) -> Uuid {
        self.installation
    }

    /// Tells where this process listens, once everything is up: `listening.json`, written atomically.
    pub fn announce(&self, listening: &serde_json::Value) -> Outcome {
        write_private(&self.path.join(LISTENING), format!("{listening}\n").as_bytes())
    }

    /// Takes the announcement back.
    pub fn withdraw(&self) {
        if let Err(failure) = remove_if_there(&self.path.join(LISTENING)) {
            tracing::warn!(error = failure.message, "stale announcement");
        }
    }
}

/// Makes a folder and what is missing above it, mode 0700.
pub fn make_folder(path: &Path) -> Outcome {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Failure::step(format_args!("the folder {} cannot be made", path.display()), e))
}

/// Writes a file (mode 0600) whole or not at all: beside it, synced, then renamed.
pub fn write_private(path: &Path, content: &[u8]) -> Outcome {
    let failed = |e: std::io::Error| Failure::step(format_args!("{} cannot be written", path.display()), e);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::step(format_args!("{} cannot be removed", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn installation_id(folder: &Path) -> Outcome<Uuid> {
    let path = folder.join("installation-id");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::new(format!("{} holds no UUID; restore it from a backup of the data folder", path.display()))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = Uuid::new_v4();
            write_private(&path, format!("{id}\n").as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(Failure::step(format_args!("{} cannot be read", path.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_process_holds_the_folder_and_its_id_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let held = DataDir::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = DataDir::open(&path).unwrap_err();
        assert!(refused.message.contains("in use by another causeway"), "{}", refused.message);
        assert!(refused.message.contains(&format!("(process {})", std::process::id())), "{}", refused.message);
        let id = held.installation();
        held.announce(&serde_json::json!({"pid": 1})).unwrap();
        drop(held);
        let again = DataDir::open(&path).unwrap();
        assert_eq!(again.installation(), id);
        assert!(!path.join(LISTENING).exists(), "a stale announcement is removed");
    }

    #[test]
    fn private_files_are_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        write_private(&path, b"1").unwrap();
        write_private(&path, b"2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
