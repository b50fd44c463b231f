//! What the gateway tells of its own part in a trace. A tracer that tells nobody anything makes no ids, reads no clock and stores nothing.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::futures::TaskLocalFuture;
use tracing::Instrument as _;
use tracing::instrument::Instrumented;

use super::context::{TraceContext, current, random, scope};
use crate::error::{Error, ErrorKind};
use crate::gateway::held;

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// None: something that is done inside.
    Internal,
    /// The side that was asked.
    Server,
    /// The side that asks.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text: of this gateway or of its configuration, never of a client.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSpan {
    /// Its place in the trace.
    pub context: TraceContext,
    /// The id of the one above it; none: it is the first one.
    pub parent: Option<[u8; 8]>,
    /// What was done: one of few names.
    pub name: Cow<'static, str>,
    /// Which side it is.
    pub kind: SpanKind,
    /// When it began, since 1970.
    pub began_at: Duration,
    /// How long it took.
    pub took: Duration,
    /// By the names of OpenTelemetry's semantic conventions, and `causeway.…` where those have none.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Whether it failed by a fault of the side that it is.
    pub failed: bool,
}

/// Takes spans that have ended.
pub trait SpanSink: std::fmt::Debug + Send + Sync {
    /// Takes one, without waiting for anything.
    fn take(&self, span: EndedSpan);
}

/// Makes spans; the default one makes none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    sink: Arc<dyn SpanSink>,
    one_in: u64,
}

impl Tracer {
    /// Gives spans to a sink: all of those that belong to a trace that its caller records, and of the traces that begin here one in so many.
    pub fn new(sink: Arc<dyn SpanSink>, one_in: u32) -> Self {
        Self(Some(Arc::new(Recorder { sink, one_in: u64::from(one_in.max(1)) })))
    }

    /// A span that begins now, below `parent`; none: a trace of its own. Where nothing is told of it, it stands for its parent.
    pub fn begin(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>, parent: Option<TraceContext>) -> Span {
        let Some(recorder) = &self.0 else { return self.under(parent) };
        let (context, parent) = match parent {
            Some(parent) if !parent.is_sampled() => return self.under(Some(parent)),
            Some(parent) => (parent.child(), Some(*parent.span())),
            None => {
                let halves = (random(), random());
                (TraceContext::root(halves.1.is_multiple_of(recorder.one_in), halves), None)
            }
        };
        let sampled = context.is_sampled();
        let span = self.under(Some(context));
        if sampled {
            *held(&span.open) = Some(Box::new(Open {
                parent,
                name: name.into(),
                kind,
                began_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
                began: Instant::now(),
                attributes: Vec::new(),
                failed: false,
            }));
        }
        span
    }

    /// Nothing of its own: it only stands for a place in a trace that others tell of.
    pub fn under(&self, context: Option<TraceContext>) -> Span {
        Span { tracer: self.clone(), context, open: Mutex::default() }
    }
}

/// Something that is done, from its beginning to [`Span::end`], or to when it is dropped.
#[derive(Debug, Default)]
pub struct Span {
    tracer: Tracer,
    context: Option<TraceContext>,
    /// What will be told of it; none: nothing (any more).
    open: Mutex<Option<Box<Open>>>,
}

#[derive(Debug)]
struct Open {
    parent: Option<[u8; 8]>,
    name: Cow<'static, str>,
    kind: SpanKind,
    began_at: Duration,
    began: Instant,
    attributes: Vec<(&'static str, Attribute)>,
    failed: bool,
}

/// Whether this is a fault of the gateway, and not of whoever asked it.
const fn is_own_fault(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::NoSpace)
}

impl Span {
    /// Its place in a trace; none: it belongs to none.
    pub const fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Whether anything will be told of it.
    pub fn is_recording(&self) -> bool {
        held(&self.open).is_some()
    }

    /// Whether anything would be told of what is done below it.
    pub(crate) fn has_children(&self) -> bool {
        self.tracer.0.is_some() && self.context.as_ref().is_none_or(TraceContext::is_sampled)
    }

    /// Something that is done in it, or in what the task does in it already.
    pub(crate) fn child(&self, name: &'static str) -> Self {
        if self.tracer.0.is_none() {
            return self.tracer.under(self.context.clone());
        }
        self.tracer.begin(SpanKind::Internal, name, current().or_else(|| self.context.clone()))
    }

    /// Gives it a name that says more than the one that it began with.
    pub fn rename(&self, name: String) {
        if let Some(open) = held(&self.open).as_mut() {
            open.name = Cow::Owned(name);
        }
    }

