//! Replies (RFC 959 section 4.2): a code, and a line or several.

use std::borrow::Cow;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    first: Cow<'static, str>,
    /// The lines between the first and the last one.
    body: Vec<String>,
    /// The last line, where there are several.
    last: Cow<'static, str>,
}

impl Reply {
    /// One line.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, first: text.into(), body: Vec::new(), last: Cow::Borrowed("") }
    }

    /// Several lines; those in the middle are sent with a space before them.
    pub fn lines(
        code: u16,
        first: impl Into<Cow<'static, str>>,
        body: Vec<String>,
        last: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, first: first.into(), body, last: last.into() }
    }

    /// Whether it says no.
    pub const fn is_failure(&self) -> bool {
        self.code >= 400
    }

    /// The text of the first line.
    pub fn text(&self) -> &str {
        &self.first
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.first.len() + 8);
        if self.last.is_empty() && self.body.is_empty() {
            put(&mut out, &format!("{} ", self.code), &self.first);
            return out;
        }
        put(&mut out, &format!("{}-", self.code), &self.first);
        for line in &self.body {
            put(&mut out, " ", line);
        }
        put(&mut out, &format!("{} ", self.code), &self.last);
        out
    }
}

/// A line. No text can end it early or begin another one.
fn put(out: &mut Vec<u8>, before: &str, text: &str) {
    out.extend_from_slice(before.as_bytes());
    let mut buffer = [0; 4];
    for c in text.chars() {
        let c = if c.is_control() { '?' } else { c };
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// A path as 257 and MLST show it: in double quotes, those in it doubled (RFC 959, appendix II).
pub fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_one_or_several_lines() {
        assert_eq!(Reply::new(200, "fine").encode(), b"200 fine\r\n");
        let reply = Reply::lines(211, "Features:", vec!["SIZE".into()], "End");
        assert_eq!(reply.encode(), b"211-Features:\r\n SIZE\r\n211 End\r\n");
    }

    #[test]
    fn no_text_makes_a_line_of_its_own() {
        let reply = Reply::new(550, "a\r\n226 done\u{0}\u{7f}".to_owned());
        assert_eq!(reply.encode(), b"550 a??226 done??\r\n");
        assert_eq!(quoted("/a\"b"), "\"/a\"\"b\"");
    }
}
