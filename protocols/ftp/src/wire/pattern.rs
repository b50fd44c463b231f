//! Wildcards of a last path component, for `LIST *.csv` and `NLST *.csv`, which old clients send for `mget`: `*`, `?` and
//! `[a-z]`.

/// Whether a name has wildcards in it.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether a name matches. It takes time in proportion to both lengths multiplied, at most.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` is, and how far the name had got there.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        match one(&pattern, p, name.get(n).copied()) {
            Some(next) => (p, n) = (next, n + 1),
            None => match star {
                Some((at, reached)) => {
                    star = Some((at, reached + 1));
                    (p, n) = (at + 1, reached + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// Where the pattern goes on behind one character that it matches.
fn one(pattern: &[char], at: usize, c: Option<char>) -> Option<usize> {
    let c = c?;
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => {
            let Some(length) = pattern.get(at + 1..)?.iter().skip(1).position(|c| *c == ']') else {
                return (c == '[').then_some(at + 1);
            };
            let inside = pattern.get(at + 1..at + 2 + length)?;
            let (negated, set) = match inside.split_first() {
                Some(('!' | '^', rest)) if !rest.is_empty() => (true, rest),
                _ => (false, inside),
            };
            (in_set(set, c) != negated).then_some(at + 3 + length)
        }
        other => (*other == c).then_some(at + 1),
    }
}

fn in_set(mut set: &[char], c: char) -> bool {
    loop {
        match set {
            [from, '-', to, rest @ ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_match() {
        for (pattern, name, expected) in [
            ("*", "anything", true),
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[ab", "[ab", true),
            ("a*b*c", "a__b__b__c", true),
            ("a*b*c", "a__b__", false),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let (pattern, name) = ("*a".repeat(100), "a".repeat(5000) + "b");
        assert!(!matches(&pattern, &name), "and it ends soon");
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a-c*?\\[\\]!-]{0,20}", name in "[a-c]{0,20}") {
            let _ = matches(&pattern, &name);
        }
    }
}
