use causeway_core::events::is_hidden;
use causeway_core::records::{AuditRecord, Seal};

use uuid::Uuid;

use super::*;

fn query(raw: &str) -> Result<AuditFilter, Problem> {
    filter(&Query::parse(Some(raw), &QUERY)?)
}

fn row(seal: bool) -> AuditRow {
    let id = Uuid::from_u128(9);
    AuditRow {
        record: AuditRecord {
            id,
            chain: "acme".into(),
            at: 0,
            identity: None,
            login: None,
            operation: "upload".into(),
            outcome: "ok".into(),
            path: Some("/a".into()),
            protocol: "sftp".into(),
            body: br#"{"hash":"cafe","id":"9","path":"=1+1,\"x\"","size":3,"transfer_id":null}"#.to_vec(),
        },
        seal: seal.then(|| Seal { chain: "acme".into(), seq: 4, entry: id, hash: [0xab; 32] }),
    }
}

#[test]
fn every_filter_is_read() {
    let filter = query(
        "since=2026-11-24T20:15:02.123456Z&until=2026-11-24T21:15:02%2B01:00&identity=a&login=b&operation=upload&outcome=ok&path=in/x&protocol=sftp",
    )
    .unwrap();
    assert_eq!(filter.since, Some(1_795_551_302_123_456));
    assert_eq!(filter.until, Some(1_795_551_302_000_000));
    assert_eq!(filter.path.as_deref(), Some("/in/x"));
    assert_eq!((filter.identity.as_deref(), filter.login.as_deref()), (Some("a"), Some("b")));
    assert_eq!(filter.operation.as_deref(), Some("upload"));
    assert_eq!((filter.outcome.as_deref(), filter.protocol.as_deref()), (Some("ok"), Some("sftp")));
}

#[test]
fn cursors_come_back() {
    let filter = query(&format!("cursor={}", cursor_of("4711"))).unwrap();
    assert_eq!(filter.after, Some(4711));
    for wrong in ["-1", "x", "99999999999999999999"] {
        assert!(query(&format!("cursor={}", cursor_of(wrong))).is_err(), "{wrong}");
    }
}

#[test]
fn a_page_ends_before_what_waits() {
    let sealed = |seq| {
        let mut row = row(true);
        row.seal.as_mut().unwrap().seq = seq;
        row
    };
    let mut rows = vec![sealed(4), sealed(5), row(false)];
    assert_eq!((end_of_page(&mut rows, None), rows.len()), (5, 2));
    assert_eq!((end_of_page(&mut rows, None), rows.len()), (5, 2));
    let mut rows = vec![row(false), row(false)];
    assert_eq!((end_of_page(&mut rows, Some(3)), rows.len()), (3, 2));
}

#[test]
fn wrong_filters_are_refused() {
    for bad in ["since=yesterday", "outcome=good", "operation=put", "protocol=ftp", "path=/../x", "cursor=x", "who=me"]
    {
        assert!(query(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_entry_is_a_row_and_a_line() {
    let entries = [shown(&row(true).record, row(true).seal.as_ref())];
    let text = String::from_utf8(csv(&entries)).unwrap();
    let mut rows = text.split("\r\n");
    assert_eq!(format!("{}\r\n", rows.next().unwrap()), csv_header());
    let data = rows.next().unwrap();
    assert!(data.starts_with("4,9,") && data.contains("\"'=1+1,\"\"x\"\"\""), "{data}");
    assert_eq!(rows.next(), Some(""));
    let text = String::from_utf8(lines(&entries)).unwrap();
    assert!(text.ends_with("}\n") && text.contains("\"seq\":4"), "{text}");
}

#[test]
fn an_entry_is_one_line_in_every_form() {
    let mut hostile = shown(&row(true).record, row(true).seal.as_ref());
    let text = "\u{202e}a\r\n=1\u{2028}\u{85}\"b\u{1b}";
    hostile.insert("path".into(), text.into());
    hostile.insert("login".into(), "\u{ff1d}1+1".into());
    hostile.insert("client_version".into(), "\t=1".into());
    let written = String::from_utf8(lines(&[hostile.clone()])).unwrap();
    assert_eq!(written.chars().filter(|c| is_hidden(*c)).collect::<String>(), "\n");
    let read: Map<String, Value> = serde_json::from_str(&written).unwrap();
    assert_eq!(read, hostile, "and nothing of it is lost");
    let written = String::from_utf8(csv(&[hostile])).unwrap();
    assert_eq!(written.chars().filter(|c| is_hidden(*c)).collect::<String>(), "\r\n\r\n");
    assert!(written.contains("\"\\u202ea\\u000d\\u000a=1\\u2028\\u0085\"\"b\\u001b\""), "{written}");
    assert!(written.contains(",\"'\u{ff1d}1+1\",") && written.contains(",\\u0009=1,"), "{written}");
}

#[test]
fn the_form_that_is_asked_for() {
    let form =
        |accept: &str| accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(accept).unwrap())]));
    assert_eq!(accepted(&HeaderMap::new()), Form::Json);
    assert_eq!(form("text/csv"), Form::Csv);
    assert_eq!(form("application/x-ndjson"), Form::Lines);
    assert_eq!(form("text/html, */*;q=0.1"), Form::Json);
    assert_eq!(form("application/json;q=0.5, text/csv"), Form::Csv);
    assert_eq!(form("text/csv;q=0"), Form::Json);
    assert_eq!(form("image/png"), Form::Json);
}

#[test]
fn links_keep_the_filters() {
    assert_eq!(next_target("identity=a&cursor=old&limit=5", "new"), "identity=a&limit=5&cursor=new");
    assert_eq!(next_target("", "new"), "cursor=new");
}
