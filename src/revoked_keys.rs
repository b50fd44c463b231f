//! The files of revoked keys and certificates (`revoked_keys` of a tenant), as they are at each login: a list that was
//! replaced counts from the next login on, without a restart.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::identity::Revocations;
use causeway_core::ports::RevocationSource;
use causeway_core::{Error, ErrorKind, Result};
use causeway_sftp::krl;

use crate::stamped::{Stamped, unreadable};

/// The lists of one tenant.
#[derive(Clone, Debug)]
pub struct RevokedKeys(Arc<Stamped<Revocations>>);

impl RevokedKeys {
    /// Of these files.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self(Arc::new(Stamped::new(files)))
    }
}

#[async_trait]
impl RevocationSource for RevokedKeys {
    async fn current(&self) -> Result<Arc<Revocations>> {
        let lists = self.0.clone();
        tokio::task::spawn_blocking(move || lists.current(read_lists)).await.map_err(Error::internal)?
    }
}

fn read_lists(files: &[PathBuf]) -> Result<Revocations> {
    let mut revoked = Revocations::default();
    for path in files {
        revoked.extend(read_list(path)?);
    }
    Ok(revoked)
}

/// Reads one list. `InvalidArgument` names the file and what to do.
pub fn read_list(path: &Path) -> Result<Revocations> {
    let mut bytes = Vec::new();
    let limit = krl::MAX_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    krl::parse(&bytes)
        .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("{}: {}", path.display(), error.message())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stamped::TICK;
    use causeway_core::identity::PublicKey;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtm7BgJU+yzE7+Amkoa9mmk9osBbrnMf52OanGYPXX3";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPMHI260s02cqkYvv6ppRqCPVLc9dSg7RsP+59WsCvo";

    async fn revokes(lists: &RevokedKeys) -> [bool; 2] {
        let current = lists.current().await.unwrap();
        [ONE, TWO].map(|line| current.revokes_key(&PublicKey::from_line(line).unwrap()))
    }

    #[tokio::test]
    async fn a_changed_list_counts_at_once_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        std::fs::write(&one, ONE).unwrap();
        std::fs::write(&two, "# nobody\n").unwrap();
        let lists = RevokedKeys::new(vec![one.clone(), two.clone()]);
        assert_eq!(revokes(&lists).await, [true, false]);
        std::fs::write(&one, TWO).unwrap();
        assert_eq!(revokes(&lists).await, [false, true], "of the same length, in the same tick");
        std::fs::write(&two, ONE).unwrap();
        assert_eq!(revokes(&lists).await, [true, true]);
        std::fs::write(&two, "broken").unwrap();
        assert!(lists.current().await.unwrap_err().message().contains("two: line 1 "));
        std::fs::remove_file(&two).unwrap();
        assert!(lists.current().await.is_err());
        std::fs::write(&two, "").unwrap();
        assert_eq!(revokes(&lists).await, [false, true]);
    }

    #[tokio::test]
    async fn a_list_that_is_left_alone_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, ONE).unwrap();
        tokio::time::sleep(TICK + Duration::from_secs(2)).await;
        let lists = RevokedKeys::new(vec![path.clone()]);
        let first = lists.current().await.unwrap();
        assert!(Arc::ptr_eq(&first, &lists.current().await.unwrap()));
        std::fs::write(&path, TWO).unwrap();
        assert_eq!(revokes(&lists).await, [false, true]);
    }
}
