//! What has changed between two texts of the configuration: names alone, as values may be secrets.

use std::collections::BTreeSet;

use toml_span::Value;
use toml_span::value::{Table, ValueInner};

use super::keys::{Counts, Form, find};

/// What one of a list of tables is called by.
const NAMES: [&str; 5] = ["id", "name", "username", "at", "network"];
/// Whether these tables are there at all is asked at the start alone.
const SWITCHES: [&str; 4] = ["sftp", "ftps", "api", "ops"];

/// One thing that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The key with its tables, those of a list by what they are called: `tenant.acme.login.edi01.password_hash`.
    pub name: String,
    /// From when on it counts.
    pub counts: Counts,
}

/// What differs between two texts that can be parsed; nothing where one cannot.
pub fn between(old: &str, new: &str) -> Vec<Changed> {
    let (Ok(old), Ok(new)) = (toml_span::parse(old), toml_span::parse(new)) else { return Vec::new() };
    let mut changed = Vec::new();
    walk(&mut changed, &Place::default(), Some(&old), Some(&new));
    changed
}

/// A place in the file.
#[derive(Clone, Default)]
struct Place {
    /// As it is shown.
    shown: String,
    /// As the description of the keys has it.
    key: String,
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

impl Place {
    fn inside(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, name), key: join(&self.key, name) }
    }

    /// One of a list.
    fn called(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, name), key: self.key.clone() }
    }

    fn changed(&self) -> Changed {
        let counts = find(&self.key).map_or(Counts::AtOnce, |key| key.counts);
        Changed { name: self.shown.clone(), counts }
    }
}

fn walk<'v>(out: &mut Vec<Changed>, at: &Place, old: Option<&'v Value<'v>>, new: Option<&'v Value<'v>>) {
    if SWITCHES.contains(&at.key.as_str()) && old.is_some() != new.is_some() {
        out.push(Changed { name: at.shown.clone(), counts: Counts::Restart });
        return;
    }
    let is_table = |value: Option<&Value<'_>>| value.is_some_and(|value| value.as_table().is_some());
    let is_other = |value: Option<&Value<'_>>| value.is_some_and(|value| value.as_table().is_none());
    if (is_table(old) || is_table(new)) && !is_other(old) && !is_other(new) {
        let (old, new) = (old.and_then(|value| value.as_table()), new.and_then(|value| value.as_table()));
        let keys = |table: Option<&Table<'_>>| -> Vec<String> {
            table.into_iter().flat_map(|table| table.keys().map(|key| key.name.to_string())).collect()
        };
        let names: BTreeSet<String> = keys(old).into_iter().chain(keys(new)).collect();
        for name in names {
            let inside = |table: Option<&'v Table<'v>>| table.and_then(|table| table.get(name.as_str()));
            walk(out, &at.inside(&name), inside(old), inside(new));
        }
        return;
    }
    let listed = matches!(find(&at.key).map(|key| key.form), Some(Form::Tables(_)));
    match (list(old), list(new)) {
        (Some(old), Some(new)) if listed => walk_list(out, at, &old, &new),
        _ if same(old, new) => {}
        _ => out.push(at.changed()),
    }
}

/// The tables of a list by what they are called; none where it is no list of such tables.
fn list<'v>(value: Option<&'v Value<'v>>) -> Option<Vec<(String, &'v Value<'v>)>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let items = value.as_array()?;
    let named = |item: &'v Value<'v>| {
        let table = item.as_table()?;
        let name = NAMES.iter().find_map(|name| table.get(*name)?.as_str())?;
        Some((name.to_owned(), item))
    };
    items.iter().map(named).collect()
}

