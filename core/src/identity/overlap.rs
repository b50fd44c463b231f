//! Whether two patterns of names know one name between them. Regular expressions are compared as what they are: two automata
//! that read the same name side by side. What looks at its surroundings (`\b`, `^`) is taken as fulfilled, so that the
//! name that is found is to be tried on the patterns themselves.

use std::collections::{HashMap, VecDeque};

use regex_syntax::hir::{Class, Hir, HirKind};

/// The largest automaton of one pattern: a pattern of a thousand characters has about as many states.
const MAX_STATES: usize = 20_000;

/// Ranges of characters, in order, with their ends.
type Ranges = Vec<(char, char)>;

#[derive(Debug)]
enum State {
    /// Goes on at any of these.
    Fork(Vec<usize>),
    /// Reads a character of these, and goes on there.
    Read(Ranges, usize),
    /// The name may end here.
    End,
}

/// A state of each of two automata.
type At = (usize, usize);
/// From which pair of states a pair was come by, and by which character; none: it is where both begin.
type Ways = HashMap<At, Option<(At, Option<char>)>>;

/// A pattern as an automaton (Thompson's construction), from its end to its beginning.
#[derive(Debug)]
pub struct Automaton {
    states: Vec<State>,
    start: usize,
}

/// What two patterns of names have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedName {
    /// This name.
    Name(String),
    /// No name at all.
    Nothing,
    /// That would take too long to find out.
    Unknown,
}

impl Automaton {
    /// Of this regular expression; none where it is none, or too large.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let parsed = regex_syntax::parse(pattern).ok()?;
        let mut this = Self { states: vec![State::End], start: 0 };
        this.start = this.add(&parsed, 0)?;
        Some(this)
    }

    fn push(&mut self, state: State) -> Option<usize> {
        let at = self.states.len();
        self.states.push(state);
        (at < MAX_STATES).then_some(at)
    }

    /// Adds what reads this and then goes on at `next`; where it begins.
    fn add(&mut self, part: &Hir, next: usize) -> Option<usize> {
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(next),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                text.chars().rev().try_fold(next, |next, c| self.push(State::Read(vec![(c, c)], next)))
            }
            HirKind::Class(class) => {
                let ranges = match class {
                    Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
                    Class::Bytes(class) => {
                        class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
                    }
                };
                self.push(State::Read(ranges, next))
            }
            HirKind::Capture(capture) => self.add(&capture.sub, next),
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.add(part, next)),
            HirKind::Alternation(parts) => {
                let starts = parts.iter().map(|part| self.add(part, next)).collect::<Option<_>>()?;
                self.push(State::Fork(starts))
            }
            HirKind::Repetition(repetition) => {
                let mut start = next;
                if let Some(max) = repetition.max {
                    for _ in repetition.min..max {
                        let once = self.add(&repetition.sub, start)?;
                        start = self.push(State::Fork(vec![once, next]))?;
                    }
                } else {
                    start = self.push(State::Fork(vec![next]))?;
                    let again = self.add(&repetition.sub, start)?;
                    if let Some(State::Fork(ways)) = self.states.get_mut(start) {
                        ways.push(again);
                    }
                }
                (0..repetition.min).try_fold(start, |start, _| self.add(&repetition.sub, start))
            }
        }
    }

    /// A name that both know. `budget`: how many steps may be taken to find one; what they took is taken off.
    pub fn shared_name(&self, other: &Self, budget: &mut usize) -> SharedName {
        let begin: At = (self.start, other.start);
        // How each pair of states was come by.
        let mut from: Ways = HashMap::from([(begin, None)]);
        let mut queue = VecDeque::from([begin]);
        while let Some(at) = queue.pop_front() {
            let Some(left) = budget.checked_sub(1) else { return SharedName::Unknown };
            *budget = left;
            let mut reach = |to: At, c: Option<char>| {
                from.entry(to).or_insert_with(|| {
                    queue.push_back(to);
                    Some((at, c))
                });
            };
            match (self.states.get(at.0), other.states.get(at.1)) {
                (Some(State::End), Some(State::End)) => return SharedName::Name(spelled(&from, at)),
                (Some(State::Fork(ways)), _) => ways.iter().for_each(|way| reach((*way, at.1), None)),
                (_, Some(State::Fork(ways))) => ways.iter().for_each(|way| reach((at.0, *way), None)),
                (Some(State::Read(one, a)), Some(State::Read(two, b))) => {
                    *budget = budget.saturating_sub(one.len() + two.len());
                    if let Some(c) = shared(one, two) {
                        reach((*a, *b), Some(c));
                    }
                }
                _ => {}
            }
        }
        SharedName::Nothing
    }
}

