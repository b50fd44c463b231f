//! An audit entry as a syslog message: RFC 5424 section 6, framed by its length (RFC 5425 section 4.3, RFC 6587 section 3.4.1).

use std::fmt::Write as _;

use causeway_core::records::{AuditRecord, Seal};
use serde_json::{Map, Value};

/// RFC 5424 section 6.2.1: facility 13, log audit.
const FACILITY: u8 = 13;
/// RFC 5424 section 6.3.2 wants a private enterprise number behind a name of one's own; this one is that of examples (RFC 5612).
const ELEMENT: &str = "causeway@32473";
/// RFC 5424 section 6.4: text in UTF-8 begins with this.
const BOM: &str = "\u{feff}";

/// The message of an entry, with its frame.
pub fn framed(seal: &Seal, record: &AuditRecord) -> Vec<u8> {
    let message = message(seal, record);
    let mut frame = format!("{} ", message.len()).into_bytes();
    frame.extend_from_slice(message.as_bytes());
    frame
}

/// What is sealed is the text of the message, byte for byte behind the BOM, so that the collector can verify the chain: its place and
/// hash are in the structured data.
fn message(seal: &Seal, record: &AuditRecord) -> String {
    let fields: Map<String, Value> = serde_json::from_slice(&record.body).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let priority = FACILITY * 8 + severity(&record.outcome);
    let mut out = format!(
        "<{priority}>1 {} {} causeway - {} [{ELEMENT}",
        text("timestamp").unwrap_or("-"),
        name(text("node").unwrap_or_default(), 255),
        name(&record.operation, 32),
    );
    parameter(&mut out, "chain", &seal.chain);
    parameter(&mut out, "seq", &seal.seq.to_string());
    parameter(&mut out, "hash", &hex::encode(seal.hash));
    parameter(&mut out, "outcome", &record.outcome);
    for one in ["identity", "login", "protocol", "client_ip", "path", "error_code"] {
        if let Some(value) = text(one) {
            parameter(&mut out, one, value);
        }
    }
    out.push_str("] ");
    out.push_str(BOM);
    out.push_str(&String::from_utf8_lossy(&record.body));
    out
}

/// RFC 5424 table 2.
fn severity(outcome: &str) -> u8 {
    match outcome {
        "ok" => 6,
        "denied" => 4,
        _ => 3,
    }
}

/// A field of the header: printable US-ASCII without space, or `-`.
fn name(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

/// RFC 5424 section 6.3.3: quote, backslash and closing bracket are escaped, nothing else is. Line ends are not, by it, but many
/// collectors write a message as a line: control characters become spaces here, and are as they were in the text.
fn parameter(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &str, outcome: &str) -> String {
        let record = AuditRecord {
            id: uuid::Uuid::nil(),
            chain: "acme".into(),
            at: 0,
            identity: None,
            login: None,
            operation: "upload".into(),
            outcome: outcome.into(),
            path: None,
            protocol: "sftp".into(),
            body: body.into(),
        };
        let seal = Seal { chain: "acme".into(), seq: 7, entry: record.id, hash: [0xab; 32] };
        String::from_utf8(framed(&seal, &record)).unwrap()
    }

    #[test]
    fn an_entry_is_a_message_of_rfc_5424() {
        let body = r#"{"login":"edi01","node":"gw 1","path":"/a\"]\\b","timestamp":"2026-11-24T20:15:02.123456Z"}"#;
        let frame = sent(body, "ok");
        let (length, message) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(message.len()), "in bytes");
        let expected = format!(
            "<110>1 2026-11-24T20:15:02.123456Z gw_1 causeway - upload [causeway@32473 chain=\"acme\" seq=\"7\" hash=\"{}\" \
             outcome=\"ok\" login=\"edi01\" path=\"/a\\\"\\]\\\\b\"] \u{feff}{body}",
            "ab".repeat(32)
        );
        assert_eq!(message, expected);
    }

    #[test]
    fn refusals_are_warnings_and_failures_errors() {
        assert!(sent("{}", "denied").contains(" <108>1 - - causeway - upload "));
        assert!(sent("{}", "error").contains(" <107>1 "));
    }

    #[test]
    fn a_value_stays_on_its_line() {
        assert!(sent(r#"{"path":"/a\n<0>1 b"}"#, "ok").contains("path=\"/a <0>1 b\""));
    }
}
