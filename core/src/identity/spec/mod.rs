//! How an object that was declared through the API is written: one type for each kind, which is both what the ledger keeps
//! and what an administrator is shown. Its texts are those of the configuration, read by the same parsers
//! ([`super::texts`]), so that an object is right here exactly where it would be right there.
//!
//! A member that is not known is refused also where the ledger has it: it was written by a newer version, and may well
//! be a restriction.

mod api_key;
mod identity;
mod login;
mod mapping;
mod settings;
mod tenant;
mod webhook;

use serde::Serialize;
use serde_json::Value;

pub use api_key::{ApiKeySpec, KeyTextSpec, PreviousKeySpec, moment};
pub use identity::{IdentitySpec, ViewSpec};
pub use login::{LoginSpec, PendingCodes};
pub use mapping::{MAX_PATTERN, MappingSpec};
pub use settings::{LimitsSpec, UploadsSpec};
pub use tenant::{MountSpec, TenantSpec};
pub use webhook::{
    MAX_EVENT_GLOBS, PreviousSecretSpec, WebhookSpec, generate_webhook_secret, kind_glob, path_filter, path_glob,
    webhook_ca, webhook_identity, webhook_secret,
};

use super::texts::Parsed;

/// What is wrong with one field of an object, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field: `scopes`, `view[1].at`.
    pub field: String,
    /// The sentence. Never a secret's value.
    pub detail: String,
}

impl Fault {
    /// With its field.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// All that is wrong with an object, found in one go.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes what is wrong with a field.
    pub fn note(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Fault::new(field, detail));
    }

    /// The value of a field; a fault is noted, and there is none.
    pub fn take<T>(&mut self, field: &str, parsed: Parsed<T>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(detail) => {
                self.note(field, detail);
                None
            }
        }
    }

    /// The values of a list; each fault is noted with its place in it.
    pub fn list<T>(&mut self, field: &str, texts: &[String], parse: impl Fn(&str) -> Parsed<T>) -> Vec<T> {
        let mut out = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            out.extend(self.take(&format!("{field}[{place}]"), parse(text)));
        }
        out
    }

    /// A number of bytes that may be left out.
    pub fn bytes(&mut self, field: &str, bytes: Option<u64>) -> Option<u64> {
        bytes.and_then(|bytes| self.take(field, super::texts::bytes_in_range(bytes, &bytes.to_string())))
    }

    /// The object, where nothing was wrong and all of it is there.
    pub fn finish<T>(self, made: Option<T>) -> Result<T, Vec<Fault>> {
        match (made, self.0.is_empty()) {
            (Some(made), true) => Ok(made),
            (None, true) => Err(vec![Fault::new("body", "something is missing here")]),
            (_, false) => Err(self.0),
        }
    }
}

/// The members that hold hashes or secrets, whatever the kind of the object.
const SECRETS: [&str; 8] = [
    "password",
    "password_hash",
    "totp_secret",
    "key_hash",
    "secret",
    "secret_hash",
    "signing_secret",
    "client_identity",
];
/// What is shown in a secret's place.
const MASK: &str = "(set)";
/// The same where a change has made it another one.
const CHANGED_MASK: &str = "(set, changed)";

/// An object as it may be shown in a trail: each secret is a word that says that it is there. `before`: the same object
/// before a change; a secret that is not what it was then says so.
pub fn masked<T: Serialize>(spec: &T, before: Option<&Value>) -> Value {
    // Text, numbers, lists and maps with text keys always serialise.
    let mut value = serde_json::to_value(spec).unwrap_or_default();
    mask(&mut value, before);
    value
}

fn mask(value: &mut Value, before: Option<&Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let earlier = before.and_then(|before| before.get(name));
                if SECRETS.contains(&name.as_str()) && !member.is_null() {
                    let changed = before.is_some() && earlier.is_none_or(|earlier| earlier != member);
                    *member = Value::from(if changed { CHANGED_MASK } else { MASK });
                } else {
                    mask(member, earlier);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, None)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A secret on its way into the ledger and out of it. Nothing else may serialise one.
mod kept {
    // serde hands over the field as it is.
    #![allow(clippy::ref_option)]

    use secrecy::{ExposeSecret as _, SecretString};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(SecretString::expose_secret).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_at_any_depth_and_a_change_shows() {
        let before = json!({ "password_hash": "$a", "totp_secret": "T", "identity": "x" });
        let after = json!({ "password_hash": "$b", "totp_secret": "T", "deep": [{ "secret": "s" }], "key_hash": null });
        let shown = masked(&after, Some(&before));
        assert_eq!(
            shown,
            json!({ "password_hash": "(set, changed)", "totp_secret": "(set)", "deep": [{ "secret": "(set)" }], "key_hash": null })
        );
        assert_eq!(masked(&before, None), json!({ "password_hash": "(set)", "totp_secret": "(set)", "identity": "x" }));
    }

    #[test]
    fn every_fault_has_its_place() {
        let mut faults = Faults::default();
        let nets = faults.list("allow_from", &["10.0.0.0/8".into(), "x".into()], crate::identity::texts::network);
        assert_eq!(nets.len(), 1);
        assert_eq!(faults.bytes("quota", Some(0)), None);
        let wrong = faults.finish(Some(())).unwrap_err();
        assert_eq!(wrong.iter().map(|fault| &*fault.field).collect::<Vec<_>>(), ["allow_from[1]", "quota"]);
    }
}
