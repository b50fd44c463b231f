//! Listing what is there, for the search for orphans.
//!
//! The order is that of the keys over all prefixes, and a key's first byte is its shard; so the shards are gone through
//! in order, and of each those of every prefix. Which prefixes there are is found by looking into every folder once, at
//! the first page of a listing. (Two hexadecimal digits name a shard, but may be a part of a prefix as well, `de` for
//! one: a folder is not known until it has been looked into.) Later pages use what the first one found; a prefix that
//! was made meanwhile holds nothing old enough to be an orphan.

use std::collections::BinaryHeap;
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, PoisonError};

use cap_std::fs::ReadDir;
use causeway_core::records::BlobId;
use uuid::Uuid;

use super::{Root, shard_folder};

/// At most `limit` blobs with keys after `after`, in their order. No more than that are in memory at once.
pub(super) fn keys(root: &Root, storage: &Arc<str>, after: Option<Uuid>, limit: usize) -> io::Result<Vec<BlobId>> {
    let prefixes = prefixes(root, after.is_none())?;
    let first = after.map_or(0, |key| {
        let [shard, ..] = *key.as_bytes();
        shard
    });
    let mut found: BinaryHeap<(Uuid, usize)> = BinaryHeap::new();
    for shard in first..=u8::MAX {
        if found.len() >= limit {
            break;
        }
        for (index, prefix) in prefixes.iter().enumerate() {
            let Some(entries) = entries(root, &shard_folder(prefix, shard))? else { continue };
            for entry in entries {
                let entry = entry?;
                let Some(key) = parse_key(&entry.file_name(), shard) else { continue };
                if after.is_some_and(|after| key <= after) || !entry.file_type()?.is_file() {
                    continue;
                }
                found.push((key, index));
                if found.len() > limit {
                    found.pop();
                }
            }
        }
    }
    let named = |(key, index): (Uuid, usize)| {
        prefixes.get(index).map(|prefix| BlobId { key, storage: storage.clone(), prefix: prefix.clone() })
    };
    Ok(found.into_sorted_vec().into_iter().filter_map(named).collect())
}

fn prefixes(root: &Root, anew: bool) -> io::Result<Arc<[Arc<str>]>> {
    let kept = || root.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
    let known = if anew { None } else { kept().clone() };
    if let Some(known) = known {
        return Ok(known);
    }
    let found: Arc<[Arc<str>]> = find_prefixes(root)?.into();
    *kept() = Some(found.clone());
    Ok(found)
}

/// The folders that have a folder in them that may be a shard.
fn find_prefixes(root: &Root) -> io::Result<Vec<Arc<str>>> {
    let mut found = Vec::new();
    let mut unseen = vec![String::new()];
    while let Some(folder) = unseen.pop() {
        let Some(entries) = entries(root, &folder)? else { continue };
        let mut has_shards = false;
        for entry in entries {
            let entry = entry?;
            // The type comes with the name on most file systems; links are not followed.
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            has_shards |= is_shard(name);
            unseen.push(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
        }
        // What no blob could have as its prefix was not made by this store.
        if has_shards && super::check_prefix(&folder).is_ok() {
            found.push(Arc::from(folder));
        }
    }
    Ok(found)
}

/// The entries of a folder; none where it is not there, or is no folder.
fn entries(root: &Root, folder: &str) -> io::Result<Option<ReadDir>> {
    match root.dir.read_dir(if folder.is_empty() { "." } else { folder }) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_shard(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The key that a file in this shard is named after. None: no blob's name.
fn parse_key(name: &OsStr, shard: u8) -> Option<Uuid> {
    let name = name.to_str()?;
    let key = Uuid::try_parse(name).ok()?;
    // Only the one spelling that the store writes.
    let [first, ..] = *key.as_bytes();
    (first == shard && key.simple().to_string() == name).then_some(key)
}
