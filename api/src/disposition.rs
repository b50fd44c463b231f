//! `Content-Disposition` in both directions: RFC 6266 for downloads (with RFC 8187 for names beyond ASCII), RFC 7578
//! section 4.2 for the parts of a form. Pure functions.

use std::fmt::Write as _;

/// `attachment` with the name: a plain one for old clients, and the exact one as RFC 8187 writes it.
pub fn attachment(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let mut header = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // attr-char of RFC 8187 section 3.2.1.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            header.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(header, "%{byte:02X}");
        }
    }
    header
}

/// What a part of a form says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormPart {
    /// The field's name.
    pub name: String,
    /// The file's name, where it is a file.
    pub filename: Option<String>,
}

/// Reads a part's `Content-Disposition`. None where it is no `form-data`, has no name, or is not UTF-8. Names come as
/// they were sent, whatever they are: to check them is the caller's work.
pub fn form_part(value: &[u8]) -> Option<FormPart> {
    let value = std::str::from_utf8(value).ok()?;
    let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (name, filename) = names(rest)?;
    Some(FormPart { name: name?, filename })
}

/// The file's name in the `Content-Disposition` of a request whose body is the file (draft-ietf-httpbis-resumable-upload,
/// "Upload Creation"), whatever its type.
pub fn filename(value: &[u8]) -> Option<String> {
    let (_, rest) = std::str::from_utf8(value).ok()?.split_once(';')?;
    names(rest)?.1
}

/// The name and the file's name among the parameters.
fn names(mut rest: &str) -> Option<(Option<String>, Option<String>)> {
    let (mut name, mut filename, mut extended) = (None, None, None);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            break;
        }
        let (key, after) = rest.split_once('=')?;
        let (text, after) = parameter(after.trim_start())?;
        rest = after;
        let slot = match key.trim().to_ascii_lowercase().as_str() {
            "name" => &mut name,
            "filename" => &mut filename,
            "filename*" => &mut extended,
            _ => continue,
        };
        if slot.replace(text).is_some() {
            return None;
        }
    }
    let filename = match extended {
        Some(text) => Some(extended_value(&text)?),
        None => filename,
    };
    Some((name, filename))
}

/// A quoted string or a token, and what follows. A backslash escapes only a quote or itself: browsers of old send
/// `C:\folder\file` unescaped.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (token, after) = text.split_at_checked(end)?;
        return Some((token.trim_end().to_owned(), after));
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, quoted.get(at + 1..)?)),
            '\\' => match chars.peek() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    out.push(*escaped);
                    chars.next();
                }
                _ => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    None
}

/// `UTF-8'language'percent-encoded` of RFC 8187 section 3.2.
fn extended_value(text: &str) -> Option<String> {
    let mut parts = text.splitn(3, '\'');
    let charset = parts.next()?;
    let _language = parts.next()?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    String::from_utf8(crate::query::percent_decode(parts.next()?.as_bytes(), false)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(value: &str) -> Option<(String, Option<String>)> {
        form_part(value.as_bytes()).map(|part| (part.name, part.filename))
    }

    #[test]
    fn names_for_old_and_new_clients() {
        assert_eq!(attachment("a b.csv"), "attachment; filename=\"a b.csv\"; filename*=UTF-8''a%20b.csv");
        assert_eq!(attachment("ü\".txt"), "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%BC%22.txt");
        assert_eq!(attachment("50%\\"), "attachment; filename=\"50__\"; filename*=UTF-8''50%25%5C");
    }

    #[test]
    fn the_name_of_a_body() {
        assert_eq!(filename(b"inline; filename=\"a b.csv\"").as_deref(), Some("a b.csv"));
        assert_eq!(filename(b"inline; filename=\"_\"; filename*=UTF-8''%C3%BC").as_deref(), Some("ü"));
        assert_eq!((filename(b"inline"), filename(b"attachment; filename=a; filename=b")), (None, None));
    }

    #[test]
    fn parts_of_forms() {
        let some = |name: &str, file: Option<&str>| Some((name.to_owned(), file.map(str::to_owned)));
        assert_eq!(part("form-data; name=\"destination\""), some("destination", None));
        assert_eq!(part("Form-Data;name=file;filename=a.txt"), some("file", Some("a.txt")));
        assert_eq!(part(r#"form-data; name="file"; filename="a;\"b\".txt""#), some("file", Some("a;\"b\".txt")));
        assert_eq!(part(r#"form-data; name="file"; filename="C:\x\y""#), some("file", Some(r"C:\x\y")));
        assert_eq!(part("form-data; name=\"file\"; filename=\"ü.txt\""), some("file", Some("ü.txt")));
        assert_eq!(
            part("form-data; name=file; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
            some("file", Some("ü.txt"))
        );
        assert_eq!(part("form-data; name=file; filename=\"\""), some("file", Some("")));
    }

    #[test]
    fn what_is_not_a_part_of_a_form() {
        for bad in [
            "attachment; name=\"a\"",
            "form-data",
            "form-data; filename=\"a\"",
            "form-data; name=\"a",
            "form-data; name",
            "form-data; name=a; name=b",
            "form-data; name=a; filename*=latin1''a",
            "form-data; name=a; filename*=UTF-8''%C3",
        ] {
            assert_eq!(part(bad), None, "{bad}");
        }
        assert_eq!(form_part(b"form-data; name=\"\xff\""), None);
    }

    proptest! {
        #[test]
        fn the_exact_name_survives(name in "[^/\\p{Cc}]{1,40}") {
            let header = attachment(&name);
            prop_assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let (_, exact) = header.split_once("filename*=").unwrap();
            prop_assert_eq!(extended_value(exact), Some(name));
        }

        #[test]
        fn no_input_breaks_it(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = form_part(&value);
        }
    }
}
