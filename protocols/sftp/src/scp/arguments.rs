//! The command line by which a client's `scp` calls the server's: `scp [-v] [-r] [-p] [-d] -t|-f [--] path…`.

use crate::exec::{Word, printable};

/// The name of the command.
pub(crate) const PROGRAM: &str = "scp";

/// Which way the files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// `-t`: to here.
    Sink,
    /// `-f`: from here.
    Source,
}

/// A call of scp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scp {
    direction: Direction,
    /// `-r`: folders too.
    pub(super) recursive: bool,
    /// `-p`: modes and times are kept.
    pub(super) preserve: bool,
    /// `-d`: the target has to be a folder.
    pub(super) into_folder: bool,
    /// The target, or the sources.
    pub(super) paths: Vec<Word>,
}

impl Scp {
    /// Reads the words behind the command's name. Fails with what is wrong, for the client.
    pub(crate) fn parse(arguments: &[Word]) -> Result<Self, String> {
        let mut this = Self {
            direction: Direction::Sink,
            recursive: false,
            preserve: false,
            into_folder: false,
            paths: Vec::new(),
        };
        let mut direction = None;
        let mut rest = arguments.iter();
        for word in rest.by_ref() {
            let text = word.text();
            let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                this.paths.push(word.clone());
                break;
            };
            if letters == "-" {
                break;
            }
            for letter in letters.chars() {
                match letter {
                    't' => direction = Some(Direction::Sink),
                    'f' => direction = Some(Direction::Source),
                    'r' => this.recursive = true,
                    'p' => this.preserve = true,
                    'd' => this.into_folder = true,
                    // Verbose, quiet: there is nothing more to say.
                    'v' | 'q' => {}
                    other => {
                        return Err(format!("scp: the option `-{}` is not known here", printable(&other.to_string())));
                    }
                }
            }
        }
        this.paths.extend(rest.cloned());
        let Some(direction) = direction else {
            return Err("scp: it only serves a client's scp here, which calls it with -t or -f".to_owned());
        };
        this.direction = direction;
        match (direction, this.paths.len()) {
            (Direction::Sink, 1) | (Direction::Source, 1..) => Ok(this),
            (Direction::Sink | Direction::Source, 0) => Err("scp: no path is named".to_owned()),
            (Direction::Sink, _) => Err("scp: several targets are named; quote the spaces in a name".to_owned()),
        }
    }

    /// Whether files come in.
    pub(crate) fn is_sink(&self) -> bool {
        self.direction == Direction::Sink
    }
}
