//! A webhook, as it is declared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;
use zeroize::Zeroize as _;

use super::{Fault, Faults, kept};
use crate::error::{Error, Result as Outcome};
use crate::events::{EVENT_KINDS, EndpointTls, PreviousSecret, Webhook};
use crate::identity::texts::{self, Parsed};
use crate::records::since_epoch;

/// Globs over kinds of events that a webhook may have.
pub const MAX_EVENT_GLOBS: usize = 64;
/// The longest glob, in bytes: a compiled one takes more memory than its text.
const MAX_GLOB: usize = 1024;
/// What stands before the base64 of a Standard Webhooks secret.
const SECRET_PREFIX: &str = "whsec_";
/// The shortest secret that is taken through the API: in bytes behind the base64, and in characters of any other one.
const LEAST_SECRET: usize = 16;
/// The longest, in characters as it is written.
const MAX_SECRET: usize = 512;

/// Where events are posted to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// Where to.
    pub url: String,
    /// Which kinds of events: globs.
    pub events: Vec<String>,
    /// Only events about files under this glob; events about no file always pass. None: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What its deliveries are signed with. None where the configuration declares it, which keeps it to itself.
    #[serde(default, with = "kept", skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretString>,
    /// The one before a rotation, and until when it signs, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecretSpec>,
    /// Authorities that are believed beside the usual ones: certificates in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The client's certificate, those above it, and its private key: PEM.
    #[serde(default, with = "kept", skip_serializing_if = "Option::is_none")]
    pub client_identity: Option<SecretString>,
}

/// The secret that a rotation has replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousSecretSpec {
    /// The secret.
    #[serde(with = "kept")]
    pub secret: Option<SecretString>,
    /// From then on it does not sign any more.
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

/// A glob over kinds of events that matches one of them at least.
pub fn kind_glob(text: &str) -> Parsed<Glob> {
    let glob = glob(text)?;
    let matcher = glob.compile_matcher();
    if EVENT_KINDS.iter().any(|kind| matcher.is_match(kind)) {
        return Ok(glob);
    }
    Err(format!("`{}` is no kind of event; write one like \"file.uploaded\" or \"transfer.*\"", text.escape_debug()))
}

/// A glob over paths in the tenant's tree.
pub fn path_glob(text: &str) -> Parsed<Glob> {
    if !text.starts_with('/') && !text.starts_with("**") {
        return Err(format!("`{text}` is no pattern of paths; begin it with / like \"/inbound/**\""));
    }
    glob(text)
}

/// The same, to match paths with.
pub fn path_filter(text: &str) -> Parsed<GlobSet> {
    path_glob(text).and_then(|glob| set(vec![glob]))
}

fn glob(text: &str) -> Parsed<Glob> {
    if text.len() > MAX_GLOB {
        return Err(format!("is longer than {MAX_GLOB} bytes; write a shorter pattern"));
    }
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|e| format!("`{text}` is no pattern: {}; correct it", e.kind()))
}

/// A secret that is strong enough and can be written into a header of nobody: `whsec_` and standard base64, or any other text.
pub fn webhook_secret(secret: &SecretString) -> Parsed<()> {
    let text = secret.expose_secret();
    if text.len() > MAX_SECRET || text.chars().any(char::is_control) {
        return Err(format!("is longer than {MAX_SECRET} bytes, or has a control character in it"));
    }
    match text.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => match STANDARD.decode(encoded) {
            Ok(key) if key.len() >= LEAST_SECRET => Ok(()),
            _ => Err(format!("begins with whsec_, but base64 of {LEAST_SECRET} bytes or more does not follow")),
        },
        None if text.chars().count() >= LEAST_SECRET => Ok(()),
        None => Err(format!("is too short; use {LEAST_SECRET} characters or more, or none, so that one is made")),
    }
}

/// A new secret: `whsec_` and 32 random bytes.
pub fn generate_webhook_secret() -> Outcome<SecretString> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    // Room for all of it at once: growing would leave a part behind in freed memory.
    let mut text = String::with_capacity(SECRET_PREFIX.len() + 44);
    text.push_str(SECRET_PREFIX);
    STANDARD.encode_string(random, &mut text);
    random.zeroize();
    Ok(SecretString::from(text))
}

/// What a PEM file of certificates begins with somewhere.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// What the head of a private key ends with, whatever its kind is.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// The longest PEM text, in bytes.
const MAX_PEM: usize = 64 * 1024;

fn pem(text: &str) -> Parsed<()> {
    if text.len() > MAX_PEM {
        return Err(format!("is longer than {MAX_PEM} bytes"));
    }
    if text.contains(CERTIFICATE) { Ok(()) } else { Err("has no certificate in PEM in it".to_owned()) }
}

/// Whether a text may be the authorities of an endpoint. Whether TLS can be spoken by it is seen where that is done.
pub fn webhook_ca(text: &str) -> Parsed<()> {
    pem(text)?;
    if text.contains(PRIVATE_KEY) { Err("has a private key in it; take it out".to_owned()) } else { Ok(()) }
}

/// Whether a text may be a client's certificate with its private key.
pub fn webhook_identity(text: &str) -> Parsed<()> {
    pem(text)?;
    if text.contains(PRIVATE_KEY) { Ok(()) } else { Err("has no private key in PEM in it; add it".to_owned()) }
}

