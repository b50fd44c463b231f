//! W3C Trace Context (Level 1, and the random flag of Level 2): what `traceparent` and `tracestate` say.

use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;
use tracing::Instrument as _;
use tracing::instrument::Instrumented;

/// The flag that says that whoever sends it records the trace.
const SAMPLED: u8 = 0x01;
/// The flag that says that the trace's id is random.
const RANDOM: u8 = 0x02;
/// The longest `tracestate` that is given on, in bytes (section 3.3.1.5). A longer one is left out.
const MAX_STATE: usize = 512;
/// The most members of a `tracestate` (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// The longest key and the longest value of one (sections 3.3.1.3.1 and 3.3.1.3.2), in bytes.
const MAX_MEMBER: usize = 256;

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// What a caller sent; none where its `traceparent` is not valid (section 3.2), which is as if there were none. A `tracestate` that is
    /// not valid, or too long, is left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut fields = traceparent.splitn(5, '-');
        let [version] = bytes(fields.next()?)?;
        let (trace_id, span_id) = (bytes(fields.next()?)?, bytes(fields.next()?)?);
        let [flags] = bytes(fields.next()?)?;
        // Later versions may say more behind it, this one does not.
        let more = fields.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        let state = tracestate.and_then(state);
        Some(Self { trace_id, span_id, flags: flags & (SAMPLED | RANDOM), state })
    }

    /// The beginning of a new trace.
    pub(super) fn root(sampled: bool, (high, low): (u64, u64)) -> Self {
        let mut trace_id = [0; 16];
        let halves = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
        trace_id.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
        let flags = if sampled { SAMPLED | RANDOM } else { RANDOM };
        Self { trace_id, span_id: random().to_be_bytes(), flags, state: None }
    }

    /// Another place below this one.
    pub(super) fn child(&self) -> Self {
        Self { span_id: random().to_be_bytes(), ..self.clone() }
    }

    /// Whether the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The id of the whole trace.
    pub const fn trace(&self) -> &[u8; 16] {
        &self.trace_id
    }

    /// The id of the place in it.
    pub const fn span(&self) -> &[u8; 8] {
        &self.span_id
    }

    /// The flags, as they stand in `traceparent`.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// The id of the whole trace, as logs have it: 32 hex digits.
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace_id)
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }

    /// The value of `tracestate`.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The headers of a request that belongs here.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("traceparent", self.traceparent())];
        headers.extend(self.tracestate().map(|state| ("tracestate", state.to_owned())));
        headers
    }

    /// The text that the ledger keeps: `traceparent`, and behind a space `tracestate`.
    pub fn to_stored(&self) -> String {
        match &self.state {
            Some(state) => format!("{} {state}", self.traceparent()),
            None => self.traceparent(),
        }
    }

    /// What such a text says; none where it is none.
    pub fn from_stored(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((traceparent, tracestate)) => Self::parse(traceparent, Some(tracestate)),
            None => Self::parse(text, None),
        }
    }
}

/// A number that is not 0, as no id may be.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or(1).max(1)
}

