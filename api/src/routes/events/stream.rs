//! `GET /events/stream`: the events as they come, as Server-Sent Events (the HTML standard, section 9.2). `id` is the event's id, which
//! `Last-Event-ID` brings back; `event` its kind; `data` its JSON as webhooks have it, on one line.
//!
//! The first block has no event: it says after how long a client that is cut off comes again, and, where the stream begins now, the
//! id that it is to come again with as long as it has seen no event. As the standard says, a block without data is none to a client's
//! program, but its `id` is remembered.
//!
//! The body is asked for more when the client has room for it, and only then is the ledger: nothing waits here for a slow reader, which
//! is cut like that of a download where it takes nothing at all.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use causeway_core::identity::{EndReason, Scope};
use causeway_core::records::StoredEvent;
use causeway_core::{ErrorKind, EventFeed, Session};
use futures::stream::unfold;
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AFTER, PATH, TYPE, after, event_id, filter, unknown};
use crate::auth::Caller;
use crate::openapi::schemas::{ID, id};
use crate::openapi::{Answer, Operation, Parameter, Shape, Tag, examples, headers as told};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::{Shared, Stopping};

/// The parameters of the query.
const QUERY: [Parameter; 3] = [AFTER, TYPE, PATH];

const LAST_EVENT_ID: Parameter = Parameter::header(
    "Last-Event-ID",
    "The same as `after`, and counts instead of it: what a client of Server-Sent Events sends by itself when it comes again.",
    id,
    ID,
);

/// After how many milliseconds a client that is cut off comes again.
const RETRY: u32 = 3000;
/// What is sent where there is nothing to send.
const BEAT: &[u8] = b":\n\n";
/// The pause after a failure of the ledger that may pass.
const PAUSE: Duration = Duration::from_secs(1);

pub fn operation() -> Operation {
    // What a client makes of each event of the stream; OpenAPI 3.1 has no word for that.
    let event = json!({
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": { "type": "string", "format": "uuid", "description": "The event's id." },
            "event": { "type": "string", "description": "Its type." },
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": "The event, as its webhook has it, on one line.",
            },
        },
    });
    let example = json!({ "id": ID, "event": "file.uploaded", "data": examples::event().to_string() });
    Operation::new(Tag::Events, "followEvents", "The events in the caller's view, as they come")
        .text("Server-Sent Events: `id` is the event's id, `event` its type, `data` the event on one line; a comment comes where nothing else did for 15 seconds. In the same order as `GET /events` has them, each at least once. It begins behind `Last-Event-ID`, else behind `after`, else now: with what is committed after the head of this answer is sent, at the latest. An id that is not known here is 400; begin anew with `GET /events`. The stream ends when the caller would not be let in any more and when the gateway stops; a client comes again with `Last-Event-ID` and misses nothing. More streams of one identity than the gateway allows are 429.")
        .scope(Scope::EventsRead)
        .parameters(&QUERY)
        .parameters(&[LAST_EVENT_ID])
        .answer(
            Answer::bare(StatusCode::OK, "The stream.")
                .content("text/event-stream", Shape::Inline(event), Some(example))
                .header(&told::CACHE_CONTROL)
                .header(&told::X_ACCEL_BUFFERING),
        )
        .fails([ErrorKind::InvalidArgument])
}

pub async fn stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Extension(Stopping(stopping)): Extension<Stopping>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let (after, filter) = (after(&query)?, filter(&query)?);
    let (named, after) = match last_event_id(&headers)? {
        Some(id) => (LAST_EVENT_ID.name, Some(id)),
        None => (AFTER.name, after),
    };
    let (session, most) = (caller.session, shared.config.event_streams_per_identity);
    // Where it begins is settled here, before the head of the answer is sent.
    let feed = shared.gateway.follow_events(&session, after, filter, most).await;
    let feed = feed.map_err(|error| unknown(error, named))?;
    let stream = Stream {
        returns: after.is_some() || feed.mark().is_some(),
        greeting: Some(greeting(feed.mark())),
        feed,
        expires: session.expires.and_then(moment),
        until: shared.config.event_stream_time.and_then(|time| Instant::now().checked_add(time)),
        session,
        stopping,
        heartbeat: shared.config.event_heartbeat,
        over: false,
    };
    let body = unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The id that the one header of this name has.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID.name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => event_id(value.to_str().unwrap_or_default(), LAST_EVENT_ID.name).map(Some),
        (Some(_), Some(_)) => Err(Problem::field(LAST_EVENT_ID.name, "this header stands twice; send it once")),
    }
}

