//! Characters that show nothing themselves, and change how what stands around them is shown or cut into lines: control
//! characters, separators of lines, what turns the direction of writing (Unicode Standard Annex #9), what has no width, tags.
//! Names may have some of them, and are told as they are; no reader of the trail is to be deceived by them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is one of them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with U+FFFD in the place of each.
pub fn without_hidden(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

/// The text with each written as JSON can write it: `\u202e`.
pub fn with_hidden_escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Writes a character as JSON's `\u` escapes: two of them beyond U+FFFF (RFC 8259 section 7).
pub(crate) fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // A string takes everything.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_replaced_or_escaped() {
        for plain in ["", "orders.csv", "größe 大きさ \u{1f600}", "=1+1,\"x\"", "\u{a0}\u{3000}"] {
            assert!(matches!(without_hidden(plain), Cow::Borrowed(same) if same == plain), "{plain}");
            assert!(matches!(with_hidden_escaped(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
        for (text, replaced, escaped) in [
            ("a\u{202e}fdp.exe", "a\u{fffd}fdp.exe", "a\\u202efdp.exe"),
            ("\0\n\r\u{1b}[2J", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}[2J", "\\u0000\\u000a\\u000d\\u001b[2J"),
            ("\u{7f}\u{85}\u{2028}", "\u{fffd}\u{fffd}\u{fffd}", "\\u007f\\u0085\\u2028"),
            ("\u{feff}x\u{200b}", "\u{fffd}x\u{fffd}", "\\ufeffx\\u200b"),
            ("\u{e0041}", "\u{fffd}", "\\udb40\\udc41"),
        ] {
            assert_eq!(without_hidden(text), replaced);
            assert_eq!(with_hidden_escaped(text), escaped);
        }
    }
}
