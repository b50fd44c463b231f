//! What a transfer takes from: a path, or a pattern (POSIX.1-2017, section 2.13) whose parts may have `*`, `?` and `[…]`, and
//! `**` for any number of folders. Matched letter by letter, within one name; a dot at the beginning is a letter like others.

use std::str::Chars;

use crate::error::{Error, ErrorKind, Result};
use crate::path::{Name, VirtualPath};

/// One piece of a name's pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Letter(char),
    One,
    Any,
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Piece {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Letter(own) => *own == letter,
            Self::One | Self::Any => true,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
            }
        }
    }
}

/// What one part of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A name that matches.
    Named(NamePattern),
    /// Any number of folders, none too.
    Deep,
}

/// The pattern of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamePattern(Vec<Piece>);

impl NamePattern {
    fn parse(text: &str) -> Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let piece = match letter {
                '*' => Piece::Any,
                '?' => Piece::One,
                '[' => {
                    let (set, rest) = set(letters.clone()).ok_or_else(|| {
                        let sentence = "a `[` of the pattern is not closed; write `[[]` for the letter itself";
                        Error::new(ErrorKind::InvalidArgument, sentence)
                    })?;
                    letters = rest;
                    set
                }
                letter => Piece::Letter(letter),
            };
            if !(piece == Piece::Any && pieces.last() == Some(&Piece::Any)) {
                pieces.push(piece);
            }
        }
        Ok(Self(pieces))
    }

    /// Whether a name matches. Time is bounded by the product of both lengths.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (mut pieces, mut letters) = (self.0.as_slice(), name.chars());
        // What stands behind the last `*`, and the letters that it has not eaten yet.
        let mut star: Option<(&[Piece], Chars<'_>)> = None;
        loop {
            let step = match pieces.split_first() {
                Some((Piece::Any, after)) => {
                    star = Some((after, letters.clone()));
                    pieces = after;
                    continue;
                }
                Some((piece, after)) => letters.next().map(|letter| piece.takes(letter).then_some(after)),
                None => letters.next().map(|_| None),
            };
            match (step, &mut star) {
                (Some(Some(after)), _) => pieces = after,
                (None, _) => return pieces.is_empty(),
                (Some(None), Some((after, eaten))) => {
                    eaten.next();
                    (pieces, letters) = (*after, eaten.clone());
                }
                (Some(None), None) => return false,
            }
        }
    }
}

/// What follows a `[`: the set and what is behind it, or none where it is not closed.
fn set(mut letters: Chars<'_>) -> Option<(Piece, Chars<'_>)> {
    let mut negated = false;
    let mut ahead = letters.clone();
    if matches!(ahead.next(), Some('!' | '^')) {
        negated = true;
        letters = ahead;
    }
    let mut ranges = Vec::new();
    loop {
        let first = letters.next()?;
        if first == ']' && !ranges.is_empty() {
            return Some((Piece::Set { negated, ranges }, letters));
        }
        let mut ahead = letters.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                letters = ahead;
                ranges.push((first, last));
            }
            _ => ranges.push((first, first)),
        }
    }
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// What a transfer takes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: VirtualPath,
    base: VirtualPath,
    parts: Vec<Part>,
}

impl Source {
    /// Reads a path below a session's root; with `*`, `?` or `[` in it, it is a pattern. Fails with `InvalidName`, or with
    /// `InvalidArgument` for a `[` that is not closed.
    pub fn parse(text: &str) -> Result<Self> {
        let path = VirtualPath::parse(text)?;
        let (mut base, mut parts) = (VirtualPath::root(), Vec::new());
        for part in path.parts() {
            if parts.is_empty() && !is_pattern(part) {
                base = base.join(&Name::parse(part)?)?;
            } else if part == "**" {
                if parts.last() != Some(&Part::Deep) {
                    parts.push(Part::Deep);
                }
            } else {
                parts.push(Part::Named(NamePattern::parse(part)?));
            }
        }
        // All that lies in any folder below.
        if parts.last() == Some(&Part::Deep) {
            parts.push(Part::Named(NamePattern(vec![Piece::Any])));
        }
        Ok(Self { path, base, parts })
    }

