//! Traces: which larger work a request belongs to, as its caller says it (W3C Trace Context), and what the gateway tells of its own part
//! in it.
//!
//! A [`TraceContext`] is taken over from a request and given on with everything that comes of it: it stands in the ledger beside each event
//! and goes out with its deliveries, whether the gateway tells anything itself or not. Where it does ([`Tracer`]), each request, session,
//! operation and delivery is a [`Span`], and what goes out names that. A span says what was done, how it ended and how long it took: never
//! a name of a file, a credential, or what else a client wrote.

mod context;
mod span;

pub(crate) use context::placed;
pub use context::{TraceContext, carried, current, scope};
pub use span::{Attribute, EndedSpan, Span, SpanKind, SpanSink, Tracer};
