//! The words of a command line, as a POSIX shell cuts them (POSIX.1-2017, Shell Command Language, section 2.2): quotes and
//! backslashes, and nothing else of a shell. What a shell would do more (`;`, `|`, `$` and the like) is refused, not done
//! differently. A pure function over text.

/// The longest command line, in bytes: a few paths of the longest kind.
const LONGEST: usize = 64 * 1024;

/// Letters that a shell makes something of, so that they have to be quoted.
const SHELL: &str = ";|&$`<>()\n\r";

/// One letter of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// The letter.
    pub(crate) letter: char,
    /// Whether it was quoted, so that it stands for itself alone.
    pub(crate) quoted: bool,
}

/// One word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) Vec<Letter>);

impl Word {
    /// The text without its quotes.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|letter| letter.letter).collect()
    }

    fn push(&mut self, letter: char, quoted: bool) {
        self.0.push(Letter { letter, quoted });
    }
}

/// Cuts a line into words. Fails with what is wrong with it, for the client.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Word>, String> {
    if line.len() > LONGEST {
        return Err(format!("the command is longer than {LONGEST} bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| "the command is not UTF-8; set the client to UTF-8".to_owned())?;
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let open = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => open.push(letter, true),
                        None => return Err("a quote (') is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let open = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => match letters.next() {
                            Some(letter @ ('$' | '`' | '"' | '\\')) => open.push(letter, true),
                            Some('\n') => {}
                            Some(letter) => {
                                open.push('\\', true);
                                open.push(letter, true);
                            }
                            None => return Err("a quote (\") is not closed".to_owned()),
                        },
                        Some(letter @ ('$' | '`')) => return Err(no_shell(letter)),
                        Some(letter) => open.push(letter, true),
                        None => return Err("a quote (\") is not closed".to_owned()),
                    }
                }
            }
            '\\' => match letters.next() {
                // A line that goes on in the next one.
                Some('\n') => {}
                Some(letter) => word.get_or_insert_default().push(letter, true),
                None => return Err("the command ends in a backslash".to_owned()),
            },
            '#' if word.is_none() => return Err(no_shell('#')),
            letter if SHELL.contains(letter) => return Err(no_shell(letter)),
            letter => word.get_or_insert_default().push(letter, false),
        }
    }
    words.extend(word);
    Ok(words)
}

fn no_shell(letter: char) -> String {
    format!(
        "there is no shell here to make something of `{}`; quote it where it belongs to a name",
        letter.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        split(line.as_bytes()).unwrap().iter().map(Word::text).collect()
    }

    #[test]
    fn words_are_cut_as_a_shell_cuts_them() {
        assert_eq!(texts("scp -t  /in/a.txt "), ["scp", "-t", "/in/a.txt"]);
        assert_eq!(texts("a 'b c'd\\ e \"f\\\"g\\h\""), ["a", "b cd e", "f\"g\\h"]);
        assert_eq!(texts("md5sum '' x"), ["md5sum", "", "x"]);
        assert_eq!(texts("md5sum ''"), ["md5sum", ""]);
        assert_eq!(texts("''a \"\"'b'"), ["a", "b"]);
        assert_eq!(texts("'it'\\''s'"), ["it's"]);
        assert_eq!(texts("gr\\ö\\ß\\e"), ["größe"]);
        assert_eq!(texts("'$(id);`id`|&<>#'"), ["$(id);`id`|&<>#"]);
        assert_eq!(texts("\"\\$HOME\" a#b"), ["$HOME", "a#b"]);
        assert_eq!(texts(""), Vec::<String>::new());
    }

    #[test]
    fn what_only_a_shell_could_do_is_refused() {
        for line in [
            "a; b",
            "a|b",
            "a&",
            "a $HOME",
            "a `b`",
            "a <b",
            "a >b",
            "(a)",
            "a\nb",
            "a \"$b\"",
            "a \"`b`\"",
            "a #b",
            "'a",
            "\"a",
            "a\\",
            "\"a\\",
        ] {
            assert!(split(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(split(b"a \xff").is_err());
        assert!(split(&vec![b'a'; LONGEST + 1]).is_err());
    }

    proptest! {
        #[test]
        fn what_was_quoted_comes_back(words in proptest::collection::vec(".{0,12}", 0..5)) {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
            let split = split(quoted.join(" ").as_bytes()).unwrap();
            prop_assert_eq!(split.iter().map(Word::text).collect::<Vec<_>>(), words);
            prop_assert!(split.iter().all(|word| word.0.iter().all(|letter| letter.quoted)));
        }

        #[test]
        fn what_was_escaped_comes_back(words in proptest::collection::vec("[^\\x00-\\x1f]{1,12}", 0..5)) {
            let escape = |word: &String| word.chars().flat_map(|letter| ['\\', letter]).collect::<String>();
            let line = words.iter().map(escape).collect::<Vec<_>>().join(" \t");
            prop_assert_eq!(texts(&line), words);
        }

        #[test]
        fn no_line_gets_a_shell_letter_past(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            for word in split(&line).unwrap_or_default() {
                prop_assert!(!word.0.iter().any(|letter| !letter.quoted && SHELL.contains(letter.letter)));
            }
        }
    }
}
