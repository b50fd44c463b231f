//! The file as an operator is shown it over the API: every key as it stands there, but for hashes. Secrets are references in the
//! file, and stay that.

use serde_json::{Map, Value as Json};
use toml_span::Value;
use toml_span::value::ValueInner;

/// Keys that hold a hash, or text that may have a password in it, unless they refer to it.
const MASKED: [&str; 4] = ["password_hash", "key_hash", "secret_hash", "url"];
/// Keys that hold a secret: what is no reference there is refused by the reader.
const SECRET: [&str; 6] = ["password", "private_key", "secret", "totp_secret", "secret_access_key", "encrypt_with"];
/// What is shown in their place.
const MASK: &str = "(set)";

/// The file as JSON.
pub fn shown(value: &Value<'_>) -> Json {
    json("", value)
}

fn json(key: &str, value: &Value<'_>) -> Json {
    match value.as_ref() {
        ValueInner::String(text) => masked(key, text).into(),
        ValueInner::Integer(number) => (*number).into(),
        ValueInner::Float(number) => (*number).into(),
        ValueInner::Boolean(truth) => (*truth).into(),
        ValueInner::Array(items) => items.iter().map(|item| json(key, item)).collect(),
        ValueInner::Table(table) => {
            let members = table.iter().map(|(name, value)| (name.name.to_string(), json(&name.name, value)));
            members.collect::<Map<_, _>>().into()
        }
    }
}

fn masked(key: &str, text: &str) -> String {
    let refers = ["env:", "file:", "vault:"].iter().any(|kind| text.starts_with(kind));
    // Of an address only what stands before the host may be a secret.
    let plain = key == "url" && !text.contains('@');
    let hides = MASKED.contains(&key) || SECRET.contains(&key);
    if hides && !refers && !plain && !text.is_empty() { MASK.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_shown_and_hashes_are_not() {
        let text = "[database]\nurl = \"postgres://u:p@h/d\"\n[[tenant]]\nid = \"a\"\n[[tenant.login]]\npassword_hash = \"$argon2id$x\"\n\
                    totp_secret = \"env:CODE\"\n[[tenant.webhook]]\nurl = \"https://h/x\"\nsecret = \"plain\"\n[[tenant.api_key]]\nkey_hash = \"env:HASH\"\n[limits]\nfailed_logins = 3\n";
        let value = toml_span::parse(text).unwrap();
        let expected = serde_json::json!({
            "database": { "url": "(set)" },
            "limits": { "failed_logins": 3 },
            "tenant": [{
                "id": "a",
                "login": [{ "password_hash": "(set)", "totp_secret": "env:CODE" }],
                "webhook": [{ "url": "https://h/x", "secret": "(set)" }],
                "api_key": [{ "key_hash": "env:HASH" }],
            }],
        });
        assert_eq!(shown(&value), expected);
    }
}
