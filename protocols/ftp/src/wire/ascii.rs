//! TYPE A (RFC 959 section 3.1.1.1): on the wire lines end with CRLF, here with LF. A CR that stands alone stays.

/// From the wire: CRLF becomes LF, over any split of the stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromWire {
    held: bool,
}

impl FromWire {
    /// Translates a piece into `out`.
    pub fn translate(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            if std::mem::take(&mut self.held) && *byte != b'\n' {
                out.push(b'\r');
            }
            if *byte == b'\r' {
                self.held = true;
            } else {
                out.push(*byte);
            }
        }
    }

    /// What is left at the end of the stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'\r');
        }
    }
}

/// To the wire: LF becomes CRLF; a CRLF that is there stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToWire {
    behind_return: bool,
}

impl ToWire {
    /// Translates a piece into `out`.
    pub fn translate(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            if *byte == b'\n' && !self.behind_return {
                out.push(b'\r');
            }
            self.behind_return = *byte == b'\r';
            out.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from(bytes: &[u8], step: usize) -> Vec<u8> {
        let (mut state, mut out) = (FromWire::default(), Vec::new());
        bytes.chunks(step).for_each(|piece| state.translate(piece, &mut out));
        state.finish(&mut out);
        out
    }

    fn to(bytes: &[u8], step: usize) -> Vec<u8> {
        let (mut state, mut out) = (ToWire::default(), Vec::new());
        bytes.chunks(step).for_each(|piece| state.translate(piece, &mut out));
        out
    }

    #[test]
    fn line_ends_are_translated_both_ways() {
        for step in [1, 2, 3, 100] {
            assert_eq!(from(b"a\r\nb\rc\r\r\nd\r", step), b"a\nb\rc\r\nd\r");
            assert_eq!(to(b"a\nb\r\nc\n", step), b"a\r\nb\r\nc\r\n");
        }
    }

    proptest! {
        #[test]
        fn unix_text_comes_back_as_it_was(text in "[a-z\n]{0,200}", step in 1usize..9) {
            prop_assert_eq!(from(&to(text.as_bytes(), step), step), text.as_bytes());
        }
    }
}
