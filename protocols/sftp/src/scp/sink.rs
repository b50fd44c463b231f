//! `scp -t`: files come in. Every file is an upload like those of SFTP; the answer to its last byte is given after the
//! commit. Where a file cannot be taken, that is answered, and what comes next is taken.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Name, Result, UploadOptions, VirtualPath};
use tokio_util::sync::CancellationToken;

use super::record::{self, Record, Times};
use super::{End, Exchange, LONGEST};
use crate::exec::{Busy, Console, Line, expand};
use crate::files::{Files, Writing};
use crate::session::Gone;

/// A folder that is being filled, or the target that the client named.
struct Level {
    path: VirtualPath,
    /// Whether it is a folder; otherwise what comes takes its place.
    folder: bool,
    /// Whether a file cannot take its place: the target ends in a slash.
    wanted: bool,
    /// What came for the next file or folder.
    times: Option<Times>,
    /// What the folder is to have when all that is in it has come.
    at_end: Attributes,
}

impl Level {
    const fn folder(path: VirtualPath, at_end: Attributes) -> Self {
        Self { path, folder: true, wanted: false, times: None, at_end }
    }

    /// The path of what comes under this name.
    fn place(&self, name: &Name, operation: Operation) -> Result<VirtualPath> {
        if self.folder {
            return self.path.join(name);
        }
        if self.wanted && operation == Operation::Upload {
            return Err(Error::no_such_folder());
        }
        Ok(self.path.clone())
    }
}

/// Takes files until the client has no more.
pub(super) async fn run<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    shutdown: &CancellationToken,
) -> Result<(), End> {
    let mut levels = vec![target(copy).await?];
    copy.acknowledge().await?;
    while let Some(level) = levels.last_mut() {
        let first = tokio::select! {
            biased;
            // First, or a client that sends without a pause would not be told.
            () = shutdown.cancelled() => {
                return Err(End::Fatal("the gateway is shutting down; send the rest again later".to_owned()));
            }
            byte = copy.stdin.byte() => byte?,
        };
        let Some(first) = first else { return Ok(()) };
        let mut line = vec![first];
        match copy.stdin.line(LONGEST).await? {
            Line::Whole(_) if first == b'\n' => {
                return Err(End::Fatal("an empty line came instead of a message".to_owned()));
            }
            Line::Whole(rest) => line.extend(rest),
            Line::TooLong => return Err(End::Fatal("a message is too long".to_owned())),
            Line::Cut => return Err(End::Ended),
        }
        match record::parse(&line).map_err(|malformed| End::Fatal(malformed.0.to_owned()))? {
            Record::Warning => copy.failures += 1,
            Record::Fatal => return Err(End::Given),
            Record::Times(times) => {
                level.times = Some(times);
                copy.acknowledge().await?;
            }
            Record::End => {
                if let Some(left) = levels.pop() {
                    leave(copy, left).await;
                }
                copy.acknowledge().await?;
            }
            Record::File { mode, size, name } => {
                let attributes = attributes(copy, mode, level.times.take());
                match admit(copy, level, Operation::Upload, name).await? {
                    Ok(path) => take_file(copy, &path, size, attributes).await?,
                    Err(error) => copy.fail(&String::from_utf8_lossy(name), &error).await?,
                }
            }
            Record::Folder { mode, name } => {
                if !copy.scp.recursive {
                    return Err(End::Fatal("a folder came without -r".to_owned()));
                }
                let attributes = attributes(copy, mode, level.times.take());
                let entered = match admit(copy, level, Operation::Mkdir, name).await? {
                    Ok(path) => enter(copy, path, attributes).await,
                    Err(error) => Err(error),
                };
                match entered {
                    Ok(below) => {
                        levels.push(below);
                        copy.acknowledge().await?;
                    }
                    Err(error) => copy.fail(&String::from_utf8_lossy(name), &error).await?,
                }
            }
        }
    }
    Ok(())
}