/// What a client hears first.
fn greeting(mark: Option<Uuid>) -> Bytes {
    let mark = mark.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("retry: {RETRY}\n{mark}\n").into()
}

/// Events as they are sent. Their JSON is stored without line ends, and within its texts they are escaped.
fn blocks(events: &[StoredEvent]) -> Bytes {
    let mut out = String::new();
    for StoredEvent { event, .. } in events {
        // Writing to a string cannot fail.
        let _ = write!(out, "id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.body);
    }
    out.into()
}

/// The same moment by the clock that only goes on; none: nobody will see it.
fn moment(at: OffsetDateTime) -> Option<Instant> {
    let left = Duration::try_from(at - OffsetDateTime::now_utc()).unwrap_or_default();
    Instant::now().checked_add(left)
}

fn has_come(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| Instant::now() >= moment)
}

/// A stream that a client reads.
struct Stream {
    feed: EventFeed,
    session: Arc<Session>,
    stopping: CancellationToken,
    heartbeat: Duration,
    /// What is said first, until it is.
    greeting: Option<Bytes>,
    /// When the credential ends.
    expires: Option<Instant>,
    /// When the client is to come again, if it would miss nothing.
    until: Option<Instant>,
    /// Whether it has an id to come again with.
    returns: bool,
    /// Whether all is said.
    over: bool,
}

impl Stream {
    /// What is sent next, once there is something; none: this is the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        if self.over {
            return None;
        }
        if has_come(self.expires) {
            return Some(self.last_words(EndReason::Expired.sentence()));
        }
        let beat = Instant::now() + self.heartbeat;
        let until = self.until.filter(|_| self.returns);
        let by = [self.expires, until].into_iter().flatten().fold(beat, std::cmp::min);
        let found = tokio::select! {
            biased;
            why = self.session.until_ended() => return Some(self.last_words(why.message())),
            () = self.stopping.cancelled() => return Some(self.last_words("the gateway stops; come again")),
            found = self.feed.next(by) => found,
        };
        match found {
            Ok(events) => {
                self.over = has_come(until);
                self.returns |= !events.is_empty();
                match events.as_slice() {
                    [] if self.over => None,
                    [] => Some(Bytes::from_static(BEAT)),
                    events => Some(blocks(events)),
                }
            }
            // What the ledger cannot say now it says later: a client that came again would be turned away for good.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::debug!(%error, "a stream of events waits for the ledger");
                tokio::select! { () = sleep(PAUSE) => {}, () = self.stopping.cancelled() => {} }
                Some(Bytes::from_static(BEAT))
            }
            Err(error) => {
                tracing::warn!(%error, session = %self.session.id, "a stream of events was ended");
                Some(self.last_words("the events cannot be read at the moment; come again"))
            }
        }
    }

    /// Tells the client why nothing more comes, in a comment.
    fn last_words(&mut self, why: &str) -> Bytes {
        self.over = true;
        format!(": {why}\n\n").into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_has_no_data() {
        assert_eq!(greeting(None), "retry: 3000\n\n");
        assert_eq!(greeting(Some(Uuid::nil())), format!("retry: 3000\nid: {}\n\n", Uuid::nil()));
    }

    #[test]
    fn one_header_names_one_event() {
        let asked = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for &value in values {
                headers.append(LAST_EVENT_ID.name, HeaderValue::from_static(value));
            }
            last_event_id(&headers)
        };
        assert_eq!(asked(&[]).unwrap(), None);
        assert_eq!(asked(&[ID]).unwrap().unwrap().to_string(), ID);
        for wrong in [&[""][..], &["x"], &[ID, ID]] {
            assert!(asked(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_has_expired_is_over_at_once() {
        let at = |seconds: i64| moment(OffsetDateTime::now_utc() + time::Duration::seconds(seconds));
        assert!(has_come(at(-5)) && !has_come(at(60)) && !has_come(None));
    }
}
