//! What a content is, by its first bytes, against what it is declared to be (`uploads.content_type_check`). Where a client
//! can declare nothing, over SFTP and FTPS, the name's extension does. Pure functions.
//!
//! Only a contradiction counts: content that nobody recognises contradicts nothing, and a declaration that says nothing
//! (`application/octet-stream`) is contradicted by nothing. Families that share a container (ZIP, OLE, XML) are one.

use crate::error::{Error, ErrorKind};
use crate::namespace::content_type_of;

/// The bytes that are looked at.
pub(crate) const HEAD: usize = 8 * 1024;

const OCTETS: &str = "application/octet-stream";
/// Types whose signature is text itself, so that text may be one of them.
const TEXTUAL: [&str; 7] = [
    "text/html",
    "text/xml",
    "text/x-shellscript",
    "application/pdf",
    "application/rtf",
    "application/postscript",
    "application/x-x509-ca-cert",
];
/// Types whose signature is two bytes or so: what has those is mostly something else.
const VAGUE: [&str; 5] = ["obj", "bmp", "Z", "eot", "der"];

/// What becomes of content that contradicts its declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeCheck {
    /// Nothing: nobody looks.
    Off,
    /// It is published, and `policy.violated` tells of it.
    Event,
    /// It is refused.
    Refuse,
}

/// The type of a content, and how that contradicts what was declared.
#[derive(Debug)]
pub(crate) struct Judged {
    pub content_type: String,
    pub contradiction: Option<Error>,
}

/// Judges content by its head. `declared`: by the client, if it did. `name`: the file's.
pub(crate) fn judge(declared: Option<&str>, name: &str, head: &[u8]) -> Judged {
    let by_name = content_type_of(name);
    let said = declared.filter(|said| essence(said) != OCTETS);
    let Some(detected) = detect(head) else {
        return Judged { content_type: said.or(declared).unwrap_or(by_name).to_owned(), contradiction: None };
    };
    let claim = said.unwrap_or(by_name);
    if essence(claim) == OCTETS {
        return Judged { content_type: detected.to_owned(), contradiction: None };
    }
    let contradiction = (!agree(&essence(claim), detected)).then(|| {
        let claim = essence(claim);
        Error::new(
            ErrorKind::TypeMismatch,
            format!("the content is `{detected}`, not `{claim}` as it is declared; correct the type or the name"),
        )
    });
    Judged { content_type: claim.to_owned(), contradiction }
}

/// The type without its parameters, in lower case.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What the first bytes say; none where they say nothing that can be relied on.
fn detect(head: &[u8]) -> Option<&'static str> {
    let found = infer::get(head).filter(|found| !VAGUE.contains(&found.extension()))?;
    // Text that happens to begin like something else ("MZ;…", "ID3,…") is text.
    (TEXTUAL.contains(&found.mime_type()) || !is_text(head)).then(|| found.mime_type())
}

/// Whether there are no bytes in it that text does not have, in whatever encoding of one byte or UTF-8.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f || b"\t\n\r\x0c".contains(byte))
}

