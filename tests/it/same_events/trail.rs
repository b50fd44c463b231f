//! What an act has left in the trail, read over REST, and what of it must be the same whichever protocol carried it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Gateway, Rest};

/// How long the trail may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Fields that say which connection it was, when, and how long it took: each has its own, but whether it has one is the same.
const OWN: [&str; 5] = ["id", "timestamp", "auth_method", "cipher", "duration_ms"];
/// Fields that a client may keep to itself, or that the sequencer adds later.
const NONE: [&str; 3] = ["client_version", "seq", "entry_hash"];
/// Fields that hold ids, which each has of its own, and which are the same where they were the same.
const IDS: [&str; 3] = ["session", "transfer_id", "file_id"];

/// An entry or an event, its fields by name.
pub type Facts = BTreeMap<String, Value>;

/// What an act left: audit entries and events, each in the order of what they say.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    pub entries: Vec<Facts>,
    pub events: Vec<Facts>,
}

fn text(facts: &Facts, field: &str) -> String {
    facts.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The fields of an entry, which is flat, or of an event, which has most of them in `data`.
fn facts(row: &Value) -> Facts {
    let mut facts = Facts::new();
    for (name, value) in row.as_object().unwrap() {
        match value {
            Value::Object(data) if name == "data" => facts.extend(data.clone()),
            value => drop(facts.insert(name.clone(), value.clone())),
        }
    }
    facts
}

impl Trail {
    /// Operations and outcomes of the entries.
    pub fn outcomes(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|entry| (text(entry, "operation"), text(entry, "outcome"))).collect()
    }

    /// Kinds of the events.
    pub fn kinds(&self) -> Vec<String> {
        self.events.iter().map(|event| text(event, "type")).collect()
    }

    /// Without what belongs to another operation.
    pub fn without(mut self, operation: &str) -> Self {
        for rows in [&mut self.entries, &mut self.events] {
            rows.retain(|row| text(row, "operation") != operation);
        }
        self
    }

    fn sort(&mut self) {
        self.entries.sort_by_key(|entry| (text(entry, "operation"), text(entry, "outcome")));
        self.events.sort_by_key(|event| (text(event, "type"), text(event, "operation")));
    }

    /// What must not differ: own fields are left out, an id is told by where it was first.
    pub fn comparable(mut self, protocol: &str) -> Self {
        let mut known: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for row in self.entries.iter_mut().chain(&mut self.events) {
            for field in OWN {
                if let Some(value) = row.get_mut(field).filter(|value| !value.is_null()) {
                    *value = "some".into();
                }
            }
            for field in NONE {
                row.remove(field);
            }
            for field in IDS {
                let Some(value) = row.get_mut(field).filter(|value| !value.is_null()) else { continue };
                let ids = known.entry(field).or_default();
                let place = ids.iter().position(|id| id == value).unwrap_or_else(|| {
                    ids.push(value.clone());
                    ids.len() - 1
                });
                *value = format!("{field} {place}").into();
            }
            if text(row, "protocol") == protocol {
                row.insert("protocol".to_owned(), "its own".into());
            }
        }
        self
    }

    /// The fields in which another one differs, each with what it is in both.
    pub fn differences(&self, other: &Self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let kinds = [("entry", &self.entries, &other.entries), ("event", &self.events, &other.events)];
        for (what, ours, theirs) in kinds {
            if ours.len() != theirs.len() {
                out.push((format!("the number of {what} rows"), format!("{} and {}", ours.len(), theirs.len())));
            }
            for (our, their) in ours.iter().zip(theirs) {
                let names: BTreeSet<&String> = our.keys().chain(their.keys()).collect();
                for name in names {
                    let (one, another) = (our.get(name), their.get(name));
                    if one != another {
                        let kind = if what == "event" { text(our, "type") } else { text(our, "operation") };
                        let both = format!("{what} {kind}: {} and {}", shown(one), shown(another));
                        out.push((name.clone(), both));
                    }
                }
            }
        }
        out
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}

/// Reads what comes.
pub struct Watch {
    rest: Rest,
    seen: BTreeSet<String>,
    after: String,
}

impl Watch {
    pub fn new(gateway: &Gateway) -> Self {
        Self { rest: gateway.rest("orders"), seen: BTreeSet::new(), after: String::new() }
    }

    /// What is new of an identity, once as much of what is wanted is there as there should be.
    pub async fn next(&mut self, who: &str, many: (usize, usize), wanted: impl Fn(&Facts) -> bool) -> Trail {
        let began = Instant::now();
        let mut trail = Trail::default();
        loop {
            self.read_entries(who, &wanted, &mut trail.entries).await;
            self.read_events(who, &wanted, &mut trail.events).await;
            let there = trail.entries.len() >= many.0 && trail.events.len() >= many.1;
            if there || began.elapsed() > PATIENCE {
                trail.sort();
                return trail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn read_entries(&mut self, who: &str, wanted: impl Fn(&Facts) -> bool, out: &mut Vec<Facts>) {
        for row in self.rest.pages(&format!("/audit?identity={who}&limit=1000"), "entries").await {
            if self.seen.insert(row["id"].as_str().unwrap().to_owned()) {
                out.extend(Some(facts(&row)).filter(&wanted));
            }
        }
    }

    async fn read_events(&mut self, who: &str, wanted: impl Fn(&Facts) -> bool, out: &mut Vec<Facts>) {
        let answer = self.rest.get(&format!("/events?limit=1000{}", self.after)).await.ok();
        for row in answer["events"].as_array().unwrap() {
            self.after = format!("&after={}", row["id"].as_str().unwrap());
            let event = facts(row);
            if text(&event, "identity") == who && wanted(&event) {
                out.push(event);
            }
        }
    }
}