fn walk_list<'v>(out: &mut Vec<Changed>, at: &Place, old: &[(String, &'v Value<'v>)], new: &[(String, &'v Value<'v>)]) {
    fn get<'v>(list: &[(String, &'v Value<'v>)], name: &str) -> Option<&'v Value<'v>> {
        list.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }
    let names: BTreeSet<&String> = old.iter().chain(new).map(|(name, _)| name).collect();
    let before = out.len();
    for name in names {
        match (get(old, name), get(new, name)) {
            (Some(was), Some(is)) => walk(out, &at.called(name), Some(was), Some(is)),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => out.push(at.called(name).changed()),
        }
    }
    // Of rules the first that matches counts.
    let order = |list: &[(String, &Value<'_>)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if out.len() == before && order(old) != order(new) {
        out.push(at.changed());
    }
}

fn same(old: Option<&Value<'_>>, new: Option<&Value<'_>>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => match (old.as_ref(), new.as_ref()) {
            (ValueInner::String(one), ValueInner::String(other)) => one == other,
            (ValueInner::Integer(one), ValueInner::Integer(other)) => one == other,
            (ValueInner::Float(one), ValueInner::Float(other)) => one.to_bits() == other.to_bits(),
            (ValueInner::Boolean(one), ValueInner::Boolean(other)) => one == other,
            (ValueInner::Array(one), ValueInner::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(Some(one), Some(other)))
            }
            (ValueInner::Table(one), ValueInner::Table(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(key, value)| same(Some(value), other.get(key.name.as_ref())))
            }
            _ => false,
        },
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(old: &str, new: &str) -> Vec<String> {
        let shown = |changed: Changed| match changed.counts {
            Counts::AtOnce => changed.name,
            Counts::NewConnections => format!("{} (next)", changed.name),
            Counts::Restart => format!("{} (restart)", changed.name),
        };
        between(old, new).into_iter().map(shown).collect()
    }

    #[test]
    fn names_are_told_and_from_when_on_they_count() {
        let old = "data_dir = \"a\"\n[sftp]\nbanner = \"x\"\n[limits]\nfailed_logins = 10\n[ops]\n";
        let new = "data_dir = \"b\"\n[sftp]\nbanner = \"y\"\nlisten = []\n[limits]\nban = \"1m\"\n[api]\n";
        assert_eq!(
            changed(old, new),
            [
                "api (restart)",
                "data_dir (restart)",
                "limits.ban",
                "limits.failed_logins",
                "ops (restart)",
                "sftp.banner (next)",
                "sftp.listen (restart)",
            ]
        );
        assert_eq!(changed(old, old), Vec::<String>::new());
        assert_eq!(changed(old, &old.replace('\n', "\n\n# a remark\n")), Vec::<String>::new());
    }

    #[test]
    fn those_of_a_list_are_called_by_their_names() {
        let old = "[[tenant]]\nid = \"acme\"\n[[tenant.login]]\nusername = \"one\"\nallow_from = [\"10.0.0.0/8\"]\n\
                   [[tenant.login]]\nusername = \"two\"\n[[tenant.mapping]]\nid = \"m\"\n[[tenant.mapping]]\nid = \"n\"\n";
        let new = old.replace("10.0.0.0/8", "10.0.0.0/9").replace("\"two\"", "\"three\"");
        assert_eq!(
            changed(old, &new),
            ["tenant.acme.login.one.allow_from", "tenant.acme.login.three", "tenant.acme.login.two"]
        );
        let turned = old.replace("\"m\"", "\"x\"").replace("\"n\"", "\"m\"").replace("\"x\"", "\"n\"");
        assert_eq!(changed(old, &turned), ["tenant.acme.mapping"], "the order counts");
        assert_eq!(changed(old, ""), ["tenant.acme"]);
        assert_eq!(
            changed("[[storage]]\nname = \"a\"\nkind = \"local\"", "[[storage]]\nname = \"a\"\nkind = \"memory\""),
            ["storage.a.kind (restart)"]
        );
    }

    #[test]
    fn lists_of_words_change_as_one() {
        assert_eq!(
            changed("[api]\ncors_origins = [\"a\"]", "[api]\ncors_origins = [\"b\"]"),
            ["api.cors_origins (restart)"]
        );
        assert_eq!(changed("x", "y"), Vec::<String>::new());
    }
}
