//! The files of keys that mapping rules name: read at each login, from the configuration file's folder and never from
//! outside of it, whatever links are in it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _, PermissionsExt as _};
use causeway_core::ports::{KeySource, MAX_KEY_FILE};
use causeway_core::{Error, ErrorKind, Result};

/// See the module.
pub struct KeyFiles {
    folder: PathBuf,
}

impl KeyFiles {
    /// Of this folder. It is opened anew for each file, so that it can be replaced.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

#[async_trait]
impl KeySource for KeyFiles {
    async fn read(&self, path: &str) -> Result<Option<String>> {
        let (folder, path) = (self.folder.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || read(&folder, &path)).await.map_err(Error::internal)?
    }
}

fn read(folder: &Path, path: &str) -> Result<Option<String>> {
    let refuse = |why: &'static str| Err(Error::new(ErrorKind::InvalidArgument, why));
    let told = |error: io::Error| Error::new(ErrorKind::InvalidArgument, format!("it cannot be read: {error}"));
    let folder = Dir::open_ambient_dir(folder, ambient_authority()).map_err(told)?;
    let mut options = OpenOptions::new();
    // A pipe without a writer must not hold the login up.
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = match folder.open_with(path, &options) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    let metadata = file.metadata().map_err(told)?;
    if !metadata.is_file() {
        return refuse("it is no file");
    }
    if metadata.permissions().mode() & 0o002 != 0 {
        return refuse("everybody on this machine may write it; take that away (chmod o-w)");
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > MAX_KEY_FILE {
        return refuse("it is longer than 64 KiB; shorten it");
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_in_the_folder_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc");
        fs::create_dir_all(folder.join("keys/deep")).unwrap();
        fs::write(root.path().join("secret"), "outside").unwrap();
        fs::write(folder.join("keys/a.pub"), "inside").unwrap();
        fs::write(folder.join("keys/long.pub"), "x".repeat(64 * 1024 + 1)).unwrap();
        fs::write(folder.join("keys/full.pub"), "x".repeat(64 * 1024)).unwrap();
        fs::write(folder.join("keys/bytes.pub"), [0xff, 0xfe]).unwrap();
        fs::write(folder.join("keys/open.pub"), "x").unwrap();
        fs::set_permissions(folder.join("keys/open.pub"), fs::Permissions::from_mode(0o666)).unwrap();
        symlink("a.pub", folder.join("keys/link.pub")).unwrap();
        symlink("../../secret", folder.join("keys/out.pub")).unwrap();
        symlink(root.path().join("secret"), folder.join("keys/absolute.pub")).unwrap();
        symlink(root.path(), folder.join("keys/up")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.join("keys/pipe.pub"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let read = |path: &str| read(&folder, path).map_err(|_| ());
        assert_eq!(read("keys/a.pub"), Ok(Some("inside".to_owned())));
        assert_eq!(read("keys/link.pub"), Ok(Some("inside".to_owned())), "a link that stays inside");
        assert_eq!(read("keys/none.pub"), Ok(None));
        assert_eq!(read("nowhere/none.pub"), Ok(None));
        assert_eq!(read("keys/full.pub").unwrap().unwrap().len(), 64 * 1024);
        for bad in [
            "out.pub",
            "absolute.pub",
            "up/secret",
            "deep",
            "long.pub",
            "bytes.pub",
            "open.pub",
            "pipe.pub",
            "../../secret",
        ] {
            assert_eq!(read(&format!("keys/{bad}")), Err(()), "{bad}");
        }
        assert!(super::read(&root.path().join("gone"), "keys/a.pub").is_err());
    }
}
