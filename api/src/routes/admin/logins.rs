//! `/logins`: legacy logins, and the identities that they become. A login is addressed by its username, percent-encoded.

use causeway_core::identity::Scope;
use causeway_core::identity::spec::LoginSpec;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{Draft, Kind, Told, answered, asked, example, maybe, members, page_of, texts};
use crate::members::Members;
use crate::openapi::{Operation, Parameter, Shape, schemas};

/// The shortest password, in characters (NIST SP 800-63B section 3.1.1.2 wants 8 where there is a second factor).
const MIN_PASSWORD: usize = 8;
/// The longest, in bytes.
const MAX_PASSWORD: usize = 1024;

impl Kind for LoginSpec {
    const ROUTE: &'static str = "/api/v1/logins";
    const ITEMS: &'static str = "logins";
    const ID: &'static str = "username";

    fn read(members: &mut Members, before: Option<&Self>) -> Draft<Self> {
        let usual: Self = Self::usual();
        // The name stands in the path of a change.
        let username = match before {
            None => Some(members.required("username")),
            Some(_) => maybe(members, "username"),
        };
        let identity = members.required("identity");
        let kept = before.and_then(|before| before.password_hash.clone());
        let (password, password_hash) = password(members, kept);
        let spec = Self {
            identity,
            protocols: texts(members, "protocols").unwrap_or(usual.protocols),
            password_hash,
            totp_secret: before.and_then(|before| before.totp_secret.clone()),
            totp_pending: before.and_then(|before| before.totp_pending.clone()),
            require_before: before.and_then(|before| before.require_before.clone()),
            authorized_keys: texts(members, "authorized_keys").unwrap_or_default(),
            client_certificates: texts(members, "client_certificates").unwrap_or_default(),
            require: maybe(members, "require").unwrap_or(usual.require),
            allow_from: texts(members, "allow_from").unwrap_or_default(),
            home: maybe(members, "home").unwrap_or(usual.home),
        };
        for shown in ["has_password", "has_totp"] {
            members.take(shown);
        }
        Draft { id: username, spec, password }
    }

    fn show(&self) -> Map<String, Value> {
        members(json!({
            "identity": self.identity, "protocols": self.protocols, "has_password": self.password_hash.is_some(),
            "has_totp": self.totp_secret.is_some(), "authorized_keys": self.authorized_keys,
            "client_certificates": self.client_certificates, "require": self.require, "allow_from": self.allow_from,
            "home": self.home,
        }))
    }

    fn with_password(self, hash: SecretString) -> Self {
        Self { password_hash: Some(hash), ..self }
    }
}

/// What a body says of the password: one in clear, or a hash. Where it says nothing of either the one that is there stays; `null`
/// takes it away.
fn password(members: &mut Members, kept: Option<SecretString>) -> (Option<SecretString>, Option<SecretString>) {
    let (clear, hash) = (members.take("password"), members.take("password_hash"));
    let said_nothing = clear.is_none() && hash.is_none();
    let text = |value: Value| match value {
        Value::String(text) => Ok(Some(SecretString::from(text))),
        Value::Null => Ok(None),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(()),
    };
    let clear = text(clear.unwrap_or_default());
    let hash = text(hash.unwrap_or_default());
    if clear.is_err() {
        members.wrong("password", "this is a string, or null for none");
    }
    if hash.is_err() {
        members.wrong("password_hash", "this is a string, or null for none");
    }
    let (clear, hash) = (clear.unwrap_or_default(), hash.unwrap_or_default());
    if let Some(password) = &clear {
        use secrecy::ExposeSecret as _;
        let text = password.expose_secret();
        if text.chars().count() < MIN_PASSWORD || text.len() > MAX_PASSWORD {
            members.wrong(
                "password",
                format!("this has {MIN_PASSWORD} characters at least and {MAX_PASSWORD} bytes at most"),
            );
        }
        if hash.is_some() {
            members.wrong("password_hash", "this and `password` are both there; send one of them");
        }
    }
    (clear, if said_nothing { kept } else { hash })
}

