//! The parsers of the sections and the description of the keys know the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use toml_span::value::ValueInner;

use super::*;
use crate::config::reader::Section;
use crate::config::report::Report;
use crate::config::{Config, Secrets, load, parse, read, schema};

/// A file with every table, and every list of tables with one in it.
fn everything() -> String {
    fn walk(out: &mut String, at: &str, keys: &[Key]) {
        for key in keys {
            let path = if at.is_empty() { key.name.to_owned() } else { format!("{at}.{}", key.name) };
            let Some(inside) = key.keys() else { continue };
            let list = matches!(key.form, Form::Tables(_));
            writeln!(out, "{}", if list { format!("[[{path}]]") } else { format!("[{path}]") }).unwrap();
            walk(out, &path, inside);
        }
    }
    let mut out = String::new();
    walk(&mut out, "", ROOT);
    out
}

fn form(key: &Key) -> String {
    match key.form {
        Form::Text(_) | Form::TextOrEmpty(_) => "text".to_owned(),
        Form::Texts(_) => "texts".to_owned(),
        Form::Flag => "flag".to_owned(),
        Form::FlagOrText(_) => "flag or text".to_owned(),
        Form::Number(least, most) => format!("number {least} to {most}"),
        Form::Table(_) => "table".to_owned(),
        Form::Tables(_) => "tables".to_owned(),
        Form::Map(_) => "map".to_owned(),
    }
}

