//! `scp -f`: files go out. Every file is a download like those of SFTP. It has ended well when the client has answered
//! its last byte.

use std::collections::VecDeque;

use causeway_core::events::Operation;
use causeway_core::{Entry, Error, ErrorKind, Result, VirtualPath};

use super::record::{OK, Record, Times};
use super::{End, Exchange, mode_of};
use crate::exec::{Busy, Console, expand};
use crate::files::{Files, Paging, Reading};

/// Entries of a folder that are held at once; a tree has many folders on the way down.
const PAGE: u32 = 64;
/// What is read of a file at once.
const PIECE: u64 = 512 * 1024;

/// A folder on the way down.
struct Level<L> {
    listing: L,
    entries: VecDeque<Entry>,
    /// Whether the client was told of it, and has to be told of its end. Of the session's root it is not, as it has no name.
    told: bool,
}

/// Gives all that the client named.
pub(super) async fn run<F: Files, C: Console>(copy: &mut Exchange<'_, F, C>) -> Result<(), End> {
    // The client says that it is there.
    copy.answered().await?;
    for word in copy.scp.paths.clone() {
        let named = {
            let _busy = Busy::of(copy.flow);
            expand(copy.files, &word).await
        };
        let named = match named {
            Ok(named) => named,
            Err(error) => {
                copy.fail(&word.text(), &error).await?;
                continue;
            }
        };
        for text in named {
            match find(copy, &text).await {
                Ok(entry) => give(copy, entry).await?,
                Err(error) => copy.fail(&text, &error).await?,
            }
        }
    }
    Ok(())
}

/// What a path is. Where that cannot be given, it is on record.
async fn find<F: Files, C: Console>(copy: &Exchange<'_, F, C>, text: &str) -> Result<Entry> {
    let _busy = Busy::of(copy.flow);
    let path = match VirtualPath::resolve(&VirtualPath::root(), text.as_bytes()) {
        Ok(path) => path,
        Err(error) => {
            copy.files.refused(Operation::Download, text, &error).await;
            return Err(error);
        }
    };
    let error = match copy.files.stat(&path).await {
        Ok(entry) if entry.folder && !copy.scp.recursive => {
            Error::new(ErrorKind::IsFolder, "this is a folder; copy it with -r")
        }
        Ok(entry) if !entry.folder && text.ends_with('/') => {
            Error::new(ErrorKind::NotFolder, "this is a file, not a folder; leave the slash out")
        }
        Ok(entry) => return Ok(entry),
        // Where looking fails beginning fails, too, and says why in the words of every protocol.
        Err(error) => match copy.files.begin_download(&path).await {
            Err(error) => return Err(error),
            Ok(download) => {
                download.fail(error.clone()).await;
                return Err(error);
            }
        },
    };
    copy.files.failed(Operation::Download, &path, &error).await;
    Err(error)
}

/// Gives a file, or a folder and all that is in it.
async fn give<F: Files, C: Console>(copy: &mut Exchange<'_, F, C>, entry: Entry) -> Result<(), End> {
    if !entry.folder {
        return give_file(copy, &entry).await;
    }
    let mut levels = Vec::new();
    levels.extend(enter(copy, &entry).await?);
    while let Some(level) = levels.last_mut() {
        if level.entries.is_empty() {
            let _busy = Busy::of(copy.flow);
            match level.listing.next(PAGE).await {
                Ok(page) => level.entries.extend(page),
                Err(error) => {
                    let path = level.listing.folder().path.clone();
                    // The folder's end follows, and the client goes on.
                    copy.fail(path.as_str(), &error).await?;
                }
            }
        }
        match level.entries.pop_front() {
            Some(entry) if entry.folder => levels.extend(enter(copy, &entry).await?),
            Some(entry) => give_file(copy, &entry).await?,
            None => {
                if level.told {
                    copy.terminal.send(Record::End.encode().into()).await?;
                    copy.answered().await?;
                }
                levels.pop();
            }
        }
    }
    Ok(())
}