/// Whether content of the detected type may be declared so.
fn agree(claim: &str, detected: &str) -> bool {
    let plain = |text: &str| text.replace("/x-", "/").replace("vnd.microsoft.", "").replace("x-zip-compressed", "zip");
    if plain(claim) == plain(detected) {
        return true;
    }
    let (kind, subtype) = claim.split_once('/').unwrap_or((claim, ""));
    let (detected_kind, detected_subtype) = detected.split_once('/').unwrap_or((detected, ""));
    let any = |words: &[&str]| words.iter().any(|word| subtype.contains(word));
    match detected {
        "text/xml" => subtype.ends_with("xml") || ["text/html", "text/plain", "text/xsl"].contains(&claim),
        // Text of any kind may begin with a tag: Markdown, templates, a mail.
        "text/html" => kind == "text" || any(&["html", "xml"]),
        "text/x-shellscript" => kind == "text" || any(&["sh", "perl", "python", "ruby", "tcl", "script"]),
        "application/x-x509-ca-cert" => kind == "text" || any(&["x509", "pkix", "pem", "pkcs", "pgp"]),
        "application/rtf" => claim == "text/rtf" || any(&["msword"]),
        "application/postscript" => any(&["illustrator", "eps"]),
        "application/x-executable" | "application/vnd.microsoft.portable-executable" | "application/x-mach-binary" => {
            any(&["executable", "msdownload", "dosexec", "sharedlib", "object", "elf", "mach", "msdos", "binary"])
        }
        // Containers: many formats are one of these inside.
        "application/zip" => {
            any(&["zip", "vnd.", "java-archive", "epub", "package", "msword", "powerpoint", "excel", "xpinstall"])
        }
        "application/x-ole-storage"
        | "application/msword"
        | "application/vnd.ms-excel"
        | "application/vnd.ms-powerpoint" => any(&["ms", "vnd.", "ole", "office"]),
        "application/gzip"
        | "application/x-bzip2"
        | "application/x-xz"
        | "application/zstd"
        | "application/x-lz4"
        | "application/x-lzip"
        | "application/vnd.bzip3" => {
            any(&["compressed", "tar", "gz", "bz", "bzip", "xz", "lzma", "zst", "lz4", "lzip"]) || kind == "image"
        }
        "application/x-tar" => any(&["tar", "ova", "compressed"]),
        _ if detected_subtype.starts_with("vnd.openxmlformats") || detected_subtype.starts_with("vnd.oasis") => {
            any(&["vnd.", "zip", "msword", "excel", "powerpoint", "office"])
        }
        _ if detected_subtype.contains("font") => kind == "font" || any(&["font"]),
        // An image is an image, and sound and pictures share their containers.
        _ => match detected_kind {
            "image" => kind == "image",
            "audio" | "video" => ["audio", "video"].contains(&kind) || any(&["ogg", "mp4", "mxf", "mpegurl"]),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\x01\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x38\x00";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR";
    const ZIP: &[u8] = b"PK\x03\x04\x14\x00\x00\x00\x08\x00";
    const PDF: &[u8] = b"%PDF-1.7\n";

    fn refused(declared: Option<&str>, name: &str, head: &[u8]) -> bool {
        judge(declared, name, head).contradiction.is_some()
    }

    fn kind(declared: Option<&str>, name: &str, head: &[u8]) -> String {
        judge(declared, name, head).content_type
    }

    #[test]
    fn what_contradicts_is_told() {
        for (declared, name, head) in [
            (Some("text/csv"), "a", ELF),
            (Some("text/csv; charset=utf-8"), "a", PNG),
            (Some("application/pdf"), "a.pdf", ZIP),
            (Some("image/png"), "a", PDF),
            (None, "orders.csv", ELF),
            (None, "picture.jpg", PDF),
            (Some("application/json"), "a", b"<!DOCTYPE html><html></html>"),
            (Some("application/octet-stream"), "invoice.pdf", b"MZ\x90\x00\x03\x00\x00\x00\x04"),
        ] {
            assert!(refused(declared, name, head), "{declared:?} {name}");
        }
        let told = judge(Some("Text/CSV; header=present"), "a", PNG).contradiction;
        let told = told.map(|error| (error.kind(), error.message().to_owned()));
        let sentence = "the content is `image/png`, not `text/csv` as it is declared; correct the type or the name";
        assert_eq!(told, Some((ErrorKind::TypeMismatch, sentence.to_owned())));
    }

    #[test]
    fn families_and_the_unknown_do_not_contradict() {
        for (declared, name, head) in [
            (Some("image/jpeg"), "a", PNG),
            (Some("application/java-archive"), "a.jar", ZIP),
            (Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"), "a.docx", ZIP),
            (Some("application/x-zip-compressed"), "a.zip", ZIP),
            (Some("application/octet-stream"), "a", ELF),
            (None, "a.bin", ELF),
            (None, "program", ELF),
            (Some("image/svg+xml"), "a.svg", b"<?xml version=\"1.0\"?><svg/>"),
            (Some("text/plain"), "a", b"<?xml version=\"1.0\"?><a/>"),
            (Some("text/csv"), "a.csv", b"MZ;ID3;BM\n1;2;3\n"),
            (Some("text/csv"), "a.csv", b"BM\xe4rz;1\r\n"),
            (Some("text/csv"), "a.csv", b""),
            (Some("application/pdf"), "a.pdf", b"no signature at all \x00\x01"),
            (Some("application/gzip"), "a", b"\x1f\x8b\x08\x00"),
            (None, "a.tgz", b"\x1f\x8b\x08\x00"),
        ] {
            assert!(!refused(declared, name, head), "{declared:?} {name}");
        }
    }

    #[test]
    fn the_type_is_what_is_declared_or_named_or_found() {
        assert_eq!(kind(Some("text/csv; charset=utf-8"), "a", b"a;b"), "text/csv; charset=utf-8");
        assert_eq!(kind(None, "a.csv", b"a;b"), "text/csv");
        assert_eq!(kind(None, "a", PNG), "image/png");
        assert_eq!(kind(Some("application/octet-stream"), "a", PNG), "image/png");
        assert_eq!(kind(Some("application/octet-stream"), "a.csv", b"a;b"), "application/octet-stream");
        assert_eq!(kind(None, "a", b"a;b"), "application/octet-stream");
        assert_eq!(kind(Some("text/csv"), "a", PNG), "text/csv", "what was declared, and told to be wrong");
        assert_eq!(kind(None, "a.docx", ZIP), content_type_of("a.docx"));
    }
}
