//! From bytes of the control connection to lines: the Telnet layer (RFC 854, as RFC 959 section 5.3 and RFC 1123 section
//! 4.1.2.12 want it) and the ends of lines. Both CRLF and a bare LF end a line.

use std::collections::VecDeque;

/// Longest line, in bytes: a path of 4,096 bytes, and room for what is around it.
pub const MAX_LINE: usize = 8 * 1024;
/// Answers to option negotiation that may wait to be sent.
const MAX_ANSWERS: usize = 96;

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What it says.
    Text(Vec<u8>),
    /// It was longer than [`MAX_LINE`] and is thrown away.
    TooLong,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind a CR.
    Return,
    /// Behind an IAC.
    Command,
    /// Behind IAC and WILL, WONT, DO or DONT.
    Negotiation(u8),
    /// Between IAC SB and IAC SE.
    Sub,
    /// Behind an IAC in there.
    SubCommand,
}

/// Takes bytes as they come, gives lines. What it holds is bounded by [`MAX_LINE`] and by what is pushed at once.
#[derive(Debug, Default)]
pub struct Lines {
    raw: VecDeque<u8>,
    line: Vec<u8>,
    too_long: bool,
    state: State,
    answers: Vec<u8>,
}

impl Lines {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.raw.extend(bytes);
    }

    /// The next whole line, if there is one.
    pub fn next_line(&mut self) -> Option<Line> {
        while let Some(byte) = self.raw.pop_front() {
            if self.take(byte) {
                let text = std::mem::take(&mut self.line);
                return Some(if std::mem::take(&mut self.too_long) { Line::TooLong } else { Line::Text(text) });
            }
        }
        None
    }

    /// What the negotiation of Telnet options wants to be sent: every option is refused.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// Whether a line has begun and has not ended.
    pub fn is_partial(&self) -> bool {
        !self.line.is_empty() || self.too_long || self.state != State::Text
    }

    /// Throws away what has come and was not taken as a line yet; tells whether there was anything.
    pub fn clear(&mut self) -> bool {
        let any = !self.raw.is_empty() || self.is_partial();
        *self = Self::default();
        any
    }

    /// Takes a byte; true where it ends a line.
    fn take(&mut self, byte: u8) -> bool {
        match self.state {
            State::Text => return self.take_text(byte),
            State::Return => {
                self.state = State::Text;
                match byte {
                    b'\n' => return true,
                    // CR NUL is a carriage return by itself (RFC 854).
                    0 => self.put(b'\r'),
                    other => {
                        self.put(b'\r');
                        return self.take_text(other);
                    }
                }
            }
            State::Command => {
                self.state = State::Text;
                match byte {
                    IAC => self.put(IAC),
                    WILL | WONT | DO | DONT => self.state = State::Negotiation(byte),
                    SB => self.state = State::Sub,
                    // Interrupt Process, Data Mark (Synch) and the like: ABOR itself follows as a command.
                    241..=249 | SE => {}
                    other => return self.take_text(other),
                }
            }
            State::Negotiation(verb) => {
                self.state = State::Text;
                let answer = match verb {
                    DO => Some(WONT),
                    WILL => Some(DONT),
                    _ => None,
                };
                if let Some(answer) = answer
                    && self.answers.len() < MAX_ANSWERS
                {
                    self.answers.extend_from_slice(&[IAC, answer, byte]);
                }
            }
            State::Sub => {
                if byte == IAC {
                    self.state = State::SubCommand;
                }
            }
            State::SubCommand => self.state = if byte == SE { State::Text } else { State::Sub },
        }
        false
    }

    fn take_text(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => return true,
            b'\r' => self.state = State::Return,
            IAC => self.state = State::Command,
            other => self.put(other),
        }
        false
    }

    fn put(&mut self, byte: u8) {
        if self.line.len() < MAX_LINE {
            self.line.push(byte);
        } else {
            self.too_long = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], step: usize) -> (Vec<Line>, Vec<u8>) {
        let mut lines = Lines::default();
        let (mut out, mut answers) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(step) {
            lines.push(chunk);
            while let Some(line) = lines.next_line() {
                out.push(line);
            }
            answers.extend(lines.take_answers());
        }
        (out, answers)
    }

    fn text(bytes: &[u8]) -> Line {
        Line::Text(bytes.to_vec())
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        for step in [1, 2, 100] {
            let (lines, _) = all(b"USER a\r\nPASS b\nNO\rOP\r\n\r\0x\r\n\r\nrest", step);
            assert_eq!(
                lines,
                [text(b"USER a"), text(b"PASS b"), text(b"NO\rOP"), text(b"\rx"), text(b"")],
                "step {step}"
            );
        }
    }

    #[test]
    fn telnet_commands_are_taken_out_and_options_refused() {
        for step in [1, 3, 100] {
            let (lines, answers) = all(
                b"\xff\xf4\xff\xf2ABOR\r\n\xff\xfd\x01\xff\xfb\x03NO\xff\xfaxx\xff\xffy\xff\xf0OP\r\na\xff\xffb\n",
                step,
            );
            assert_eq!(lines, [text(b"ABOR"), text(b"NOOP"), text(b"a\xffb")], "step {step}");
            assert_eq!(answers, [255, 252, 1, 255, 254, 3], "step {step}");
        }
        // The data mark went by urgent, so that it is missing from the stream.
        assert_eq!(all(b"\xff\xf4\xffABOR\r\n", 100).0, [text(b"ABOR")]);
    }

    #[test]
    fn a_line_bomb_is_one_refusal() {
        let mut bytes = vec![b'A'; MAX_LINE * 40];
        bytes.extend_from_slice(b"\r\nNOOP\r\n");
        assert_eq!(all(&bytes, 4096).0, [Line::TooLong, text(b"NOOP")]);
        let flood: Vec<u8> = [255, 253, 7].repeat(10_000);
        let mut lines = Lines::default();
        lines.push(&flood);
        assert!(lines.next_line().is_none());
        assert!(lines.take_answers().len() <= MAX_ANSWERS + 3);
    }

    #[test]
    fn what_is_thrown_away_is_gone() {
        let mut lines = Lines::default();
        lines.push(b"AUTH TLS\r\nUSER x\r\nPA");
        assert_eq!(lines.next_line(), Some(text(b"AUTH TLS")));
        assert!(lines.clear());
        assert_eq!(lines.next_line(), None);
        assert!(!lines.clear());
    }

    proptest! {
        #[test]
        fn the_steps_do_not_matter(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(255u8), Just(0u8)], 0..300), step in 1usize..20) {
            prop_assert_eq!(all(&bytes, step).0, all(&bytes, 1000).0);
        }
    }
}
