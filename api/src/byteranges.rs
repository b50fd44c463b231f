//! `multipart/byteranges`: RFC 9110 section 14.6, several ranges of one representation in one body.

use bytes::Bytes;
use uuid::Uuid;

use crate::body::download::{Piece, Pieces};
use crate::ranges::Span;

/// A body of several ranges, and its media type.
#[derive(Debug)]
pub struct ByteRanges {
    /// For `Content-Type`.
    pub content_type: String,
    /// The body.
    pub pieces: Pieces,
}

impl ByteRanges {
    /// Of these ranges of a representation of `size` bytes and this media type. The boundary is random: no content can have
    /// been made to hold it.
    pub fn new(spans: &[Span], size: u64, media_type: &str) -> Self {
        Self::with_boundary(&Uuid::new_v4().simple().to_string(), spans, size, media_type)
    }

    fn with_boundary(boundary: &str, spans: &[Span], size: u64, media_type: &str) -> Self {
        let mut pieces = Pieces::default();
        let mut line = "";
        for span in spans {
            pieces.push(Piece::Text(Bytes::from(format!(
                "{line}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {}\r\n\r\n",
                span.content_range(size)
            ))));
            pieces.push(Piece::Content { start: span.first, len: span.len() });
            line = "\r\n";
        }
        pieces.push(Piece::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        Self { content_type: format!("multipart/byteranges; boundary={boundary}"), pieces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let spans = [Span { first: 500, last: 999 }, Span { first: 7000, last: 7999 }];
        let body = ByteRanges::with_boundary("THIS_STRING_SEPARATES", &spans, 8000, "application/pdf");
        assert_eq!(body.content_type, "multipart/byteranges; boundary=THIS_STRING_SEPARATES");
        let first =
            "--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n";
        let second = "\r\n--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 7000-7999/8000\r\n\r\n";
        let last = "\r\n--THIS_STRING_SEPARATES--\r\n";
        let expected = [
            Piece::Text(first.into()),
            Piece::Content { start: 500, len: 500 },
            Piece::Text(second.into()),
            Piece::Content { start: 7000, len: 1000 },
            Piece::Text(last.into()),
        ];
        assert_eq!(body.pieces.len(), (first.len() + second.len() + last.len()) as u64 + 1500);
        assert_eq!(body.pieces, expected.into_iter().collect());
    }

    #[test]
    fn boundaries_differ() {
        let spans = [Span { first: 0, last: 0 }, Span { first: 2, last: 2 }];
        let made = || ByteRanges::new(&spans, 3, "text/plain").content_type;
        assert_ne!(made(), made());
    }
}