/// Tells the client of a folder; none where the folder cannot be listed, or the client does not want it.
async fn enter<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    entry: &Entry,
) -> Result<Option<Level<F::Listing>>, End> {
    let listing = {
        let _busy = Busy::of(copy.flow);
        copy.files.list(&entry.path).await
    };
    let listing = match listing {
        Ok(listing) => listing,
        Err(error) => {
            copy.fail(entry.path.as_str(), &error).await?;
            return Ok(None);
        }
    };
    let level = |told| Level { listing, entries: VecDeque::new(), told };
    let Some(name) = entry.path.name() else { return Ok(Some(level(false))) };
    let record = Record::Folder { mode: mode_of(entry), name: name.as_str().as_bytes() };
    let wanted = announce(copy, entry, &record).await?;
    Ok(wanted.then(|| level(true)))
}

/// Tells the client what comes; false where it does not want it.
async fn announce<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    entry: &Entry,
    record: &Record<'_>,
) -> Result<bool, End> {
    if copy.scp.preserve {
        copy.terminal.send(Record::Times(times_of(entry)).encode().into()).await?;
        if !copy.answered().await? {
            return Ok(false);
        }
    }
    copy.terminal.send(record.encode().into()).await?;
    copy.answered().await
}

/// Gives one file.
async fn give_file<F: Files, C: Console>(copy: &mut Exchange<'_, F, C>, entry: &Entry) -> Result<(), End> {
    let begun = {
        let _busy = Busy::of(copy.flow);
        copy.files.begin_download(&entry.path).await
    };
    let download = match begun {
        Ok(download) => download,
        Err(error) => return copy.fail(entry.path.as_str(), &error).await,
    };
    match give_content(copy, &download).await {
        Ok(true) => {
            if let Err(error) = download.finish().await {
                copy.failures += 1;
                copy.terminal.complain(&format!("scp: {}: {}\n", entry.path, error.message())).await?;
            }
            Ok(())
        }
        Ok(false) => {
            download.fail(Error::new(ErrorKind::Incomplete, "the client could not take the file")).await;
            Ok(())
        }
        Err(Stopped { end, error }) => {
            download.fail(error).await;
            Err(end)
        }
    }
}

/// A download that broke off, and with it the whole copy.
struct Stopped {
    end: End,
    error: Error,
}

impl<T: Into<End>> From<T> for Stopped {
    fn from(end: T) -> Self {
        Self { end: end.into(), error: Error::broken_off() }
    }
}

/// Whether the client has the file.
async fn give_content<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    download: &F::Download,
) -> Result<bool, Stopped> {
    let entry = download.entry().clone();
    let Some(name) = entry.path.name() else { return Ok(false) };
    let record = Record::File { mode: mode_of(&entry), size: entry.size, name: name.as_str().as_bytes() };
    if !announce(copy, &entry, &record).await? {
        return Ok(false);
    }
    let mut offset = 0;
    while offset < entry.size {
        let want = PIECE.min(entry.size - offset) as usize;
        let read = {
            let _busy = Busy::of(copy.flow);
            download.read_at(offset, want).await
        };
        let read = read.and_then(|piece| {
            if piece.is_empty() { Err(Error::internal("a file is shorter than its size")) } else { Ok(piece) }
        });
        match read {
            Ok(piece) => {
                offset += piece.len() as u64;
                copy.terminal.send(piece).await?;
            }
            Err(error) => {
                // OpenSSH sends zeros for what it cannot read. Here the client rather gets less than was announced, and
                // knows: there is no other way to say it in the middle of a file.
                copy.terminal.complain(&format!("scp: {}: {}\n", entry.path, error.message())).await?;
                return Err(Stopped { end: End::Given, error });
            }
        }
    }
    copy.terminal.send(bytes::Bytes::from_static(&[OK])).await?;
    Ok(copy.answered().await?)
}

/// Whole seconds, as OpenSSH sends them.
fn times_of(entry: &Entry) -> Times {
    let seconds = |micros: i64| u64::try_from(micros.div_euclid(1_000_000)).unwrap_or(0);
    Times {
        modified: (seconds(entry.modified_at), 0),
        accessed: (seconds(entry.attributes.accessed_at.unwrap_or(entry.modified_at)), 0),
    }
}
