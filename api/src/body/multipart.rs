//! `multipart/form-data`: RFC 7578 over RFC 2046 section 5.1. A push parser over bytes: it holds back at most one head
//! (16 KiB) or one delimiter, and hands content on without copying it.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// The longest head of a part, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// What may stand before the first delimiter, in bytes.
const MAX_PREAMBLE: usize = 16 * 1024;
/// The longest boundary, in bytes (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// What came out of a form.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins. Its content is the `Data` up to the next event of another kind.
    Part(Head),
    /// Content of the part.
    Data(Bytes),
    /// The part is whole.
    PartEnd,
    /// The closing delimiter was seen; whatever follows means nothing.
    End,
}

/// The header fields of a part that mean something here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `Content-Disposition`, as it was sent.
    pub disposition: Option<Bytes>,
    /// `Content-Type`, where it is ASCII.
    pub content_type: Option<String>,
}

/// Why a form cannot be read; a sentence for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Head,
    Data,
    End,
}

/// The parser. Feed it bytes, then take events until there is none.
pub struct Parser {
    delimiter: Finder<'static>,
    state: State,
    held: Bytes,
    preamble: usize,
}

/// The boundary of a `Content-Type: multipart/form-data; boundary=…`. None where it is another type or has no valid one.
pub fn boundary(content_type: &str) -> Option<String> {
    let (essence, mut rest) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(';').unwrap_or((value, "")),
        };
        if name.trim().eq_ignore_ascii_case("boundary") {
            let value = value.trim_end();
            let valid =
                (1..=MAX_BOUNDARY).contains(&value.len()) && value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            return valid.then(|| value.to_owned());
        }
        rest = after.trim_start_matches([' ', ';']);
    }
}

impl Parser {
    /// For this boundary.
    pub fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        // The first delimiter may stand at the very beginning: the line break before it is taken as given.
        Self {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            state: State::Preamble,
            held: Bytes::from_static(b"\r\n"),
            preamble: 0,
        }
    }

    /// Adds bytes of the body.
    pub fn feed(&mut self, data: Bytes) {
        if self.state == State::End {
            return;
        }
        if self.held.is_empty() {
            self.held = data;
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + data.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&data);
            self.held = joined.freeze();
        }
    }

    /// The next event; none where more bytes are needed.
    pub fn next(&mut self) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Preamble => {
                    let before = match self.delimiter.find(&self.held) {
                        Some(at) => {
                            self.skip(at + self.delimiter.needle().len());
                            self.state = State::AfterDelimiter;
                            at
                        }
                        None => self.take_safe().len(),
                    };
                    self.preamble += before;
                    if self.preamble > MAX_PREAMBLE {
                        return Err(Malformed("the form's boundary does not appear; check `Content-Type`"));
                    }
                    if self.state == State::Preamble {
                        return Ok(None);
                    }
                }
                State::AfterDelimiter => {
                    if self.held.len() < 2 {
                        return Ok(None);
                    }
                    if self.held.starts_with(b"--") {
                        self.held = Bytes::new();
                        self.state = State::End;
                        return Ok(Some(Event::End));
                    }
                    let padding = self.held.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                    match self.held.get(padding..padding + 2) {
                        Some(b"\r\n") => {
                            self.skip(padding + 2);
                            self.state = State::Head;
                        }
                        None if padding < MAX_BOUNDARY => return Ok(None),
                        _ => return Err(Malformed("a delimiter of the form is not followed by a line break")),
                    }
                }
                State::Head => {
                    // A part without header fields begins with the empty line itself.
                    let (len, after) = if self.held.starts_with(b"\r\n") {
                        (0, 2)
                    } else {
                        match memchr::memmem::find(&self.held, b"\r\n\r\n") {
                            Some(at) if at <= MAX_HEAD => (at, at + 4),
                            None if self.held.len() <= MAX_HEAD => return Ok(None),
                            _ => return Err(Malformed("the header fields of a part are too long")),
                        }
                    };
                    let head = head_of(&self.held.slice(..len))?;
                    self.skip(after);
                    self.state = State::Data;
                    return Ok(Some(Event::Part(head)));
                }
                State::Data => {
                    let Some(at) = self.delimiter.find(&self.held) else {
                        let data = self.take_safe();
                        return Ok((!data.is_empty()).then_some(Event::Data(data)));
                    };
                    if at > 0 {
                        return Ok(Some(Event::Data(self.held.split_to(at))));
                    }
                    self.skip(self.delimiter.needle().len());
                    self.state = State::AfterDelimiter;
                    return Ok(Some(Event::PartEnd));
                }
                State::End => return Ok(None),
            }
        }
    }

    fn skip(&mut self, len: usize) {
        let _ = self.held.split_to(len.min(self.held.len()));
    }

    /// Takes what cannot be the beginning of a delimiter; the rest stays.
    fn take_safe(&mut self) -> Bytes {
        let needle = self.delimiter.needle();
        let tail = self.held.len().saturating_sub(needle.len() - 1);
        let keep = self.held.get(tail..).unwrap_or_default();
        let safe = memchr::memchr_iter(b'\r', keep)
            .find(|at| keep.get(*at..).is_some_and(|rest| needle.starts_with(rest)))
            .map_or(self.held.len(), |at| tail + at);
        self.held.split_to(safe)
    }
}