    /// Notes an attribute. Of the same name the last one counts.
    pub fn note(&self, name: &'static str, value: impl Into<Attribute>) {
        if let Some(open) = held(&self.open).as_mut() {
            open.attributes.retain(|(other, _)| *other != name);
            open.attributes.push((name, value.into()));
        }
    }

    /// Notes that it came to an error, and whether that is a fault of the side that it is.
    pub fn fail(&self, code: impl Into<Attribute>, fault: bool) {
        self.note("error.type", code);
        if let Some(open) = held(&self.open).as_mut() {
            open.failed = fault;
        }
    }

    /// Notes an error of core's.
    pub(crate) fn fail_by(&self, error: &Error) {
        self.fail(error.kind().code(), is_own_fault(error.kind()));
    }

    /// Ends it. A second call does nothing.
    pub fn end(&self) {
        let open = held(&self.open).take();
        let (Some(open), Some(context), Some(recorder)) = (open, &self.context, &self.tracer.0) else { return };
        let Open { parent, name, kind, began_at, began, attributes, failed } = *open;
        let took = began.elapsed();
        let context = context.clone();
        recorder.sink.take(EndedSpan { context, parent, name, kind, began_at, took, attributes, failed });
    }

    /// Does work as a part of it. What is logged meanwhile has the trace's id.
    pub fn within<F: Future>(&self, work: F) -> Instrumented<TaskLocalFuture<Option<TraceContext>, F>> {
        // Inside of another one the log has it already.
        let logged = match (&self.context, current()) {
            (Some(context), None) => tracing::error_span!("trace", trace_id = %context.trace_id()),
            (Some(_), Some(_)) | (None, _) => tracing::Span::current(),
        };
        scope(self.context.clone(), work).instrument(logged)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<EndedSpan>>);

    impl SpanSink for Kept {
        fn take(&self, span: EndedSpan) {
            held(&self.0).push(span);
        }
    }

    fn tracer(one_in: u32) -> (Tracer, Arc<Kept>) {
        let kept = Arc::<Kept>::default();
        (Tracer::new(kept.clone(), one_in), kept)
    }

    fn sent(flags: &str) -> Option<TraceContext> {
        TraceContext::parse(&format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"), None)
    }

    #[tokio::test]
    async fn spans_stand_below_each_other_and_end_once() {
        let (tracer, kept) = tracer(1);
        let request = tracer.begin(SpanKind::Server, "GET /x", sent("01"));
        let inner = request
            .within(async {
                let operation = request.child("stat");
                operation.note("n", 1_u64);
                operation.note("n", 2_u64);
                operation.fail_by(&Error::not_found());
                let below = operation.within(async { request.child("below") }).await;
                (*operation.context().unwrap().span(), below)
            })
            .await;
        request.fail("500", true);
        request.end();
        request.end();
        drop(request);
        drop(inner.1);
        let spans = held(&kept.0).clone();
        let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["stat", "GET /x", "below"]);
        let parent = sent("01").unwrap();
        assert_eq!(spans[1].parent, Some(*parent.span()));
        assert_eq!(spans[0].parent, Some(*spans[1].context.span()));
        assert_eq!(spans[2].parent, Some(inner.0), "what a task is in counts before the session");
        assert!(spans.iter().all(|span| span.context.trace() == parent.trace()));
        assert_eq!(spans[0].attributes, [("n", 2_u64.into()), ("error.type", "not_found".into())]);
        assert_eq!((spans[0].failed, spans[1].failed), (false, true), "what is not there is no fault of the gateway's");
    }

    #[test]
    fn what_is_not_sampled_is_given_on_as_it_came() {
        let (sampling, kept) = tracer(1);
        let span = sampling.begin(SpanKind::Server, "x", sent("00"));
        assert_eq!(span.context(), sent("00").as_ref());
        assert_eq!(span.child("y").context(), sent("00").as_ref());
        assert!(!span.is_recording() && !span.has_children());
        let off = Tracer::default().begin(SpanKind::Server, "x", sent("01"));
        assert_eq!((off.context(), off.child("y").context()), (sent("01").as_ref(), sent("01").as_ref()));
        assert!(!off.is_recording() && !off.has_children());
        assert_eq!(Tracer::default().begin(SpanKind::Server, "x", None).context(), None);
        drop((span, off));
        assert!(held(&kept.0).is_empty());
    }

    #[test]
    fn of_traces_that_begin_here_one_in_so_many_is_recorded() {
        let (tracer, kept) = tracer(4);
        let ids: std::collections::BTreeSet<String> =
            (0..400).map(|_| tracer.begin(SpanKind::Internal, "x", None).context().unwrap().trace_id()).collect();
        let recorded = held(&kept.0).len();
        assert_eq!(ids.len(), 400);
        assert!((40..200).contains(&recorded), "{recorded} of 400 where it should be about 100");
    }
}
