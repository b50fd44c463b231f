//! `[[tenant.mapping]]`: a rule that stands for many logins of one shape. What a name's groups captured can stand in the
//! home and in the name of the key file, each as one component of a path, or a piece of one.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use regex::{Captures, Regex};

use super::{Automaton, Login, Protocol, Require};
use crate::path::VirtualPath;

/// The longest name that a rule is asked about, in bytes: what a configured username may have.
const MAX_USERNAME: usize = 128;

/// What makes a pattern one of the whole name.
const WHOLE_BEGIN: &str = r"\A(?:";
const WHOLE_END: &str = r")\z";

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The pattern is no regular expression.
    Pattern(String),
    /// The pattern needs too much memory.
    TooLarge(String),
    /// A `${` without `}`.
    Unclosed(String),
    /// A `${name}` that is no group of the pattern.
    UnknownGroup(String),
    /// The key file's path leads out of its folder, or is none.
    Outside(String),
    /// The home is no path of the tree.
    Home(String),
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(text) => {
                write!(f, "`{text}` is no regular expression; correct it, named groups are written (?<name>…)")
            }
            Self::TooLarge(text) => {
                write!(f, "`{text}` is too large a regular expression; write a simpler one")
            }
            Self::Unclosed(text) => write!(f, "`{text}` has a ${{ without its }}; close it"),
            Self::UnknownGroup(name) => {
                write!(f, "`${{{name}}}` is no named group of `username`; write (?<{name}>…) there")
            }
            Self::Outside(text) => {
                write!(f, "`{text}` is outside this file's folder; write a path below it")
            }
            Self::Home(text) => {
                write!(f, "`{text}` is no path in the tree; begin it with / and give every part a name")
            }
        }
    }
}

impl std::error::Error for MappingError {}

/// A regular expression that must match the whole name. It takes linear time, whatever the name is.
#[derive(Clone, Debug)]
pub struct NamePattern(Regex);

impl NamePattern {
    /// Reads one.
    pub fn new(text: &str) -> Result<Self, MappingError> {
        let wrong = |error| match error {
            regex::Error::CompiledTooBig(_) => MappingError::TooLarge(text.to_owned()),
            _ => MappingError::Pattern(text.to_owned()),
        };
        // By itself first: `a)|(b` would be one between the parentheses that follow.
        Regex::new(text).map_err(wrong)?;
        Regex::new(&format!("{WHOLE_BEGIN}{text}{WHOLE_END}")).map(Self).map_err(wrong)
    }

    /// To be compared with another one; none where it is too large for that.
    pub fn automaton(&self) -> Option<Automaton> {
        Automaton::of(self.0.as_str())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        let text = self.0.as_str();
        text.strip_prefix(WHOLE_BEGIN).and_then(|text| text.strip_suffix(WHOLE_END)).unwrap_or(text)
    }

    fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|known| known == name)
    }
}

/// A path with `${name}` in it.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(String),
}

/// As it was written.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Group(name) => write!(f, "${{{name}}}"),
        })
    }
}

impl PathTemplate {
    /// A home: a path of the tree.
    pub fn home(text: &str, pattern: &NamePattern) -> Result<Self, MappingError> {
        let template = Self::parse(text, pattern)?;
        let sample = template.sample();
        if !text.starts_with('/') || !is_whole(&sample) || VirtualPath::parse(&sample).is_err() {
            return Err(MappingError::Home(text.to_owned()));
        }
        Ok(template)
    }

    /// A key file: a relative path of plain names.
    pub fn key_file(text: &str, pattern: &NamePattern) -> Result<Self, MappingError> {
        let template = Self::parse(text, pattern)?;
        if !template.sample().split('/').all(is_plain) {
            return Err(MappingError::Outside(text.to_owned()));
        }
        Ok(template)
    }

    fn parse(text: &str, pattern: &NamePattern) -> Result<Self, MappingError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or_else(|| MappingError::Unclosed(text.to_owned()))?;
            if !pattern.has_group(name) {
                return Err(MappingError::UnknownGroup(name.to_owned()));
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Group(name.to_owned()));
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// With `x` in every group's place.
    fn sample(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Group(_) => "x".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// With what the groups captured. None where that would be another path than the one that was written: where a group
    /// captured nothing or more than a part of a name, or a part becomes `.` or `..`.
    fn fill(&self, captures: &Captures<'_>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(name) => {
                    let captured = captures.name(name)?.as_str();
                    if !is_plain(captured) {
                        return None;
                    }
                    out.push_str(captured);
                }
            }
        }
        is_whole(&out).then_some(out)
    }
}

/// Whether every part of this path, absolute or not, is a plain name; the root has none.
fn is_whole(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').unwrap_or(path).split('/').all(is_plain)
}

