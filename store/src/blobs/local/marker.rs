//! Whose storage it is.

use std::io::{self, Read as _, Write as _};

use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use causeway_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::{FILE_MODE, Root};
use crate::blobs::{MARKER, belongs_to};

/// Checks the marker, or makes it where there is none. Of two gateways that claim at once exactly one succeeds.
pub(super) fn claim(root: &Root, gateway: Uuid) -> Result<()> {
    if let Some(owner) = owner(root)? {
        return check(owner, gateway);
    }
    write(root, gateway).map_err(|error| Error::from_io("mark a storage", &error))?;
    match owner(root)? {
        Some(owner) => check(owner, gateway),
        None => Err(Error::internal("the marker of a storage vanished while it was written")),
    }
}

fn check(owner: Uuid, gateway: Uuid) -> Result<()> {
    if owner == gateway { Ok(()) } else { Err(belongs_to(owner)) }
}

fn owner(root: &Root) -> Result<Option<Uuid>> {
    let file = match root.dir.open(MARKER) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::from_io("open the marker of a storage", &error)),
    };
    let mut text = Vec::new();
    file.take(64).read_to_end(&mut text).map_err(|error| Error::from_io("read the marker of a storage", &error))?;
    match Uuid::try_parse_ascii(text.trim_ascii()) {
        Ok(owner) => Ok(Some(owner)),
        Err(_) => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the marker `{MARKER}` in the storage's root does not hold a gateway's id: restore it, or remove it if no \
                 other gateway uses this storage"
            ),
        )),
    }
}

/// Writes the marker aside and gives it its name when it is whole and durable.
fn write(root: &Root, gateway: Uuid) -> io::Result<()> {
    let aside = format!("{MARKER}.{}", Uuid::new_v4().simple());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    let mut file = root.dir.open_with(&aside, &options)?;
    file.write_all(format!("{gateway}\n").as_bytes())?;
    file.sync_all()?;
    // A link fails where the name is taken, which a rename does not; where there are no links, the rename has to do.
    match root.dir.hard_link(&aside, &root.dir, MARKER) {
        Ok(()) => root.dir.remove_file(&aside)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return root.dir.remove_file(&aside),
        Err(_) => root.dir.rename(&aside, &root.dir, MARKER)?,
    }
    root.sync_folder("")
}
