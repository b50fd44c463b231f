//! Bodies: reading one of a request to its proven end, the parts of a form, the spool, and the body of a download.

pub mod download;
pub mod multipart;
pub mod spool;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use causeway_core::piece::{PIECE, Piece};
use causeway_core::{Error, ErrorKind, Result, Session};
use futures::FutureExt as _;
use http::request::Parts;
use http::{Version, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::signatures::{Signed, told};

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
    /// The session that it is for: where that is ended, nothing more is read.
    session: Option<Arc<Session>>,
    /// Whether only its end tells that it is the one that was signed.
    pending: bool,
    /// What came behind the bytes that were handed out last, and comes next.
    behind: Option<Result<Bytes>>,
}

impl BodyReader {
    /// Of a request.
    pub fn new(parts: &Parts, body: Body, patience: Patience) -> Self {
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let http2 = parts.version >= Version::HTTP_2;
        let session = parts.extensions.get::<Arc<Session>>().cloned();
        let pending = parts.extensions.get::<Signed>().is_some_and(|signed| signed.pending);
        let (waited, received, ended, behind) = (Duration::ZERO, 0, false, None);
        Self { body, patience, waited, declared, received, http2, ended, session, pending, behind }
    }

    /// Whether only its end tells that it is the one that was signed: until then it may be anybody's, and nothing of one that
    /// has no such end may be kept.
    pub const fn is_pending(&self) -> bool {
        self.pending
    }

    /// What was read of it and not handed out, and what is still to come.
    pub fn into_rest(self) -> (Option<Result<Bytes>>, Body) {
        (self.behind, self.body)
    }

    /// `Content-Length`, where it was sent.
    pub const fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next bytes: what is there, together, up to [`PIECE`]. None at the end of a whole body. `Incomplete` where it breaks
    /// off or is malformed, `TimedOut` where it stands still or is too slow.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let first = match self.behind.take() {
            Some(first) => first?,
            None => match self.frame().await? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let mut together: Option<Piece> = None;
        // Of a large body frames come in quick succession, and are small: what follows is dear for each, and the memory that
        // a frame is in is free again, for those to come, once it was copied.
        while together.as_ref().map_or(first.len(), Piece::len) < PIECE / 2 {
            let next = match self.frame().now_or_never() {
                Some(Ok(Some(data))) => data,
                Some(Err(error)) => {
                    self.behind = Some(Err(error));
                    break;
                }
                Some(Ok(None)) | None => break,
            };
            let piece = together.get_or_insert_with(|| copied(&first));
            if next.len() > piece.room(PIECE).len() {
                self.behind = Some(Ok(next));
                break;
            }
            append(piece, &next);
        }
        Ok(Some(together.map_or(first, Piece::freeze)))
    }

    /// The next frame that has bytes.
    async fn frame(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let (begun, left) = (Instant::now(), self.patience.left(self.received, self.waited));
            let (session, body) = (self.session.as_deref(), &mut self.body);
            let frame = async move {
                tokio::select! {
                    biased;
                    why = ended(session) => Err(why),
                    frame = body.frame() => Ok(frame),
                }
            };
            // What is there already is taken, however slowly it came.
            let Ok(frame) = tokio::time::timeout(left.min(self.patience.still), frame).await else {
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
            match frame? {
                Some(Ok(frame)) => {
                    // What is not data is trailers, and none of them means anything here.
                    let Ok(data) = frame.into_data() else { continue };
                    self.received += data.len() as u64;
                    if !data.is_empty() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    if let Some(own) = told(&error) {
                        return Err(own);
                    }
                    tracing::debug!(%error, "a request's body broke off");
                    return Err(Error::broken_off());
                }
                None => {
                    let proven = (!self.http2 || self.body.is_end_stream())
                        && self.declared.is_none_or(|declared| declared == self.received);
                    if !proven {
                        return Err(Error::broken_off());
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

/// Waits until a session is ended; for ever where there is none. Why what it has under way breaks off.
async fn ended(session: Option<&Session>) -> Error {
    match session {
        Some(session) => session.until_ended().await,
        None => std::future::pending().await,
    }
}

/// A piece that begins with these bytes, which are less than it holds.
fn copied(bytes: &[u8]) -> Piece {
    let mut piece = Piece::new();
    append(&mut piece, bytes);
    piece
}

/// Appends bytes for which there is room.
fn append(piece: &mut Piece, bytes: &[u8]) {
    piece.room(bytes.len()).copy_from_slice(bytes);
    piece.fill(bytes.len());
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
    async fn what_is_there_comes_together() {
        let frames: Vec<Bytes> = (0..50).map(|n| Bytes::from(vec![n; 16 * 1024 + usize::from(n)])).collect();
        let whole: Vec<u8> = frames.concat();
        let stream =
            stream::iter(frames.into_iter().map(std::io::Result::Ok).chain([Err(std::io::Error::other("gone"))]));
        let mut body = reader(Request::new(Body::from_stream(stream)));
        let (mut got, mut times) = (Vec::new(), 0);
        let end = loop {
            match body.next().await {
                Ok(Some(data)) => got.extend_from_slice(&data),
                end => break end,
            }
            times += 1;
        };
        assert!(got == whole, "in order, and all that came before it broke off");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Incomplete);
        assert!(times < 12, "{times}");
        // A frame that does not fit any more comes next.
        let (small, large) = (Bytes::from_static(b"small"), Bytes::from(vec![7; PIECE]));
        let mut body = reader(Request::new(Body::from_stream(stream::iter([small, large].map(std::io::Result::Ok)))));
        assert_eq!(body.next().await.unwrap().unwrap(), "small");
        assert_eq!(body.next().await.unwrap().unwrap().len(), PIECE);
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
