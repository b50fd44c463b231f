//! The error table of ARCHITECTURE.md is what the code does. `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use causeway_core::ErrorKind;

const BEGIN: &str = "<!-- error-table -->\n";
const END: &str = "<!-- /error-table -->";

fn table() -> String {
    let mut table = String::from("| kind | `code` | SFTP | FTP | HTTP |\n|---|---|---|---|---|\n");
    for kind in ErrorKind::ALL {
        let (number, name) = causeway_sftp::status_of(kind);
        let (reply, meaning) = causeway_ftp::status_of(kind);
        let status = causeway_api::status_of(kind);
        let reason = http::StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        writeln!(table, "| {kind:?} | `{}` | {number} {name} | {reply} {meaning} | {status} {reason} |", kind.code())
            .unwrap();
    }
    table
}

#[test]
fn the_table_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the begin mark of the table");
    let (written, after) = rest.split_once(END).expect("the end mark of the table");
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "run with UPDATE_GOLDEN=1 to write it anew");
    }
}

#[test]
fn codes_are_told_apart() {
    let mut codes: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), ErrorKind::ALL.len());
}
