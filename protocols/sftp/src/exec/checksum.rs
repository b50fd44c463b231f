//! `md5sum`, `sha256sum` and their like: what clients ask a server for to compare files (rclone, scripts). Output and
//! options are those of coreutils, of BSD's `md5 -r`, and of perl's `crc32`.
//!
//! Every digest of a file needs the permission to download it, and is on record as a download that sent nothing. SHA-256
//! comes from the ledger; for the others the content is read on this side of the wire, so no `file.downloaded` is told.

use causeway_core::{Error, Result, VirtualPath};

use super::glob::expand;
use super::words::Word;
use super::{Busy, Console, Stdin, Terminal};
use crate::checksum::{Algorithm, Checksums};
use crate::files::{Content, Files};
use crate::flow::Flow;
use crate::session::Gone;

/// What is read of a file at once: hashing it holds up nobody.
const PIECE: usize = 256 * 1024;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `hash  path`, or `hash *path`.
    Sum { binary: bool },
    /// `MD5 (path) = hash`.
    Tag,
    /// `hash path`, as BSD's `-r` has it.
    Reversed,
    /// The hash alone.
    Bare,
    /// The hash alone for one file, `hash<TAB>path` for several.
    Crc,
}

/// A checksum command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    program: String,
    algorithm: Algorithm,
    style: Style,
    /// Whether lines end in NUL, and nothing is escaped.
    zero: bool,
    paths: Vec<Word>,
}

impl Checksum {
    /// The command of this name with these arguments; none where it is no checksum command. Fails with what is wrong.
    pub(super) fn parse(program: &str, arguments: &[Word]) -> Option<Result<Self, String>> {
        let find = |name| Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        let (algorithm, style) = match program.strip_suffix("sum") {
            Some(name) => (find(name).filter(|found| *found != Algorithm::Crc32)?, Style::Sum { binary: false }),
            None if program == "crc32" => (Algorithm::Crc32, Style::Crc),
            None => (find(program)?, Style::Tag),
        };
        let bsd = style == Style::Tag;
        let mut this = Self { program: program.to_owned(), algorithm, style, zero: false, paths: Vec::new() };
        let mut options = true;
        for word in arguments {
            let text = word.text();
            match text.as_str() {
                "--" if options => options = false,
                option if options && option.len() > 1 && option.starts_with('-') => match (option, bsd, algorithm) {
                    (_, _, Algorithm::Crc32) => return Some(Err(unknown(program, option))),
                    ("-r", true, _) => this.style = Style::Reversed,
                    ("-q" | "-qr" | "-rq", true, _) => this.style = Style::Bare,
                    ("-b" | "--binary", false, _) => this.style = Style::Sum { binary: true },
                    ("-t" | "--text", false, _) => this.style = Style::Sum { binary: false },
                    ("--tag", false, _) => this.style = Style::Tag,
                    ("-z" | "--zero", false, _) => this.zero = true,
                    _ => return Some(Err(unknown(program, option))),
                },
                _ => this.paths.push(word.clone()),
            }
        }
        Some(Ok(this))
    }

    /// Runs it. Returns the exit status.
    pub(super) async fn run<F: Files, C: Console>(
        &self,
        files: &F,
        stdin: &mut Stdin,
        terminal: &mut Terminal<C>,
        flow: &Flow,
    ) -> Result<u32, Gone> {
        if self.paths.is_empty() {
            let hash = self.hash_input(stdin).await?;
            // BSD's commands and crc32 name no file where none was given.
            let line = if let Style::Sum { .. } = self.style { self.line(&hash, "-", 1) } else { format!("{hash}\n") };
            terminal.send(line.into()).await?;
            return Ok(0);
        }
        let mut status = 0;
        for word in &self.paths {
            let paths = match self.paths_of(files, word, flow).await {
                Ok(paths) => paths,
                Err(error) => {
                    status = 1;
                    self.complain(terminal, &word.text(), &error).await?;
                    continue;
                }
            };
            let count = self.paths.len().max(paths.len());
            for path in paths {
                let hash = if path == "-" {
                    Ok(self.hash_input(stdin).await?)
                } else {
                    let _busy = Busy::of(flow);
                    self.hash_file(files, &path, terminal).await?
                };
                match hash {
                    Ok(hash) => terminal.send(self.line(&hash, &path, count).into()).await?,
                    Err(error) => {
                        status = 1;
                        self.complain(terminal, &path, &error).await?;
                    }
                }
            }
        }
        Ok(status)
    }

    async fn paths_of<F: Files>(&self, files: &F, word: &Word, flow: &Flow) -> Result<Vec<String>> {
        let _busy = Busy::of(flow);
        expand(files, word).await
    }

    async fn complain<C: Console>(&self, terminal: &mut Terminal<C>, path: &str, error: &Error) -> Result<(), Gone> {
        terminal.complain(&format!("{}: {}: {}\n", self.program, printable(path), error.message())).await
    }

    async fn hash_input(&self, stdin: &mut Stdin) -> Result<String, Gone> {
        let mut sums = Checksums::new(self.algorithm, None);
        while let Some(piece) = stdin.piece(PIECE as u64).await? {
            sums.update(&piece);
            tokio::task::yield_now().await;
        }
        Ok(hex::encode(sums.finish()))
    }

    /// The hash of a file. The outer error: the client is gone.
    async fn hash_file<F: Files, C: Console>(
        &self,
        files: &F,
        path: &str,
        terminal: &Terminal<C>,
    ) -> Result<Result<String>, Gone> {
        let path = match VirtualPath::resolve(&VirtualPath::root(), path.as_bytes()) {
            Ok(path) => path,
            Err(error) => return Ok(Err(error)),
        };
        let source = match files.examine(&path).await {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        if self.algorithm == Algorithm::Sha256
            && let Some(known) = source.sha256()
        {
            return Ok(Ok(hex::encode(known)));
        }
        let mut sums = Checksums::new(self.algorithm, None);
        let mut offset = 0;
        loop {
            if terminal.is_lost() {
                return Err(Gone);
            }
            match source.read_at(offset, PIECE).await {
                Ok(piece) if piece.is_empty() => return Ok(Ok(hex::encode(sums.finish()))),
                Ok(piece) => {
                    offset += piece.len() as u64;
                    sums.update(&piece);
                    tokio::task::yield_now().await;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn line(&self, hash: &str, path: &str, count: usize) -> String {
        let end = if self.zero { '\0' } else { '\n' };
        // coreutils marks a line whose name it had to escape by a backslash at its beginning.
        let special = !self.zero && path.contains(['\\', '\n', '\r']);
        let escaped = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        let (mark, name) = if special { ("\\", escaped.as_str()) } else { ("", path) };
        match self.style {
            Style::Sum { binary } => format!("{mark}{hash} {}{name}{end}", if binary { '*' } else { ' ' }),
            Style::Tag => format!("{mark}{} ({name}) = {hash}{end}", self.algorithm.name().to_uppercase()),
            Style::Reversed => format!("{hash} {path}{end}"),
            Style::Crc if count > 1 => format!("{hash}\t{path}{end}"),
            Style::Bare | Style::Crc => format!("{hash}{end}"),
        }
    }
}

fn unknown(program: &str, option: &str) -> String {
    format!("{program}: the option `{}` is not known here", printable(option))
}

/// A text of a client's without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