/// Whether this is one component of a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.chars().any(|c| c == '/' || c.is_control())
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Slug from the configuration.
    pub id: Arc<str>,
    /// The names that it is for.
    pub username: NamePattern,
    /// The identity's id, in the same tenant.
    pub identity: Arc<str>,
    /// The protocols that its logins may come by.
    pub protocols: Vec<Protocol>,
    /// Start folder and root of each, in the identity's view.
    pub home: PathTemplate,
    /// Each one's file of keys, relative to the configuration's folder.
    pub authorized_keys_file: Option<PathTemplate>,
    /// What each must prove.
    pub require: Require,
    /// Networks that they may come from; empty: all.
    pub allow_from: Vec<IpNet>,
}

impl Mapping {
    /// The login that it makes of a name; none where the name is not one of its.
    pub fn login(&self, name: &str) -> Option<Login> {
        let strange = |c: char| c.is_control() || c.is_whitespace() || c == '/';
        if name.is_empty() || name.len() > MAX_USERNAME || name.chars().any(strange) {
            return None;
        }
        let captures = self.username.0.captures(name)?;
        let home = VirtualPath::parse(&self.home.fill(&captures)?).ok()?;
        let authorized_keys_file = match &self.authorized_keys_file {
            Some(template) => Some(template.fill(&captures)?),
            None => None,
        };
        Some(Login {
            username: name.into(),
            identity: self.identity.clone(),
            protocols: self.protocols.clone(),
            password_hash: None,
            totp_secret: None,
            client_certificates: Vec::new(),
            authorized_keys: Vec::new(),
            authorized_keys_file,
            require: self.require,
            allow_from: self.allow_from.clone(),
            home,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn mapping(id: &str, username: &str, home: &str, file: &str) -> Result<Mapping, MappingError> {
        let username = NamePattern::new(username)?;
        Ok(Mapping {
            id: id.into(),
            home: PathTemplate::home(home, &username)?,
            authorized_keys_file: Some(PathTemplate::key_file(file, &username)?),
            username,
            identity: "app".into(),
            protocols: vec![Protocol::Sftp],
            require: Require::Any,
            allow_from: Vec::new(),
        })
    }

    #[test]
    fn captures_stand_in_home_and_key_file() {
        let rule = mapping("m", "branch-(?<nr>[0-9]{3})", "/inbound/branch-${nr}", "keys/branch-${nr}.pub").unwrap();
        let login = rule.login("branch-017").unwrap();
        assert_eq!(&*login.username, "branch-017");
        assert_eq!(login.home.as_str(), "/inbound/branch-017");
        assert_eq!(login.authorized_keys_file.as_deref(), Some("keys/branch-017.pub"));
        for other in ["branch-17", "branch-0171", "xbranch-017", "branch-017\n", "BRANCH-017", "branch-abc", ""] {
            assert!(rule.login(other).is_none(), "{other:?}");
        }
        let fixed = mapping("m", "a|b", "/", "keys/all.pub").unwrap();
        assert_eq!(fixed.login("b").unwrap().home.as_str(), "/");
        assert!(fixed.login("ab").is_none() && fixed.login("a/").is_none());
    }

    #[test]
    fn what_is_captured_is_one_part_of_a_name() {
        let rule = mapping("m", "(?<a>[^-]*)-?(?<b>.*)", "/in/${a}${b}", "keys/${a}").unwrap();
        for name in ["..", "a-../../etc", "-x", "", "a-", ".-.", "..-x", "a-\u{7f}", "a- b", &"x".repeat(129)] {
            assert!(rule.login(name).is_none(), "{name:?}");
        }
        assert_eq!(rule.login("a-...").unwrap().home.as_str(), "/in/a...");
        let optional = mapping("m", "x(?<a>a)?", "/in/${a}", "keys/x").unwrap();
        assert!(optional.login("x").is_none(), "it captured nothing");
        assert!(optional.login("xa").is_some());
        let decomposed = mapping("m", "(?<a>.+)", "/in/${a}", "keys/x").unwrap();
        assert!(decomposed.login("e\u{301}").is_none(), "no name of the tree");
    }

    #[test]
    fn rules_that_cannot_be_used() {
        use MappingError as Wrong;
        let wrong = |username: &str, home: &str, file: &str| mapping("m", username, home, file).unwrap_err();
        assert_eq!(wrong("b-(", "/", "k"), Wrong::Pattern("b-(".into()));
        assert_eq!(wrong("a)|(?:b", "/", "k"), Wrong::Pattern("a)|(?:b".into()), "two patterns that are none alone");
        assert_eq!(wrong("(?:x{1000}){1000}", "/", "k"), Wrong::TooLarge("(?:x{1000}){1000}".into()));
        assert_eq!(wrong("a", "/${nr}", "k"), Wrong::UnknownGroup("nr".into()));
        assert_eq!(wrong("a", "/", "k/${nr}"), Wrong::UnknownGroup("nr".into()));
        assert_eq!(wrong("(?<a>.)", "/${a", "k"), Wrong::Unclosed("/${a".into()));
        for home in ["", "in", "/in/../x", "//"] {
            assert_eq!(wrong("a", home, "k"), Wrong::Home(home.into()), "{home}");
        }
        for file in ["", "/etc/k", "../k", "k/../../x", "k/", "./k", "a//b"] {
            assert_eq!(wrong("a", "/", file), Wrong::Outside(file.into()), "{file}");
        }
    }
}
