//! What is wrong with a configuration file: every problem in one go, each with file, line, column and key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_span::Span;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file is right, but this build does not do it yet: a warning of `check`, an error of `serve`.
    NotBuilt,
    /// Worth a look; nothing stops for it.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key with its tables: `tenant.login.username`. Empty where the file itself is meant.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do about it. Never a secret's value.
    pub message: String,
}

/// Where something stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The key with its tables.
    pub key: String,
    /// Offset of its first byte in the file.
    pub offset: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub spot: Spot,
}

/// Collects the problems while a file is read, and knows what reading needs beside the text.
#[derive(Debug)]
pub struct Report {
    file: String,
    text: String,
    folder: PathBuf,
    resolve_secrets: bool,
    problems: RefCell<Vec<Problem>>,
    claimed: RefCell<BTreeMap<(&'static str, String), usize>>,
    /// Files that were read for it, beside the file itself.
    files: RefCell<BTreeSet<PathBuf>>,
    #[cfg(test)]
    asked: RefCell<BTreeSet<(String, String)>>,
}

impl Report {
    /// For the text of a file. `resolve_secrets`: whether references to secrets are looked up.
    pub fn new(path: &Path, text: &str, resolve_secrets: bool) -> Self {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self {
            file: path.display().to_string(),
            text: text.to_owned(),
            folder,
            resolve_secrets,
            problems: RefCell::default(),
            claimed: RefCell::default(),
            files: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Notes that a key was asked for, and how it is to be written.
    #[cfg(test)]
    pub fn note(&self, asked: impl FnOnce() -> (String, String)) {
        self.asked.borrow_mut().insert(asked());
    }

    /// Only tests want to know.
    #[cfg(not(test))]
    #[allow(clippy::unused_self)]
    pub fn note(&self, _: impl FnOnce() -> (String, String)) {}

    /// The keys that were asked for, with their forms.
    #[cfg(test)]
    pub fn asked(&self) -> BTreeSet<(String, String)> {
        self.asked.borrow().clone()
    }

    /// Notes that a file's content is a part of the configuration: where it changes, the configuration does.
    pub fn reads(&self, file: &Path) {
        self.files.borrow_mut().insert(file.to_owned());
    }

    /// Whether references to secrets are looked up.
    pub const fn resolves_secrets(&self) -> bool {
        self.resolve_secrets
    }

    /// A path as the file means it: relative ones are relative to the file's folder.
    pub fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn add(&self, spot: &Spot, severity: Severity, message: String) {
        let (line, column) = self.position(spot.offset);
        self.problems.borrow_mut().push(Problem { line, column, key: spot.key.clone(), severity, message });
    }

    /// Something that makes the file unusable.
    pub fn error(&self, spot: &Spot, message: impl Into<String>) {
        self.add(spot, Severity::Error, message.into());
    }

    /// Something that is right but not built yet and switched on.
    pub fn not_built(&self, spot: &Spot, what: &str) {
        self.add(spot, Severity::NotBuilt, format!("{what} is not built yet; leave it out until it is"));
    }

    /// Something worth a look.
    pub fn warning(&self, spot: &Spot, message: impl Into<String>) {
        self.add(spot, Severity::Warning, message.into());
    }

    /// Takes a name that must be unique in its space, or reports that it is taken.
    pub fn claim(&self, space: &'static str, scope: &str, name: &str, spot: &Spot) -> bool {
        let line = self.position(spot.offset).0;
        let key = (space, format!("{scope}\0{name}"));
        if let Some(first) = self.claimed.borrow().get(&key) {
            self.error(spot, format!("{space} `{name}` stands in line {first}, too; change one of them"));
            return false;
        }
        self.claimed.borrow_mut().insert(key, line);
        true
    }

    /// Takes a value that must be unique but must not be shown; false where it is taken.
    pub fn claim_quietly(&self, space: &'static str, value: &str) -> bool {
        self.claimed.borrow_mut().insert((space, value.to_owned()), 0).is_none()
    }

    /// Reports what the TOML parser found. It stops at the first error.
    pub fn syntax(&self, error: &toml_span::Error) {
        let spot = Spot { key: String::new(), offset: error.span.start };
        let hint = match error.kind {
            toml_span::ErrorKind::DuplicateKey { .. } | toml_span::ErrorKind::DuplicateTable { .. } => {
                "; remove one of the two"
            }
            _ => "; correct the syntax (TOML), other errors show afterwards",
        };
        self.error(&spot, format!("{error}{hint}"));
    }

    /// Ends the report: the problems in the order of the file.
    pub fn into_problems(self) -> Problems {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        problems.dedup();
        Problems { file: self.file, list: problems, files: self.files.into_inner() }
    }
}

/// The problems of a file, in the order of its lines.
#[derive(Debug)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
    files: BTreeSet<PathBuf>,
}

impl Problems {
    /// The one problem that the file cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot be read: {error}; name a readable file with --config");
        let problem = Problem { line: 0, column: 0, key: String::new(), severity: Severity::Error, message };
        Self { file: path.display().to_string(), list: vec![problem], files: BTreeSet::new() }
    }

    /// The files whose content is a part of the configuration, beside the file itself.
    pub const fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Whether any has this severity.
    pub fn has(&self, severity: Severity) -> bool {
        self.list.iter().any(|p| p.severity == severity)
    }

    /// How many have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|p| p.severity == severity).count()
    }

    /// One line for each, `file:line:column: severity: key: message`. Where `not_built_is_error`, what is not built
    /// yet is called an error, else a warning.
    pub fn render(&self, not_built_is_error: bool) -> String {
        self.list.iter().fold(String::new(), |mut out, problem| {
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::NotBuilt if not_built_is_error => "error",
                Severity::NotBuilt | Severity::Warning => "warning",
            };
            let _ = write!(out, "{}:", self.file);
            if problem.line > 0 {
                let _ = write!(out, "{}:{}:", problem.line, problem.column);
            }
            let _ = write!(out, " {severity}: ");
            if !problem.key.is_empty() {
                let _ = write!(out, "{}: ", problem.key);
            }
            let _ = writeln!(out, "{}", problem.message);
            out
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(true))
    }
}

/// Where a span begins.
pub const fn start(span: Span) -> usize {
    span.start
}