    /// The path, or the pattern as it was written.
    pub const fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// The folder below which a pattern looks; of a path: itself.
    pub const fn base(&self) -> &VirtualPath {
        &self.base
    }

    /// Whether it is a pattern.
    pub const fn is_pattern(&self) -> bool {
        !self.parts.is_empty()
    }

    /// What the parts behind the base must be.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// What a folder's name leaves to be matched below it, and whether a file of that name matches: given the places in the
/// pattern that the way there may have come to.
pub(super) fn step(parts: &[Part], places: &[usize], name: &str) -> (Vec<usize>, bool) {
    let (mut below, mut whole) = (Vec::new(), false);
    let mut open: Vec<usize> = places.to_vec();
    while let Some(place) = open.pop() {
        let mut reach = |place: usize| {
            if place == parts.len() {
                whole = true;
            } else if !below.contains(&place) {
                below.push(place);
            }
        };
        match parts.get(place) {
            Some(Part::Deep) => {
                reach(place);
                open.push(place + 1);
            }
            Some(Part::Named(pattern)) if pattern.matches(name) => reach(place + 1),
            _ => {}
        }
    }
    (below, whole)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let source = Source::parse(pattern).unwrap();
        let Some(below) = VirtualPath::parse(path).unwrap().below(source.base()) else { return false };
        let names: Vec<&str> = below.parts().collect();
        let mut places = vec![0];
        for (at, name) in names.iter().enumerate() {
            let (below, whole) = step(source.parts(), &places, name);
            if at + 1 == names.len() {
                return whole;
            }
            places = below;
        }
        false
    }

    #[test]
    fn parts_match_within_one_name() {
        for (pattern, yes, no) in [
            ("/in/*.csv", "/in/a.csv", "/in/x/a.csv"),
            ("/in/?", "/in/é", "/in/ab"),
            ("/in/[a-c]x", "/in/bx", "/in/dx"),
            ("/in/[!a-c]x", "/in/dx", "/in/ax"),
            ("/in/[]]", "/in/]", "/in/["),
            ("/in/[*]", "/in/*", "/in/a"),
            ("/in/[a-]", "/in/-", "/in/b"),
            ("/in/*a*b*", "/in/xaxbx", "/in/xbxa"),
            ("/in/*/x", "/in/a/x", "/in/a/b/x"),
            ("/in/{a,b}*", "/in/{a,b}c", "/in/ac"),
            ("/in/**", "/in/a/b/c", "/out/a"),
            ("/in/**/x", "/in/x", "/in/x/y"),
            ("/in/**/x", "/in/a/b/x", "/in/a/b/xx"),
            ("/in/**/b/*.csv", "/in/a/b/1.csv", "/in/a/b/c/1.csv"),
            ("/*", "/.hidden", "/a/b"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn a_path_is_no_pattern_and_a_pattern_has_a_base() {
        let path = Source::parse("a/b/").unwrap();
        assert_eq!((path.is_pattern(), path.base().as_str()), (false, "/a/b"));
        let pattern = Source::parse("/a/b/*/c").unwrap();
        assert_eq!(
            (pattern.is_pattern(), pattern.base().as_str(), pattern.path().as_str()),
            (true, "/a/b", "/a/b/*/c")
        );
        for bad in ["/a/[", "/a/[]", "/a/[!", "/a/../*"] {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = NamePattern::parse(&"*a".repeat(120)).unwrap();
        assert!(!pattern.matches(&"a".repeat(100)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(254))));
    }

    proptest! {
        #[test]
        fn a_name_in_brackets_matches_itself_alone(name in "[a-z*?\\[!]{1,8}", other in "[a-z*?\\[!]{1,8}") {
            let quoted: String = name.chars().map(|c| if "*?[".contains(c) { format!("[{c}]") } else { c.to_string() }).collect();
            let pattern = NamePattern::parse(&quoted).unwrap();
            prop_assert!(pattern.matches(&name));
            prop_assert_eq!(pattern.matches(&other), name == other);
        }
    }
}