/// Every key with its place.
fn all() -> Vec<(String, &'static Key)> {
    fn walk(out: &mut Vec<(String, &'static Key)>, at: &str, keys: &'static [Key]) {
        for key in keys {
            let path = if at.is_empty() { key.name.to_owned() } else { format!("{at}.{}", key.name) };
            out.push((path.clone(), key));
            walk(out, &path, key.keys().unwrap_or_default());
        }
    }
    let mut out = Vec::new();
    walk(&mut out, "", ROOT);
    out
}

#[test]
fn every_key_that_is_read_is_described_and_every_other_way_round() {
    let text = everything();
    let report = Report::new(Path::new("c.toml"), &text, false);
    let value = toml_span::parse(&text).unwrap();
    drop(read(&Section::root(&report, &value)));
    let read: BTreeSet<(String, String)> = report.asked();
    let described: BTreeSet<(String, String)> = all().iter().map(|(path, key)| (path.clone(), form(key))).collect();
    let only = |one: &BTreeSet<(String, String)>, other: &BTreeSet<(String, String)>| {
        one.difference(other).map(|(path, form)| format!("{path} ({form})")).collect::<Vec<_>>()
    };
    assert_eq!(only(&read, &described), Vec::<String>::new(), "read, and not described so in src/config/keys");
    assert_eq!(only(&described, &read), Vec::<String>::new(), "described in src/config/keys, and not read so");
}

/// A file that is right and has a table for everything that has a default.
const BASE: &str = r#"
[node]
[network]
[sftp]
[ftps]
[api]
[ops]
[tls]
[database]
[uploads]
[transfers]
[oauth]
[limits]
[limits.penalties]
[events]
[telemetry]
[[storage]]
name = "s"
kind = "memory"
[[tenant]]
id = "t"
[[tenant.mount]]
at = "/"
storage = "s"
[[tenant.identity]]
id = "i"
[[tenant.identity.view]]
at = "/"
permissions = ["*"]
[[tenant.login]]
username = "l"
identity = "i"
password_hash = "env:NOT_LOOKED_UP"
[[tenant.mapping]]
id = "m"
username = "m-[0-9]"
identity = "i"
[[tenant.api_key]]
id = "k"
identity = "i"
key_hash = "abababababababababababababababababababababababababababababababab"
[[tenant.issuer]]
url = "https://login.example.org"
audience = "causeway"
[[tenant.oauth_client]]
id = "c"
redirect_uris = ["https://portal.example.org/callback"]
[[tenant.webhook]]
id = "w"
url = "https://example.org/"
secret = "env:NOT_LOOKED_UP"
"#;

fn parsed(text: &str) -> String {
    let (config, problems) = parse(Path::new("c.toml"), text, Secrets::Skip);
    let config = config.unwrap_or_else(|| panic!("{text}\n{}", problems.render(false)));
    // But for the file as it is shown, which is what was written.
    format!("{:?}", Config { shown: serde_json::Value::Null, ..config })
}

#[test]
fn the_defaults_are_those_that_are_described() {
    let bare = parsed(BASE);
    let (mut tried, mut by_table) = (0, BTreeMap::new());
    for (path, key) in all() {
        let Some(default) = key.default else { continue };
        let (table, name) = path.rsplit_once('.').unwrap_or(("", &path));
        let line = format!("{name} = {default}\n");
        let text = if table.is_empty() {
            format!("{line}{BASE}")
        } else {
            let head = [format!("[{table}]\n"), format!("[[{table}]]\n")].into_iter().find(|head| BASE.contains(head));
            let head = head.unwrap_or_else(|| panic!("{path} has a default, and the test has no table {table}"));
            BASE.replacen(&head, &format!("{head}{line}"), 1)
        };
        assert_eq!(parsed(&text), bare, "{path} = {default} is no default");
        *by_table.entry(table.to_owned()).or_insert(0) += 1;
        tried += 1;
    }
    assert!(tried > 80, "{tried}: {by_table:?}");
}

#[test]
fn places_are_found() {
    let counts = |path: &str| find(path).map(|key| (key.name, key.counts));
    assert_eq!(counts("sftp.banner"), Some(("banner", Counts::NewConnections)));
    assert_eq!(counts("tenant.login.ftps.session_reuse"), Some(("session_reuse", Counts::AtOnce)));
    assert_eq!(counts("storage.root"), Some(("root", Counts::Restart)));
    assert_eq!(counts("tenant.issuer.identities.x"), Some(("identities", Counts::AtOnce)));
    assert!(find("nothing").is_none());
}

/// Whatever stands in the two good files has its place in the schema: types and words as JSON Schema says them. (A real validator
/// looks at them in the integration tests.)
#[test]
fn the_good_files_fit_the_schema() {
    fn fits(value: &toml_span::Value<'_>, schema: &serde_json::Value, at: &str) {
        if let Some(any) = schema["anyOf"].as_array() {
            if value.as_str() == Some("") {
                return;
            }
            let flag = any.iter().find(|one| one["type"] == "boolean" && value.as_bool().is_some());
            return fits(value, flag.unwrap_or(&any[1]), at);
        }
        if let Some(words) = schema["enum"].as_array() {
            assert!(words.iter().any(|word| word.as_str() == value.as_str()), "{at}: {value:?}");
            return;
        }
        let wanted = schema["type"].as_str().unwrap_or_else(|| panic!("{at}: {schema}"));
        match value.as_ref() {
            ValueInner::String(text) => {
                assert_eq!(wanted, "string", "{at}");
                if let Some(pattern) = schema["pattern"].as_str() {
                    assert!(regex::Regex::new(pattern).unwrap().is_match(text), "{at}: {text} and {pattern}");
                }
            }
            ValueInner::Integer(number) => {
                assert_eq!(wanted, "integer", "{at}");
                let bounds = schema["minimum"].as_i64().unwrap()..=schema["maximum"].as_i64().unwrap();
                assert!(bounds.contains(number), "{at}");
            }
            ValueInner::Boolean(_) => assert_eq!(wanted, "boolean", "{at}"),
            ValueInner::Array(items) => {
                assert_eq!(wanted, "array", "{at}");
                for item in items {
                    fits(item, &schema["items"], at);
                }
            }
            ValueInner::Table(table) => {
                assert_eq!(wanted, "object", "{at}");
                for (name, value) in table {
                    let inside = &schema["properties"][&*name.name];
                    fits(value, inside, &format!("{at}.{}", name.name));
                }
                for required in schema["required"].as_array().into_iter().flatten() {
                    assert!(table.contains_key(required.as_str().unwrap()), "{at}: {required}");
                }
            }
            ValueInner::Float(_) => panic!("{at}: no key is a fraction"),
        }
    }
    let schema = schema::document();
    for file in ["causeway.example.toml", "tests/fixtures/contract.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(load(&path, Secrets::Skip).0.is_some(), "{file}");
        let text = std::fs::read_to_string(path).unwrap();
        fits(&toml_span::parse(&text).unwrap(), &schema, file);
    }
}
