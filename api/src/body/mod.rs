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
use tokio::time::Instant;

/// How long a body is waited for (RFC 9110 section 15.5.9; what a slow one holds is told in RFC 9112 section 11.4 and in the
/// draft of resumable uploads, "Security Considerations").
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long it may stand still.
    pub still: Duration,
    /// How long it may be waited for, in all, before the rate counts.
    pub grace: Duration,
    /// Bytes a second that it must bring on the average.
    pub rate: Option<u64>,
}

impl Patience {
    /// How long may still be waited, after so many bytes came and so long was waited for them.
    fn left(&self, received: u64, waited: Duration) -> Duration {
        let Some(rate) = self.rate else { return Duration::MAX };
        let worth = u128::from(received) * 1_000_000 / u128::from(rate.max(1));
        let worth = Duration::from_micros(u64::try_from(worth).unwrap_or(u64::MAX));
        self.grace.saturating_add(worth).saturating_sub(waited)
    }
}

/// A request's body, read frame by frame. Its end is told only when the framing proves that the body is whole (RFC 9112
/// section 8, RFC 9113 section 8.1): every declared byte came, the last chunk was seen, or the stream was ended by
/// END_STREAM. A stream that the client resets with NO_ERROR looks like an end to the layers below; it is none.
///
/// It must be read in the handler's own future, not in a task: on HTTP/1.1 hyper drops that future together with the
/// connection, and a reader that outlived it could mistake the cut for the end.
pub struct BodyReader {
    body: Body,
    patience: Patience,
    /// How long the client was waited for, in all. What the gateway itself takes for what came does not count.
    waited: Duration,
    declared: Option<u64>,
    received: u64,
    http2: bool,
    ended: bool,
}

impl BodyReader {
    /// Of a request.
    pub fn new(parts: &Parts, body: Body, patience: Patience) -> Self {
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let http2 = parts.version >= Version::HTTP_2;
        Self { body, patience, waited: Duration::ZERO, declared, received: 0, http2, ended: false }
    }

    /// `Content-Length`, where it was sent.
    pub const fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next bytes; none at the end of a whole body. `Incomplete` where it breaks off or is malformed, `TimedOut` where it
    /// stands still or is too slow.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let (begun, left) = (Instant::now(), self.patience.left(self.received, self.waited));
            // What is there already is taken, however slowly it came.
            let Ok(frame) = tokio::time::timeout(left.min(self.patience.still), self.body.frame()).await else {
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    if left < self.patience.still {
                        "the body comes too slowly; send it over a faster line, or in several requests"
                    } else {
                        "the body stood still for too long; send it again"
                    },
                ));
            };
            self.waited += begun.elapsed();
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
        let patience = Patience { still: Duration::from_secs(5), grace: Duration::from_secs(10), rate: Some(100) };
        BodyReader::new(&parts, body, patience)
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
        assert_eq!(reader(Request::new(silent)).next().await.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    /// A body of so many bytes, each of which comes after a pause.
    fn dripping(bytes: usize, pause: Duration, piece: &'static [u8]) -> Body {
        Body::from_stream(stream::unfold(bytes, move |left| async move {
            tokio::time::sleep(pause).await;
            (left > 0).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(piece)), left - 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_only_drips_is_cut_and_a_slow_one_is_not() {
        let begun = Instant::now();
        let drips = reader(Request::new(dripping(1_000, Duration::from_secs(1), b"x"))).whole(10_000).await;
        assert_eq!(drips.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((10..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        // At the least rate, for a hundred times the grace.
        let whole = reader(Request::new(dripping(1_000, Duration::from_secs(1), &[7; 100]))).whole(200_000).await;
        assert_eq!(whole.unwrap().unwrap().len(), 100_000);
        // The gateway's own time is not the client's.
        let mut body = reader(Request::new(dripping(3, Duration::from_secs(1), b"x")));
        for _ in 0..3 {
            body.next().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        assert_eq!(body.next().await.unwrap(), None);
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
