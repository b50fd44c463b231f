//! Spans as OTLP says them: an `ExportTraceServiceRequest` in protobuf's binary form. The messages below have the fields of
//! `opentelemetry/proto/trace/v1/trace.proto`, `resource/v1/resource.proto` and `common/v1/common.proto` that the gateway fills; the
//! tests have the OpenTelemetry project's own types read it.

use causeway_core::trace::{Attribute, EndedSpan, SpanKind};
use prost::{Message as _, Oneof};

/// Who tells.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The node's name.
    pub node: String,
    /// The installation's id.
    pub installation: String,
    /// The gateway's version.
    pub version: &'static str,
}

/// `ExportTraceServiceRequest`, which has the fields of `TracesData`.
#[derive(prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(prost::Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<About>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// `Resource`.
#[derive(prost::Message)]
struct About {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(prost::Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// `InstrumentationScope`.
#[derive(prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(prost::Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    /// 1: internal, 2: server, 3: client.
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(prost::Message)]
struct Status {
    /// 2: error.
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(prost::Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(int64, tag = "3")]
    Int(i64),
}

/// The message of a request with these spans.
pub fn request(resource: &Resource, spans: &[EndedSpan]) -> Vec<u8> {
    let about = [
        ("service.name", "causeway"),
        ("service.version", resource.version),
        ("service.instance.id", &resource.installation),
        ("causeway.node", &resource.node),
    ];
    let scope = Scope { name: "causeway".to_owned(), version: resource.version.to_owned() };
    let resource_spans = ResourceSpans {
        resource: Some(About {
            attributes: about.into_iter().map(|(key, text)| attribute(key, Value::String(text.to_owned()))).collect(),
        }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans: spans.iter().map(written).collect() }],
    };
    Request { resource_spans: vec![resource_spans] }.encode_to_vec()
}

fn written(span: &EndedSpan) -> Span {
    Span {
        trace_id: span.context.trace().to_vec(),
        id: span.context.span().to_vec(),
        trace_state: span.context.tracestate().unwrap_or_default().to_owned(),
        parent_span_id: span.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        name: span.name.to_string(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        start_time_unix_nano: span.began_at.as_nanos() as u64,
        end_time_unix_nano: span.began_at.saturating_add(span.took).as_nanos() as u64,
        attributes: span
            .attributes
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Attribute::Text(text) => Value::String(text.to_string()),
                    Attribute::Number(number) => Value::Int(*number),
                };
                attribute(name, value)
            })
            .collect(),
        status: span.failed.then_some(Status { code: 2 }),
        flags: u32::from(span.context.flags()),
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use causeway_core::trace::TraceContext;

    /// What the OpenTelemetry project's `opentelemetry-proto` for Python writes of the same.
    const WRITTEN: &str = "\
         0aaf020a6f0a1a0a0c736572766963652e6e616d65120a0a0863617573657761790a1a0a0f736572766963652e7665727369\
         6f6e12070a05302e312e300a1c0a13736572766963652e696e7374616e63652e696412050a03692d310a170a0d6361757365\
         7761792e6e6f646512060a0467772d3112bb010a110a0863617573657761791205302e312e3012a5010a100af7651916cd43\
         dd8448eb211c80319c1208b7ad6b71692033311a03613d31220801020304050607082a11474554202f6170692f76312f6669\
         6c657330023901002a36fe9c97174181b21045fe9c97174a200a19687474702e726573706f6e73652e7374617475735f636f\
         6465120318f7034a100a016e120b18ffffffffffffffffff014a130a0a6572726f722e7479706512050a033530337a021802\
         850101000000";

    #[test]
    fn a_request_is_what_others_write_too() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let span = EndedSpan {
            context: TraceContext::parse(parent, Some("a=1")).unwrap(),
            parent: Some([1, 2, 3, 4, 5, 6, 7, 8]),
            name: "GET /api/v1/files".into(),
            kind: SpanKind::Server,
            began_at: Duration::from_nanos(1_700_000_000_000_000_001),
            took: Duration::from_millis(250),
            attributes: vec![
                ("http.response.status_code", 503_u64.into()),
                ("n", (-1_i64).into()),
                ("error.type", "503".into()),
            ],
            failed: true,
        };
        let resource = Resource { node: "gw-1".into(), installation: "i-1".into(), version: "0.1.0" };
        assert_eq!(hex::encode(request(&resource, &[span])), WRITTEN);
    }
}
