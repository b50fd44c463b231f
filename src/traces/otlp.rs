//! Spans as OTLP says them: an `ExportTraceServiceRequest` in protobuf's binary form. These are the fields of
//! `opentelemetry/proto/trace/v1/trace.proto`, `resource/v1/resource.proto` and `common/v1/common.proto` that the gateway fills, which is
//! little enough to write by hand; the tests have the OpenTelemetry project's own types read it.

use causeway_core::trace::{Attribute, EndedSpan, SpanKind};

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

/// How the fields of a message are laid out.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The message of a request with these spans.
pub fn request(resource: &Resource, spans: &[EndedSpan]) -> Vec<u8> {
    let mut about = Message::default();
    for (name, value) in [
        ("service.name", "causeway"),
        ("service.version", resource.version),
        ("service.instance.id", &resource.installation),
        ("causeway.node", &resource.node),
    ] {
        about.message(1, &text_attribute(name, value));
    }
    let mut scope = Message::default();
    scope.text(1, "causeway");
    scope.text(2, resource.version);
    let mut scoped = Message::default();
    scoped.message(1, &scope);
    for span in spans {
        scoped.message(2, &written(span));
    }
    let mut all = Message::default();
    all.message(1, &about);
    all.message(2, &scoped);
    let mut request = Message::default();
    request.message(1, &all);
    request.0
}

fn written(span: &EndedSpan) -> Message {
    let mut out = Message::default();
    out.bytes(1, span.context.trace());
    out.bytes(2, span.context.span());
    if let Some(state) = span.context.tracestate() {
        out.text(3, state);
    }
    if let Some(parent) = &span.parent {
        out.bytes(4, parent);
    }
    out.text(5, &span.name);
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    out.number(6, kind);
    out.fixed64(7, span.began_at.as_nanos() as u64);
    out.fixed64(8, span.began_at.saturating_add(span.took).as_nanos() as u64);
    for (name, value) in &span.attributes {
        let attribute = match value {
            Attribute::Text(text) => text_attribute(name, text),
            Attribute::Number(number) => number_attribute(name, *number),
        };
        out.message(9, &attribute);
    }
    if span.failed {
        let mut status = Message::default();
        status.number(3, 2);
        out.message(15, &status);
    }
    out.fixed32(16, u32::from(span.context.flags()));
    out
}

fn text_attribute(name: &str, text: &str) -> Message {
    let mut value = Message::default();
    value.text(1, text);
    attribute(name, &value)
}

fn number_attribute(name: &str, number: i64) -> Message {
    let mut value = Message::default();
    // Negative ones are written as the unsigned number with the same bits.
    value.number(3, number as u64);
    attribute(name, &value)
}

fn attribute(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.text(1, name);
    out.message(2, value);
    out
}

/// A message as it is being written: field by field, each behind its number and form.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Seven bits a byte, the low ones first; the high bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, form: u64) {
        self.varint((field << 3) | form);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    fn fixed64(&mut self, field: u64, value: u64) {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, value: u32) {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }
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