/// So many bytes in lower-case hex.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// A `tracestate` (section 3.3), its members behind each other as they came; none where it is not valid or has none.
fn state(text: &str) -> Option<Arc<str>> {
    let members: Vec<&str> =
        text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect();
    let mut keys: Vec<&str> = Vec::new();
    for member in &members {
        let (key, value) = member.split_once('=')?;
        let printable = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'=';
        let valid = is_key(key) && (1..=MAX_MEMBER).contains(&value.len()) && value.bytes().all(printable);
        if !valid || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    let joined = members.join(",");
    ((1..=MAX_MEMBERS).contains(&members.len()) && joined.len() <= MAX_STATE).then(|| joined.into())
}

/// Whether this is a key of a `tracestate`, of one system or of a tenant of one.
fn is_key(key: &str) -> bool {
    let begins = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let goes_on = |byte: u8| begins(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= MAX_MEMBER
        && key.bytes().next().is_some_and(begins)
        && key.bytes().all(goes_on)
        && key.bytes().filter(|byte| *byte == b'@').count() <= 1
}

tokio::task_local! {
    /// Where in a trace what runs belongs.
    static CURRENT: Option<TraceContext>;
}

/// Where in a trace this task is at; none: nobody said so.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Does work as a part of a trace; none: where the caller is at.
pub fn scope<F: Future>(context: Option<TraceContext>, work: F) -> TaskLocalFuture<Option<TraceContext>, F> {
    placed(context.or_else(current), work)
}

/// Does work there, wherever the task is at that does it; none: in no trace.
pub(crate) fn placed<F: Future>(context: Option<TraceContext>, work: F) -> TaskLocalFuture<Option<TraceContext>, F> {
    CURRENT.scope(context, work)
}

/// Work that stays where its caller is at in a trace, and in the log, whatever task does it.
pub fn carried<F: Future>(work: F) -> Instrumented<TaskLocalFuture<Option<TraceContext>, F>> {
    scope(None, work).in_current_span()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_taken_over_is_what_is_given_on() {
        let context = TraceContext::parse(PARENT, Some("vendor=a b , tenant@sys=x,")).unwrap();
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.tracestate(), Some("vendor=a b,tenant@sys=x"));
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled());
        assert_eq!(TraceContext::from_stored(&context.to_stored()), Some(context.clone()));
        let bare = TraceContext::parse(PARENT, None).unwrap();
        assert_eq!(bare.to_stored(), PARENT);
        assert_eq!(bare.headers(), [("traceparent", PARENT.to_owned())]);
        let child = context.child();
        assert_eq!((child.trace(), child.tracestate()), (context.trace(), context.tracestate()));
        assert_ne!(child.span(), context.span());
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            "00-\u{e9}af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(wrong, Some("a=b")), None, "{wrong}");
        }
        // A later version is read as far as this one knows it, and flags that it does not know are not given on.
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fd";
        for text in [later.to_owned(), format!("{later}-more-of-it")] {
            assert_eq!(TraceContext::parse(&text, None).unwrap().traceparent(), PARENT, "{text}");
        }
    }

    #[test]
    fn a_tracestate_that_is_wrong_is_left_out_alone() {
        let long = format!("a={}", "x".repeat(256));
        let longer = format!("{long},b={}", "x".repeat(256));
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        let (many, most) = (many.join(","), many.get(..32).unwrap().join(","));
        for (text, kept) in [
            ("a=1", true),
            ("0a=1", true),
            (long.as_str(), true),
            (most.as_str(), true),
            ("", false),
            (" , ", false),
            ("a", false),
            ("a=", false),
            ("A=1", false),
            ("=1", false),
            ("a=1=2", false),
            ("a=1,a=2", false),
            ("a@b@c=1", false),
            ("a=\u{e9}", false),
            ("a=1\r\nx: y", false),
            (longer.as_str(), false),
            (many.as_str(), false),
        ] {
            let context = TraceContext::parse(PARENT, Some(text)).unwrap();
            assert_eq!(context.tracestate().is_some(), kept, "{text}");
        }
    }

    #[tokio::test]
    async fn a_task_is_where_it_was_put_and_a_new_one_where_it_is_carried_to() {
        assert_eq!(current(), None);
        let context = TraceContext::parse(PARENT, None);
        let (here, inside, lost, carried) = scope(context.clone(), async {
            let here = current();
            let inside = scope(None, async { current() }).await;
            let lost = tokio::spawn(async { current() }).await.unwrap();
            (here, inside, lost, tokio::spawn(carried(async { current() })).await.unwrap())
        })
        .await;
        assert_eq!((here, inside), (context.clone(), context.clone()));
        assert_eq!((lost, carried), (None, context));
    }
}