/// The characters on the way to this pair of states.
fn spelled(from: &Ways, end: At) -> String {
    let mut name = Vec::new();
    let mut at = end;
    while let Some(Some((before, c))) = from.get(&at) {
        name.extend(*c);
        at = *before;
    }
    name.iter().rev().collect()
}

/// A character of both that a name may have: a letter or a digit where there is one.
fn shared(one: &Ranges, two: &Ranges) -> Option<char> {
    let (mut one, mut two) = (one.iter().peekable(), two.iter().peekable());
    let mut other = None;
    while let (Some(a), Some(b)) = (one.peek(), two.peek()) {
        let (low, high) = (a.0.max(b.0), a.1.min(b.1));
        for wanted in ['a'..='z', '0'..='9', 'A'..='Z'] {
            let first = low.max(*wanted.start());
            if first <= high.min(*wanted.end()) {
                return Some(first);
            }
        }
        if other.is_none() {
            other = (low..=high).take(256).find(|c| !c.is_control() && !c.is_whitespace() && *c != '/');
        }
        if a.1 <= b.1 {
            one.next()
        } else {
            two.next()
        };
    }
    other
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compared(one: &str, two: &str) -> SharedName {
        let mut budget = 100_000;
        let there = Automaton::of(one).unwrap().shared_name(&Automaton::of(two).unwrap(), &mut budget);
        let back = Automaton::of(two).unwrap().shared_name(&Automaton::of(one).unwrap(), &mut 100_000);
        assert_eq!(matches!(there, SharedName::Name(_)), matches!(back, SharedName::Name(_)), "{one} {two}");
        there
    }

    #[test]
    fn patterns_that_know_one_name() {
        for (one, two) in [
            ("branch-[0-9]{3}", "branch-0.*"),
            ("branch-(?<nr>[0-9]{3})", r"(?<all>\w+-\d+)"),
            ("a|b|c", "c|d"),
            ("(ab)+", "abababa?b?"),
            ("a{2,4}", "a{4,6}"),
            ("x*", ""),
            (r"\A(?:edi\d\d)\z", "edi01"),
            ("größe[0-9]", "gr..e7"),
            (".*", ".*"),
            ("[^a-z]+", "[^0-9]+"),
        ] {
            let SharedName::Name(name) = compared(one, two) else { panic!("{one} and {two}") };
            for pattern in [one, two] {
                let whole = regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
                assert!(whole.is_match(&name), "{name:?} is no name of {pattern}");
            }
        }
    }

    #[test]
    fn patterns_that_do_not() {
        for (one, two) in [
            ("branch-[0-9]{3}", "branch-[0-9]{4}"),
            ("branch-.*", "edi-.*"),
            ("a{2,4}", "a{5,}"),
            ("(ab)+", "(ba)+"),
            ("a", "A"),
            ("", ".+"),
            (r"\d+", "[a-z]+"),
            ("[ /]", "[ /]"),
        ] {
            assert_eq!(compared(one, two), SharedName::Nothing, "{one} and {two}");
        }
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        assert!(Automaton::of("(?:x{1000}){1000}").is_none());
        let large = Automaton::of("(a|b|ab|ba){300}c").unwrap();
        let mut budget = 1000;
        assert_eq!(large.shared_name(&Automaton::of("(a|b|aa|bb){300}d").unwrap(), &mut budget), SharedName::Unknown);
        assert_eq!(budget, 0);
    }

    proptest! {
        /// Two patterns over a small alphabet, against all short names.
        #[test]
        fn as_trying_all_names_says(one in "[ab]{0,2}(\\(a\\|b\\)[*+?])?[ab.]?", two in "[ab]?[ab.]([*+?])?[ab]{0,2}") {
            let whole = |pattern: &str| regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            let (first, second) = (whole(&one), whole(&two));
            let mut names = vec![String::new()];
            for length in 0..6 {
                let longer: Vec<String> = names.iter().filter(|name| name.len() == length)
                    .flat_map(|name| ["a", "b"].map(|c| format!("{name}{c}"))).collect();
                names.extend(longer);
            }
            let both = names.iter().any(|name| first.is_match(name) && second.is_match(name));
            match compared(&one, &two) {
                SharedName::Name(name) => prop_assert!(first.is_match(&name) && second.is_match(&name), "{}", name),
                SharedName::Nothing => prop_assert!(!both),
                SharedName::Unknown => prop_assert!(false, "too long"),
            }
        }
    }
}
