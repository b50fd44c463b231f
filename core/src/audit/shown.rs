//! Entries as they are shown and exported (contract, `api.md`, `GET /audit`): as JSON, and as rows of a table (CSV, RFC 4180).

use serde_json::{Map, Value};

use crate::events::with_hidden_escaped;
use crate::records::{AuditRecord, Seal};

/// How an operation can have ended: the words of `outcome`.
pub const OUTCOMES: [&str; 3] = ["ok", "denied", "error"];

/// The columns of the table. New ones come behind these: readers go by the place, too.
const COLUMNS: [&str; 35] = [
    "seq",
    "id",
    "timestamp",
    "tenant_id",
    "identity",
    "login",
    "protocol",
    "session",
    "client_ip",
    "node",
    "operation",
    "outcome",
    "status",
    "path",
    "view_path",
    "previous_path",
    "file_id",
    "transfer_id",
    "size",
    "bytes",
    "complete",
    "hash",
    "content_type",
    "duration_ms",
    "error_code",
    "error_message",
    "auth_method",
    "cipher",
    "client_version",
    "entry_hash",
    "client_id",
    "object_kind",
    "object_id",
    "change",
    OTHER,
];

/// The last column: the fields that have none of their own (what an administrator changed, say), as a JSON object.
const OTHER: &str = "other";

/// What the other columns tell already.
const IMPLIED: [&str; 2] = ["name", "hash_algorithm"];

/// An entry: the fields that were hashed, with its place in the chain as `seq` and its own hash as `entry_hash` (`hash` is the
/// content's), null where it waits for them. One whose bytes somebody has made unreadable shows its id alone.
pub fn shown(record: &AuditRecord, seal: Option<&Seal>) -> Map<String, Value> {
    let mut fields: Map<String, Value> = serde_json::from_slice(&record.body)
        .unwrap_or_else(|_| Map::from_iter([("id".to_owned(), record.id.to_string().into())]));
    fields.insert("seq".to_owned(), seal.map(|seal| seal.seq).into());
    fields.insert("entry_hash".to_owned(), seal.map(|seal| hex::encode(seal.hash)).into());
    fields
}

/// The first row of the table, with its end.
pub fn csv_header() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// Appends an entry's row, with its end.
pub fn csv_row(out: &mut String, entry: &Map<String, Value>) {
    for (n, column) in COLUMNS.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        if *column == OTHER {
            cell(out, &other(entry));
            continue;
        }
        match entry.get(*column) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => cell(out, text),
            Some(value) => cell(out, &value.to_string()),
        }
    }
    out.push_str("\r\n");
}

/// The fields that have no column, as a JSON object; nothing where there are none.
fn other(entry: &Map<String, Value>) -> String {
    let has_none = |name: &str| !COLUMNS.contains(&name) && !IMPLIED.contains(&name);
    let rest: Map<String, Value> = entry
        .iter()
        .filter(|(name, value)| has_none(name) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if rest.is_empty() { String::new() } else { Value::Object(rest).to_string() }
}

/// One cell. What a spreadsheet would take for a formula gets an apostrophe before it: names of logins, clients and files are a
/// stranger's. Spreadsheets skip blanks before a formula, and take the wide signs of East Asian text for the narrow ones. An entry is
/// one line, and nothing in it is hidden: what would be is written as JSON writes it (`\u000a`).
fn cell(out: &mut String, text: &str) {
    let text = with_hidden_escaped(text);
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{3000}']);
    let formula = first.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if !formula && !text.contains([',', ';', '"']) {
        out.push_str(&text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(body: &str) -> Map<String, Value> {
        let record = AuditRecord {
            id: Uuid::from_u128(9),
            chain: "acme".into(),
            at: 0,
            identity: None,
            login: None,
            operation: "upload".into(),
            outcome: "ok".into(),
            path: None,
            protocol: "sftp".into(),
            body: body.into(),
        };
        shown(&record, Some(&Seal { chain: "acme".into(), seq: 4, entry: record.id, hash: [0xab; 32] }))
    }

    fn row(body: &str) -> String {
        let mut out = String::new();
        csv_row(&mut out, &entry(body));
        out
    }

    #[test]
    fn an_entry_keeps_its_fields_and_gets_its_place() {
        let sealed = entry(r#"{"hash":"cafe","id":"9"}"#);
        assert_eq!(sealed["hash"], "cafe", "the content's hash stays");
        assert_eq!((&sealed["seq"], &sealed["entry_hash"]), (&4.into(), &"ab".repeat(32).into()));
        let unreadable = entry("\u{0}");
        assert_eq!((&unreadable["id"], &unreadable["seq"]), (&Uuid::from_u128(9).to_string().into(), &4.into()));
    }

    #[test]
    fn a_cell_is_quoted_and_starts_no_formula() {
        for (text, expected) in [
            ("plain", "plain"),
            ("/a=b", "/a=b"),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"x\"\r\n", "\"say \"\"x\"\"\\u000d\\u000a\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\\u0009=1"),
            ("\n=1", "\\u000a=1"),
            (" =1", "\"' =1\""),
            ("＝1", "\"'＝1\""),
        ] {
            let mut out = String::new();
            cell(&mut out, text);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn no_field_is_left_out() {
        assert_eq!(csv_header().matches(',').count() + 1, COLUMNS.len());
        let plain = row(r#"{"hash":"cafe","hash_algorithm":"sha256","id":"9","name":"a","object_id":null}"#);
        assert!(plain.starts_with("4,9,") && plain.ends_with(",\r\n"), "{plain}");
        assert_eq!(plain.matches(',').count() + 1, COLUMNS.len());
        let change =
            row(r#"{"after":{"id":"x"},"change":"created","id":"9","object_id":"edi01","object_kind":"login"}"#);
        assert!(change.ends_with(",login,edi01,created,\"{\"\"after\"\":{\"\"id\"\":\"\"x\"\"}}\"\r\n"), "{change}");
    }
}