fn set(globs: Vec<Glob>) -> Parsed<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob);
    }
    builder.build().map_err(|e| format!("is no pattern: {}", e.kind()))
}

impl WebhookSpec {
    /// The webhook with this id, or all that is wrong with it. Whether it may go to where it says is not looked at: that is asked when it
    /// is saved, and again when a connection is made ([`crate::events::target`]).
    pub fn webhook(&self, tenant: &str, id: &str) -> Result<Webhook, Vec<Fault>> {
        let mut faults = Faults::default();
        let id = faults.take("id", texts::slug(id));
        let url = faults.take("url", Url::parse(&self.url).map_err(|_| "is no URL".to_owned()));
        if self.events.is_empty() {
            faults.note(
                "events",
                "is empty, so that nothing would be sent; name a kind, or leave it out for all of them",
            );
        } else if self.events.len() > MAX_EVENT_GLOBS {
            faults.note("events", format!("has more than {MAX_EVENT_GLOBS} entries"));
        }
        let few = self.events.get(..self.events.len().min(MAX_EVENT_GLOBS)).unwrap_or_default();
        let globs = faults.list("events", few, kind_glob);
        let events = faults.take("events", set(globs));
        let path = self.path.as_deref().filter(|text| !text.is_empty());
        let path_set = path.and_then(|text| faults.take("path", path_filter(text)));
        let secret = self.secret.clone();
        if let Some(secret) = &secret {
            faults.take("secret", webhook_secret(secret));
        } else {
            faults.note("secret", "is missing");
        }
        let previous = self.previous.as_ref().and_then(|previous| {
            Some(PreviousSecret { secret: previous.secret.clone()?, ends_at: since_epoch(previous.ends_at) })
        });
        if let Some(ca) = &self.ca {
            faults.take("ca", webhook_ca(ca));
        }
        if let Some(identity) = &self.client_identity {
            faults.take("client_identity", webhook_identity(identity.expose_secret()));
        }
        let webhook = (|| {
            Some(Webhook {
                tenant: tenant.into(),
                id: id?.into(),
                url: url?.into(),
                events: events?,
                event_texts: self.events.clone(),
                path: path_set,
                path_text: path.map(str::to_owned),
                secret: secret?,
                previous,
                tls: EndpointTls { authorities: self.ca.clone(), identity: self.client_identity.clone() },
            })
        })();
        faults.finish(webhook)
    }

    /// How a webhook of the configuration would be declared, but for its secret.
    pub fn of(webhook: &Webhook) -> Self {
        Self {
            url: webhook.url.clone(),
            events: webhook.event_texts.clone(),
            path: webhook.path_text.clone(),
            secret: None,
            previous: None,
            ca: webhook.tls.authorities.clone(),
            client_identity: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> WebhookSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_right_is_shown_as_it_was_declared() {
        let declared = spec(serde_json::json!({
            "url": "https://hooks.example/x", "events": ["file.*", "auth.failed"], "path": "/inbound/**",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "previous": { "secret": "the one before it", "ends_at": "2026-11-24T20:15:02Z" },
        }));
        let made = declared.webhook("acme", "hook").unwrap();
        assert_eq!(made.key(), "acme/hook");
        assert!(made.events.is_match("file.uploaded") && !made.events.is_match("transfer.failed"));
        assert!(made.path.as_ref().unwrap().is_match("/inbound/a/b.csv"));
        assert_eq!(made.previous.as_ref().unwrap().ends_at, 1_795_551_302_000_000);
        let shown = WebhookSpec::of(&made);
        assert_eq!((shown.url, shown.events, shown.path), (declared.url, declared.events, declared.path));
        assert!(shown.secret.is_none() && shown.previous.is_none());
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = spec(serde_json::json!({
            "url": "hooks", "events": ["file.uploded", "["], "path": "in/**", "secret": "short",
        }));
        let faults = wrong.webhook("acme", "-").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
        assert_eq!(fields, ["id", "url", "events[0]", "events[1]", "path", "secret"]);
        let none =
            spec(serde_json::json!({ "url": "https://hooks.example/", "events": [], "secret": "0123456789abcdef" }));
        assert_eq!(none.webhook("acme", "h").unwrap_err().iter().map(|f| &*f.field).collect::<Vec<_>>(), ["events"]);
    }

    #[test]
    fn certificates_and_keys_stand_where_they_belong() {
        let (certificate, key) = ("-----BEGIN CERTIFICATE-----\n", "-----BEGIN EC PRIVATE KEY-----\n");
        let both = format!("{certificate}{key}");
        assert!(webhook_ca(certificate).is_ok() && webhook_identity(&both).is_ok());
        assert!(webhook_ca(&both).is_err() && webhook_ca("").is_err());
        assert!(webhook_identity(certificate).is_err() && webhook_identity(key).is_err());
    }

    #[test]
    fn secrets() {
        let right = |text: &str| webhook_secret(&SecretString::from(text)).is_ok();
        assert!(right("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") && right("0123456789abcdef"));
        for wrong in ["", "short", "whsec_", "whsec_AAAA", "whsec_no base64 at all here", "0123456789\nabcdef"] {
            assert!(!right(wrong), "{wrong:?}");
        }
        assert!(!right(&"x".repeat(MAX_SECRET + 1)));
        let (one, other) = (generate_webhook_secret().unwrap(), generate_webhook_secret().unwrap());
        assert!(webhook_secret(&one).is_ok());
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