fn own(body: bool) -> Map<String, Value> {
    let list = |about: &str| {
        let kind = if body { json!(["array", "null"]) } else { json!("array") };
        json!({ "type": kind, "items": { "type": "string" }, "maxItems": 1000, "description": about })
    };
    let text = |about: &str, format: &str| {
        let kind = if body { json!(["string", "null"]) } else { json!("string") };
        json!({ "type": kind, "format": format, "description": about })
    };
    let mut own = members(json!({
        "username": { "type": "string", "format": "username", "minLength": 1, "maxLength": 128, "description": "Unique in the tenant; `username@tenant` always works, too." },
        "identity": { "type": "string", "format": "identity", "description": "The id of the identity that it becomes." },
        "protocols": {
            "type": if body { json!(["array", "null"]) } else { json!("array") },
            "items": { "enum": ["sftp", "ftps", "api"] }, "minItems": 1, "description": "What it may come by; `sftp` alone where nothing is said.",
        },
        "authorized_keys": list("Lines of OpenSSH public keys."),
        "client_certificates": list("Client certificates that it may show: `sha256:…`, or `san:…` under the tenant's CA."),
        "require": text("What it must prove: `any`, or several of `publickey` or `certificate`, `password` and `totp` with `+` between them.", "require"),
        "allow_from": list("Networks that it may come from; empty: all."),
        "home": text("Start folder and root, in the identity's view.", "tree-path"),
        "has_password": { "type": "boolean", "readOnly": true, "description": "Whether it has a password, which is never shown." },
        "has_totp": { "type": "boolean", "readOnly": true, "description": "Whether it has a secret for codes, which is never shown here." },
    }));
    if body {
        own.insert(
            "password".into(),
            json!({
                "type": ["string", "null"], "minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD, "writeOnly": true,
                "description": "A new password; `null` takes it away, and without this and `password_hash` it stays as it is.",
            }),
        );
        own.insert(
            "password_hash".into(),
            json!({
                "type": ["string", "null"], "format": "phc", "writeOnly": true,
                "description": "The same as an Argon2id hash (`causeway hash-password`).",
            }),
        );
    }
    own
}

fn request() -> Value {
    json!({
        "username": "edi01", "identity": "edi-partner", "protocols": ["sftp", "ftps"], "password": "correct horse 7 battery",
        "allow_from": ["192.0.2.0/24"], "home": "/",
    })
}

fn shown() -> Value {
    example(json!({
        "username": "edi01", "identity": "edi-partner", "protocols": ["sftp", "ftps"], "has_password": true, "has_totp": false,
        "authorized_keys": [], "client_certificates": [], "require": "any", "allow_from": ["192.0.2.0/24"], "home": "/",
    }))
}

fn shape() -> Shape {
    answered("Login", "A login and the identity that it becomes.", own(false))
}

pub const TOLD: Told = Told {
    scope: Scope::Admin,
    shape,
    page: || page_of("LoginPage", "logins", "Login"),
    body: || asked("NewLogin", &["identity"], own(true)),
    example: shown,
    request,
    parameter: Parameter::path("username", "The login's username, percent-encoded.", schemas::text, "edi01"),
};

pub fn list_operation() -> Operation {
    TOLD.listed("listLogins", "The logins", "logins")
}

pub fn make_operation() -> Operation {
    TOLD.made(
        "makeLogin",
        "Declares a login",
        "`username` is required here. The password is kept as a hash and never shown. A bare username that another tenant has too goes on meaning that one's login; this one is then `username@tenant`.",
        "getLogin",
    )
}

pub fn get_operation() -> Operation {
    TOLD.got("getLogin", "A login")
}

pub fn replace_operation() -> Operation {
    TOLD.replaced(
        "replaceLogin",
        "Declares a login anew",
        "All of it, but for the password and the secret of its codes: they stay where nothing is said of them.",
    )
}

pub fn remove_operation() -> Operation {
    TOLD.removed("removeLogin", "Removes a login", "Nobody comes in by it from then on.")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn said(body: &Value) -> (Option<String>, Option<String>, bool) {
        let mut members = Members::parse(body.to_string().as_bytes()).unwrap();
        let (clear, hash) = password(&mut members, Some("kept".to_owned().into()));
        let text = |secret: Option<SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
        (text(clear), text(hash), members.finish().is_ok())
    }

    #[test]
    fn what_is_not_said_of_a_password_leaves_it_as_it_is() {
        let kept = || Some("kept".to_owned());
        assert_eq!(said(&json!({})), (None, kept(), true));
        assert_eq!(said(&json!({ "password": null })), (None, None, true));
        assert_eq!(said(&json!({ "password_hash": null })), (None, None, true));
        assert_eq!(said(&json!({ "password_hash": "$a" })), (None, Some("$a".to_owned()), true));
        assert_eq!(said(&json!({ "password": "12345678" })), (Some("12345678".to_owned()), None, true));
        for wrong in [
            json!({ "password": "1234567" }),
            json!({ "password": 7 }),
            json!({ "password": "12345678", "password_hash": "x" }),
        ] {
            assert!(!said(&wrong).2, "{wrong}");
        }
    }
}