/// The target that the client named.
async fn target<F: Files, C: Console>(copy: &mut Exchange<'_, F, C>) -> Result<Level, End> {
    let _busy = Busy::of(copy.flow);
    let fatal = |path: &str, error: &Error| End::Fatal(format!("{path}: {}", error.message()));
    let word = copy.scp.paths.first().cloned().unwrap_or_default();
    let mut named = expand(copy.files, &word).await.map_err(|error| fatal(&word.text(), &error))?;
    let (Some(text), true) = (named.pop(), named.is_empty()) else {
        return Err(End::Fatal(format!("{}: this stands for several targets; name one", word.text())));
    };
    let path = match VirtualPath::resolve(&VirtualPath::root(), text.as_bytes()) {
        Ok(path) => path,
        Err(error) => {
            copy.files.refused(Operation::Upload, &text, &error).await;
            return Err(fatal(&text, &error));
        }
    };
    let wanted = copy.scp.into_folder || text.ends_with('/');
    let folder = match copy.files.stat(&path).await {
        Ok(entry) => entry.folder,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoSuchFolder | ErrorKind::NotFolder => false,
            // Who may put files here and see none has to say by a slash that it is a folder.
            ErrorKind::PermissionDenied => wanted || path.is_root(),
            _ => {
                copy.files.failed(Operation::Upload, &path, &error).await;
                return Err(fatal(&text, &error));
            }
        },
    };
    if copy.scp.into_folder && !folder {
        let error = Error::new(ErrorKind::NotFolder, "this is not a folder; make it first");
        copy.files.failed(Operation::Upload, &path, &error).await;
        return Err(fatal(&text, &error));
    }
    Ok(Level { path, folder, wanted, times: None, at_end: Attributes::default() })
}

/// What the client sent of modes and times. Without `-p` the bits that let group and others write are left out, as a
/// server's umask does.
fn attributes<F, C>(copy: &Exchange<'_, F, C>, mode: u32, times: Option<Times>) -> Attributes {
    let micros =
        |(seconds, part): (u64, u32)| (seconds as i64).saturating_mul(1_000_000).saturating_add(i64::from(part));
    Attributes {
        modified_at: times.map(|times| micros(times.modified)),
        accessed_at: times.map(|times| micros(times.accessed)),
        mode: Some(if copy.scp.preserve { mode } else { mode & !0o022 }),
        uid: None,
        gid: None,
    }
}

/// The path that a name stands for. A name that would lead elsewhere ends it all, as no honest client sends one; one that
/// is not allowed here is refused. Both are put on record.
async fn admit<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    level: &Level,
    operation: Operation,
    name: &[u8],
) -> Result<Result<VirtualPath>, End> {
    let shown = String::from_utf8_lossy(name);
    let recorded = format!("{}/{shown}", level.path.as_str().trim_end_matches('/'));
    if name.is_empty() || name.contains(&b'/') || matches!(name, b"." | b"..") {
        let error = Error::new(ErrorKind::InvalidName, "this name would lead out of the folder; send a plain name");
        copy.files.refused(operation, &recorded, &error).await;
        return Err(End::Fatal(format!("{shown}: {}", error.message())));
    }
    let parsed = match std::str::from_utf8(name) {
        Ok(name) => Name::parse(name),
        Err(_) => Err(Error::new(ErrorKind::InvalidName, "the name is not UTF-8; set the client to UTF-8")),
    };
    match parsed {
        Ok(name) => {
            let place = level.place(&name, operation);
            if let Err(error) = &place {
                copy.files.failed(operation, &level.path, error).await;
            }
            Ok(place)
        }
        Err(error) => {
            copy.files.refused(operation, &recorded, &error).await;
            Ok(Err(error))
        }
    }
}