fn head_of(block: &Bytes) -> Result<Head, Malformed> {
    let mut head = Head::default();
    let mut rest = block.clone();
    while !rest.is_empty() {
        let line = match memchr::memmem::find(&rest, b"\r\n") {
            Some(end) => {
                let line = rest.split_to(end);
                let _ = rest.split_to(2);
                line
            }
            None => std::mem::take(&mut rest),
        };
        let Some(colon) = memchr::memchr(b':', &line) else {
            return Err(Malformed("a header field of a part has no colon"));
        };
        let (name, value) = (line.slice(..colon), line.slice(colon + 1..));
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if head.disposition.replace(value.slice_ref(value.trim_ascii())).is_some() {
                return Err(Malformed("a part has two `Content-Disposition` fields"));
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            head.content_type =
                std::str::from_utf8(value.trim_ascii()).ok().filter(|text| text.is_ascii()).map(str::to_owned);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding")
            && !matches!(value.trim_ascii().to_ascii_lowercase().as_slice(), b"binary" | b"8bit" | b"7bit")
        {
            // Deprecated by RFC 7578 section 4.7; to ignore it would store the encoded bytes as if they were the file.
            return Err(Malformed("a part has a `Content-Transfer-Encoding`; send it binary"));
        }
    }
    Ok(head)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Parts = Vec<(Head, Vec<u8>)>;

    /// Parses a body in pieces: for each part its head and content, and whether the end was seen.
    fn parse(boundary: &str, body: &[u8], piece: usize) -> Result<(Parts, bool), Malformed> {
        let mut parser = Parser::new(boundary);
        let (mut parts, mut whole, mut ended) = (Parts::new(), 0, false);
        for chunk in body.chunks(piece.max(1)) {
            parser.feed(Bytes::copy_from_slice(chunk));
            while let Some(event) = parser.next()? {
                match event {
                    Event::Part(head) => parts.push((head, Vec::new())),
                    Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
                    Event::PartEnd => whole += 1,
                    Event::End => ended = true,
                }
            }
        }
        if ended {
            assert_eq!(whole, parts.len());
        }
        Ok((parts, ended))
    }

    fn form(boundary: &str, contents: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for (n, content) in contents.iter().enumerate() {
            body.extend_from_slice(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"f{n}\"\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    #[test]
    fn a_form_of_a_browser() {
        let body = b"--xYz\r\nContent-Disposition: form-data; name=\"destination\"\r\n\r\n/inbound\r\n\
            --xYz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
            a\r\n--xY\r\n\r\n--xYz--\r\nepilogue";
        for piece in 1..body.len() {
            let (parts, ended) = parse("xYz", body, piece).unwrap();
            assert!(ended);
            assert_eq!(parts.len(), 2);
            let (head, content) = parts.last().unwrap();
            assert_eq!(head.content_type.as_deref(), Some("text/plain"));
            assert_eq!(head.disposition.as_deref(), Some(&b"form-data; name=\"file\"; filename=\"a.txt\""[..]));
            assert_eq!(content, b"a\r\n--xY\r\n", "in pieces of {piece}");
        }
    }

    #[test]
    fn preamble_padding_and_headless_parts() {
        let (parts, ended) = parse("b", b"preamble\r\n--b \t\r\n\r\nx\r\n--b\r\n\r\n\r\n--b--", 3).unwrap();
        assert!(ended);
        assert_eq!(parts.iter().map(|(_, content)| content.as_slice()).collect::<Vec<_>>(), [&b"x"[..], b""]);
    }

    #[test]
    fn a_form_that_breaks_off_has_no_end() {
        let body = form("b", &[b"content"]);
        for cut in 0..body.len() - 4 {
            assert!(!parse("b", body.get(..cut).unwrap(), 7).unwrap().1, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        assert!(parse("b", b"--bx\r\n\r\n", 100).is_err());
        assert!(parse("b", b"--b\r\nno colon\r\n\r\n", 100).is_err());
        assert!(parse("b", b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n", 100).is_err());
        assert!(parse("b", &vec![b'x'; 20_000], 100).is_err());
        let mut long = b"--b\r\nA: ".to_vec();
        long.resize(40_000, b'x');
        assert!(parse("b", &long, 1000).is_err());
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"; x=y").as_deref(), Some("a b"));
        for bad in
            ["multipart/form-data", "multipart/mixed; boundary=a", "text/plain", "multipart/form-data; boundary=", ""]
        {
            assert_eq!(boundary(bad), None, "{bad}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    proptest! {
        #[test]
        fn content_survives_any_cut(
            contents in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), any::<u8>()], 0..120), 0..4),
            piece in 1usize..60,
        ) {
            prop_assume!(contents.iter().all(|content| memchr::memmem::find(&[b"\r\n", content.as_slice(), b"\r\n"].concat(), b"\r\n--bb").is_none()));
            let slices: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
            let (parts, ended) = parse("bb", &form("bb", &slices), piece).unwrap();
            prop_assert!(ended);
            prop_assert_eq!(parts.into_iter().map(|(_, content)| content).collect::<Vec<_>>(), contents);
        }

        #[test]
        fn no_input_breaks_it(body in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let _ = parse("b", &body, piece);
            let mut started = b"--b\r\n".to_vec();
            started.extend_from_slice(&body);
            let _ = parse("b", &started, piece);
        }
    }
}
