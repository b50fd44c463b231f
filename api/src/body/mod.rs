//! Bodies: reading one of a request to its proven end, the parts of a form, the spool, and the body of a download.

pub mod download;
pub mod multipart;
pub mod spool;

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use causeway_core::{Error, ErrorKind, Result};
use http::request::Parts;
use http::{Version, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

/// A request's body, read frame by frame. Its end is told only when the framing proves that the body is whole (RFC 9112
/// section 8, RFC 9113 section 8.1): every declared byte came, the last chunk was seen, or the stream was ended by
/// END_STREAM. A stream that the client resets with NO_ERROR looks like an end to the layers below; it is none.
///
/// It must be read in the handler's own future, not in a task: on HTTP/1.1 hyper drops that future together with the
/// connection, and a reader that outlived it could mistake the cut for the end.
pub struct BodyReader {
    body: Body,
    stall: Duration,
    declared: Option<u64>,
    received: u64,
    http2: bool,
    ended: bool,
}

impl BodyReader {
    /// Of a request. `stall`: how long it may stand still.
    pub fn new(parts: &Parts, body: Body, stall: Duration) -> Self {
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { body, stall, declared, received: 0, http2: parts.version >= Version::HTTP_2, ended: false }
    }

    /// `Content-Length`, where it was sent.
    pub const fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next bytes; none at the end of a whole body. `Incomplete` where it breaks off, stands still or is malformed.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let Ok(frame) = tokio::time::timeout(self.stall, self.body.frame()).await else {
                return Err(incomplete("the body stood still for too long; send it again"));
            };
            match frame {
                Some(Ok(frame)) => {
                    // What is not data is trailers, and none of them means anything here.
                    let Ok(data) = frame.into_data() else { continue };
                    self.received += data.len() as u64;
                    if !data.is_empty() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a request's body broke off");
                    return Err(incomplete("the body broke off before its end; send it again"));
                }
                None => {
                    let proven = (!self.http2 || self.body.is_end_stream())
                        && self.declared.is_none_or(|declared| declared == self.received);
                    if !proven {
                        return Err(incomplete("the body ended before it was whole; send it again"));
                    }
                    self.ended = true;
                }
            }
        }
        Ok(None)
    }

    /// The whole body; none where it is larger than `limit`.
    pub async fn whole(&mut self, limit: usize) -> Result<Option<Bytes>> {
        if self.declared.is_some_and(|declared| declared > limit as u64) {
            return Ok(None);
        }
        let mut whole = BytesMut::new();
        while let Some(data) = self.next().await? {
            if whole.len() + data.len() > limit {
                return Ok(None);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Some(whole.freeze()))
    }
}

fn incomplete(message: &'static str) -> Error {
    Error::new(ErrorKind::Incomplete, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures::stream;
    use http::Request;

    fn reader(request: Request<Body>) -> BodyReader {
        let (parts, body) = request.into_parts();
        BodyReader::new(&parts, body, Duration::from_secs(5))
    }

    fn pieces(pieces: Vec<std::result::Result<&'static str, std::io::Error>>) -> Body {
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_whole_body_ends() {
        let mut body =
            reader(Request::builder().header("content-length", "4").body(pieces(vec![Ok("ab"), Ok("cd")])).unwrap());
        assert_eq!(body.declared(), Some(4));
        assert_eq!(body.whole(10).await.unwrap().unwrap(), "abcd");
        assert_eq!(body.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_short_body_does_not_end() {
        let mut body = reader(Request::builder().header("content-length", "5").body(pieces(vec![Ok("abcd")])).unwrap());
        assert_eq!(body.whole(10).await.unwrap_err().kind(), ErrorKind::Incomplete);
    }

    #[tokio::test]
    async fn an_error_does_not_end_it() {
        let broken = pieces(vec![Ok("ab"), Err(std::io::Error::other("gone"))]);
        assert_eq!(reader(Request::new(broken)).whole(10).await.unwrap_err().kind(), ErrorKind::Incomplete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_cut() {
        let silent = Body::from_stream(stream::pending::<std::result::Result<Bytes, std::io::Error>>());
        assert_eq!(reader(Request::new(silent)).next().await.unwrap_err().kind(), ErrorKind::Incomplete);
    }

    #[tokio::test]
    async fn a_large_body_is_not_kept() {
        assert!(reader(Request::new(pieces(vec![Ok("abc"), Ok("def")]))).whole(5).await.unwrap().is_none());
        let declared = Request::builder().header("content-length", "6").body(pieces(vec![])).unwrap();
        assert!(reader(declared).whole(5).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn without_end_stream_an_http2_body_is_not_whole() {
        // A stream body never says that it ended, as a reset HTTP/2 stream does not.
        let request = Request::builder().version(Version::HTTP_2).body(pieces(vec![Ok("ab")])).unwrap();
        assert_eq!(reader(request).whole(10).await.unwrap_err().kind(), ErrorKind::Incomplete);
    }
}
