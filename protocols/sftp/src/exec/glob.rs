//! Patterns of file names (POSIX.1-2017, section 2.13): `*`, `?` and `[…]`, unquoted. No shell expands them here, so the
//! gateway does, in the names that the session may list. A pattern that nothing matches stands for itself, as in a shell.

use std::str::Chars;

use causeway_core::{Error, ErrorKind, Result, VirtualPath};

use super::words::{Letter, Word};
use crate::files::{Files, Paging};

/// Names that one word may stand for.
const MATCHES: usize = 10_000;
/// Bytes of the longest path that a pattern may stand for; what is longer is left out.
const LONGEST: usize = 4096;
/// Entries that are asked for at once.
const PAGE: u32 = 256;

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// This letter.
    Letter(char),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[…]`: one letter in these ranges, or in none of them.
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// The pattern of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Vec<Piece>);

impl Pattern {
    fn of(letters: &[Letter]) -> Self {
        let mut pieces = Vec::new();
        let mut rest = letters;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            let piece = match (first.letter, first.quoted) {
                ('*', false) => Piece::Any,
                ('?', false) => Piece::One,
                ('[', false) => match set(after) {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Piece::Letter('['),
                },
                (letter, _) => Piece::Letter(letter),
            };
            if !(piece == Piece::Any && pieces.last() == Some(&Piece::Any)) {
                pieces.push(piece);
            }
        }
        Self(pieces)
    }

    /// Whether it matches only one name, letter by letter.
    fn is_plain(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Letter(_)))
    }

    /// Whether a name matches. A leading dot has to be written.
    fn matches(&self, name: &str) -> bool {
        if name.starts_with('.') && self.0.first() != Some(&Piece::Letter('.')) {
            return false;
        }
        let (mut pieces, mut letters) = (self.0.as_slice(), name.chars());
        // Where the last `*` stands, and how much of the name it has not eaten yet.
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

/// What follows a `[`: the set and what is behind it, or none where it is not closed.
fn set(letters: &[Letter]) -> Option<(Piece, &[Letter])> {
    let (negated, mut rest) = match letters.split_first() {
        Some((first, after)) if !first.quoted && matches!(first.letter, '!' | '^') => (true, after),
        _ => (false, letters),
    };
    let mut ranges = Vec::new();
    loop {
        let (first, after) = rest.split_first()?;
        if first.letter == ']' && !first.quoted && !ranges.is_empty() {
            return Some((Piece::Set { negated, ranges }, after));
        }
        rest = after;
        let mut high = first.letter;
        if let [dash, last, after @ ..] = after
            && dash.letter == '-'
            && !dash.quoted
            && (last.letter != ']' || last.quoted)
        {
            high = last.letter;
            rest = after;
        }
        ranges.push((first.letter, high));
    }
}

/// The paths that a word stands for, as the client would have written them: one, or what its pattern matches, in the
/// order of their bytes. `~` is the session's root. Fails with `InvalidArgument` where too many match, or where a pattern has
/// a part that is too long.
pub(crate) async fn expand<F: Files>(files: &F, word: &Word) -> Result<Vec<String>> {
    let letters = match word.0.as_slice() {
        [Letter { letter: '~', quoted: false }] => return Ok(vec!["/".to_owned()]),
        [Letter { letter: '~', quoted: false }, rest @ ..] if rest.first().is_some_and(|l| l.letter == '/') => rest,
        all => all,
    };
    let parts: Vec<Pattern> = letters.split(|letter| letter.letter == '/').map(Pattern::of).collect();
    let literal: String = letters.iter().map(|letter| letter.letter).collect();
    if parts.iter().all(Pattern::is_plain) {
        return Ok(vec![literal]);
    }
    let mut found = vec![String::new()];
    let mut matched = false;
    for (at, part) in parts.iter().enumerate() {
        let slash = if at == 0 { "" } else { "/" };
        if part.is_plain() {
            let name: String =
                part.0.iter().filter_map(|p| if let Piece::Letter(l) = p { Some(*l) } else { None }).collect();
            if name.len() > LONGEST {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("a part of the pattern has more than {LONGEST} bytes; make it shorter"),
                ));
            }
            found.retain(|path| path.len() + slash.len() + name.len() <= LONGEST);
            for path in &mut found {
                path.push_str(slash);
                path.push_str(&name);
            }
            continue;
        }
        matched = true;
        let more = at + 1 < parts.len();
        let mut next = Vec::new();
        for before in found {
            let above = format!("{before}{slash}");
            for name in names(files, &above, part, more, MATCHES - next.len()).await? {
                if above.len() + name.len() <= LONGEST {
                    next.push(format!("{above}{name}"));
                }
            }
        }
        found = next;
    }
    if matched && parts.last().is_some_and(Pattern::is_plain) {
        let mut there = Vec::new();
        for path in found {
            if files.stat(&VirtualPath::resolve(&VirtualPath::root(), path.as_bytes())?).await.is_ok() {
                there.push(path);
            }
        }
        found = there;
    }
    Ok(if found.is_empty() { vec![literal] } else { found })
}

/// The names in a folder that match; folders alone where more parts follow.
async fn names<F: Files>(files: &F, above: &str, part: &Pattern, more: bool, room: usize) -> Result<Vec<String>> {
    let folder = VirtualPath::resolve(&VirtualPath::root(), above.as_bytes())?;
    let mut listing = match files.list(&folder).await {
        Ok(listing) => listing,
        // What cannot be listed has no names that match.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NoSuchFolder | ErrorKind::NotFolder | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut out = Vec::new();
    loop {
        let page = listing.next(PAGE).await?;
        if page.is_empty() {
            return Ok(out);
        }
        out.extend(page.into_iter().filter(|e| (e.folder || !more) && part.matches(&e.name)).map(|entry| entry.name));
        if out.len() > room {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("the pattern stands for more than {MATCHES} names; copy the folder whole instead"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;
    use crate::session::fake::FakeFiles;
    use proptest::prelude::*;

    fn word(text: &str) -> Word {
        split(text.as_bytes()).unwrap().remove(0)
    }

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::of(&word(pattern).0).matches(name)
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("a*c", "abcbc"),
            ("*.csv", "ä.csv"),
            ("?", "ß"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("a[", "a["),
            ("\\*", "*"),
            ("'[a]'", "[a]"),
            ("a**b", "ab"),
            (".*", ".x"),
            ("[^a]*", "b"),
            ("*a*b*", "xaxxbx"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".hidden"),
            ("?", "ab"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
            ("a*", "b"),
            ("*a", "ab"),
            ("a?", "a"),
            ("[.]x", ".x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[tokio::test]
    async fn a_word_stands_for_what_is_there() {
        let files = FakeFiles::new();
        for path in ["/in/a.csv", "/in/b.csv", "/in/.c.csv", "/in/d.txt", "/out/a.csv", "/a b/x*y"] {
            files.put(path, b"");
        }
        for (line, expected) in [
            ("/in/*.csv", vec!["/in/a.csv", "/in/b.csv"]),
            ("in/[ab].csv", vec!["in/a.csv", "in/b.csv"]),
            ("*/a.csv", vec!["in/a.csv", "out/a.csv"]),
            ("/*/b*", vec!["/in/b.csv"]),
            ("/in/*.pdf", vec!["/in/*.pdf"]),
            ("/in/\\*.csv", vec!["/in/*.csv"]),
            ("/a\\ b/x\\**", vec!["/a b/x*y"]),
            ("/gone/*", vec!["/gone/*"]),
            ("~", vec!["/"]),
            ("~/in/d*", vec!["/in/d.txt"]),
            ("'~'/in", vec!["~/in"]),
        ] {
            assert_eq!(expand(&*files, &word(line)).await.unwrap(), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn no_path_is_longer_than_it_may_be() {
        let files = FakeFiles::new();
        files.put("/in/a", b"");
        let long = format!("/*/{}", "x".repeat(LONGEST + 1));
        let error = expand(&*files, &word(&long)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        // Many short parts make a long path, too: nothing matches, and the pattern stands for itself.
        let long = format!("/*/{}a", "./".repeat(LONGEST / 2));
        assert_eq!(expand(&*files, &word(&long)).await.unwrap(), [long]);
        let fits = format!("/*/{}a", "./".repeat(100));
        assert_eq!(expand(&*files, &word(&fits)).await.unwrap(), [fits.replace('*', "in")]);
    }

    proptest! {
        #[test]
        fn no_pattern_panics_or_hangs(pattern in "[a-c*?\\[\\]!^-]{0,24}", name in "[a-c]{0,40}") {
            let letters: Vec<Letter> = pattern.chars().map(|letter| Letter { letter, quoted: false }).collect();
            Pattern::of(&letters).matches(&name);
            let quoted: Vec<Letter> = name.chars().map(|letter| Letter { letter, quoted: true }).collect();
            prop_assert!(Pattern::of(&quoted).matches(&name));
        }
    }
}