/// Makes a folder, or goes into the one that is there.
async fn enter<F: Files, C: Console>(copy: &Exchange<'_, F, C>, path: VirtualPath, set: Attributes) -> Result<Level> {
    let _busy = Busy::of(copy.flow);
    match copy.files.stat(&path).await {
        Ok(entry) if entry.folder => {
            let mode = set.mode.filter(|_| copy.scp.preserve);
            Ok(Level::folder(path, Attributes { mode, ..set }))
        }
        Ok(_) => {
            let error = Error::new(ErrorKind::NotFolder, "a file has that name; remove it or choose another target");
            copy.files.failed(Operation::Mkdir, &path, &error).await;
            Err(error)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            let seen = error.kind() == ErrorKind::NotFound;
            match copy.files.make_folder(&path, set).await {
                Ok(_) => {}
                // Who may put files here and see none cannot know that it is there.
                Err(there) if !seen && there.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            Ok(Level::folder(path, Attributes::default()))
        }
        Err(error) => {
            copy.files.failed(Operation::Mkdir, &path, &error).await;
            Err(error)
        }
    }
}

/// Sets what a folder that was there already is to have. That this may not be allowed is no failure of the copy.
async fn leave<F: Files, C: Console>(copy: &Exchange<'_, F, C>, level: Level) {
    if level.at_end.is_empty() {
        return;
    }
    let _busy = Busy::of(copy.flow);
    if let Err(error) = copy.files.set_attributes(&Target::Path(level.path.clone()), level.at_end).await {
        tracing::debug!(path = %level.path, %error, "scp: a folder keeps its attributes");
    }
}

/// Takes one file.
async fn take_file<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    path: &VirtualPath,
    size: u64,
    attributes: Attributes,
) -> Result<(), End> {
    let flow = copy.flow;
    let mut options = UploadOptions::new(Disposition::Replace);
    options.attributes = attributes;
    options.declared_size = Some(size);
    let begun = {
        let _busy = Busy::of(flow);
        copy.files.begin_upload(path, options).await
    };
    let upload = match begun {
        Ok(upload) => upload,
        Err(error) => return copy.fail(path.as_str(), &error).await,
    };
    let (upload, declared) = match receive(copy, upload, size).await {
        (upload, Ok(declared)) => (upload, declared),
        (Some(upload), Err(end)) => {
            upload.detach(cut(&end)).await;
            return Err(end);
        }
        (None, Err(end)) => return Err(end),
    };
    let done = match (upload, declared) {
        (Some(upload), Declared::Complete) => {
            let _busy = Busy::of(flow);
            upload.commit().await.map(drop)
        }
        (Some(upload), Declared::Broken(error)) => {
            upload.detach(error.clone()).await;
            Err(error)
        }
        (None, Declared::Complete) => Err(Error::internal("an upload was lost without an error")),
        (None, Declared::Broken(error)) => Err(error),
    };
    match done {
        Ok(()) => copy.acknowledge().await,
        Err(error) => copy.fail(path.as_str(), &error).await,
    }
}

/// What a file's last byte and what followed it came to.
enum Declared {
    Complete,
    Broken(Error),
}

/// Receives the bytes of a file and the byte behind them. All of them are taken off the line, even when they cannot be
/// used any more: what comes next stands behind them. The upload is handed back where it has not been given up.
async fn receive<F: Files, C: Console>(
    copy: &mut Exchange<'_, F, C>,
    upload: F::Upload,
    size: u64,
) -> (Option<F::Upload>, Result<Declared, End>) {
    if let Err(end) = copy.acknowledge().await {
        return (Some(upload), Err(end));
    }
    let flow = copy.flow;
    let mut upload = Some(upload);
    let mut broken = None;
    let mut left = size;
    while left > 0 {
        let piece = match copy.stdin.piece(left).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return (upload, Err(End::Ended)),
            Err(Gone) => return (upload, Err(End::Gone)),
        };
        left = left.saturating_sub(piece.len() as u64);
        if let Some(open) = upload.take() {
            let _busy = Busy::of(flow);
            match open.append(piece).await {
                Ok(()) => upload = Some(open),
                Err(error) => {
                    open.detach(error.clone()).await;
                    broken = Some(error);
                }
            }
        }
    }
    let declared = match copy.answered().await {
        Ok(true) => Ok(broken.map_or(Declared::Complete, Declared::Broken)),
        Ok(false) => {
            let unread =
                || Error::new(ErrorKind::Incomplete, "the client could not read the whole file; nothing was published");
            Ok(Declared::Broken(broken.unwrap_or_else(unread)))
        }
        Err(end) => Err(end),
    };
    (upload, declared)
}

/// Why what is open now stays incomplete.
fn cut(end: &End) -> Error {
    let sentence = match end {
        End::Gone => return Error::broken_off(),
        End::Ended => "the client ended its input before the file was complete",
        End::Given => "the client gave the copy up before the file was complete",
        End::Fatal(_) => "the client did not say that the file is complete",
    };
    Error::new(ErrorKind::Incomplete, sentence)
}
