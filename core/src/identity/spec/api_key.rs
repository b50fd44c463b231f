//! An API key, as the ledger keeps it.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::login::bound;
use super::{Fault, Faults, kept};
use crate::identity::texts::{self, Parsed};
use crate::identity::{
    ApiKey, MAX_SIGNATURE_KEYS, PreviousKey, Scope, SignatureKey, SignatureRule, Signing, check_signing_secret,
    hash_key,
};

/// Letters of a key that are shown of it: enough to know it again, and nothing to find it by.
const SHOWN: usize = 8;
/// The longest name of a key, in characters.
const MAX_NAME: usize = 128;

/// A key of the REST API.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySpec {
    /// The identity's id, in the same tenant.
    pub identity: String,
    /// What people call it; none: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Narrows the identity's scopes; empty: all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// From then on it is refused.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires: Option<OffsetDateTime>,
    /// Networks that it may come from; empty: all.
    #[serde(default)]
    pub allow_from: Vec<String>,
    /// Which signature its requests must have.
    #[serde(default, skip_serializing_if = "is_off")]
    pub require_signature: SignatureRule,
    /// The secret of `hmac-sha256` and `X-Signature`.
    #[serde(default, with = "kept", skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretString>,
    /// The public keys of the other algorithms, as [`SignatureKey::parse`] reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signature_keys: Vec<String>,
    /// The key itself.
    pub text: KeyTextSpec,
    /// The one before a rotation, and until when it counts, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousKeySpec>,
}

/// What is kept of a key's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyTextSpec {
    /// SHA-256 of the whole key, in hex.
    #[serde(with = "kept")]
    pub key_hash: Option<SecretString>,
    /// The first letters of the key, which are shown; none where the key was never seen here (the configuration's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// When it was made: its age counts from then. None: that is not said.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub made_at: Option<OffsetDateTime>,
}

/// The key that a rotation has replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousKeySpec {
    /// What is kept of its text.
    pub text: KeyTextSpec,
    /// From then on it is refused.
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

impl KeyTextSpec {
    /// Of a key that is made now.
    pub fn of(key: &SecretString, now: OffsetDateTime) -> Self {
        let text = key.expose_secret();
        let prefix = text.get(..SHOWN).map(str::to_owned);
        Self { prefix, ..Self::known_by(&hash_key(text), Some(now)) }
    }

    fn known_by(digest: &[u8; 32], made_at: Option<OffsetDateTime>) -> Self {
        Self { key_hash: Some(hex::encode(digest).into()), prefix: None, made_at }
    }

    fn digest(&self) -> Parsed<[u8; 32]> {
        let text = self.key_hash.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let digest = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        digest.ok_or_else(|| "is no SHA-256 in hex".to_owned())
    }
}

/// A moment, as RFC 3339 writes it.
pub fn moment(text: &str) -> Parsed<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("`{}` is no RFC 3339 time; write it like \"2027-12-31T00:00:00Z\"", text.escape_debug()))
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_off(rule: &SignatureRule) -> bool {
    *rule == SignatureRule::Off
}

fn name(text: &str) -> Parsed<()> {
    if text.trim().is_empty() || text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("is no name; use 1 to {MAX_NAME} characters without control characters"));
    }
    Ok(())
}

impl ApiKeySpec {
    /// The key with this id, or all that is wrong with it. That the identity is there is not looked at.
    pub fn api_key(&self, id: &str) -> Result<ApiKey, Vec<Fault>> {
        let mut faults = Faults::default();
        let id = faults.take("id", texts::slug(id));
        let identity = faults.take("identity", texts::slug(&self.identity));
        if let Some(text) = &self.name {
            faults.take("name", name(text));
        }
        let scope = |text: &str| texts::word(Scope::ALL, Scope::as_str, "scope", text);
        let scopes = faults.list("scopes", &self.scopes, scope).into_iter().collect();
        bound(&mut faults, "allow_from", &self.allow_from);
        let allow_from = faults.list("allow_from", &self.allow_from, texts::network);
        let signing = self.signing(&mut faults);
        let key_hash = faults.take("text.key_hash", self.text.digest());
        let previous = self.previous.as_ref().and_then(|previous| {
            let key_hash = faults.take("previous.text.key_hash", previous.text.digest())?;
            Some(PreviousKey { key_hash, created: previous.text.made_at, ends: previous.ends_at })
        });
        let made = (|| {
            Some(ApiKey {
                id: id?.into(),
                identity: identity?.into(),
                key_hash: key_hash?,
                signing,
                scopes,
                created: self.text.made_at,
                expires: self.expires,
                allow_from,
                previous,
            })
        })();
        faults.finish(made)
    }

    /// What its requests are signed with. What is demanded must be possible.
    fn signing(&self, faults: &mut Faults) -> Signing {
        let key = |text: &str| {
            let wrong = "is no public key of Ed25519 or ECDSA on P-256; write what `openssl pkey -pubout` prints";
            SignatureKey::parse(text).ok_or_else(|| wrong.to_owned())
        };
        if self.signature_keys.len() > MAX_SIGNATURE_KEYS {
            faults
                .note("signature_keys", format!("are more than {MAX_SIGNATURE_KEYS}; remove those that are not used"));
        }
        let keys = faults.list("signature_keys", &self.signature_keys, key);
        if let Some(Err(error)) = self.signing_secret.as_ref().map(check_signing_secret) {
            faults.note("signing_secret", error.message());
        }
        if !is_off(&self.require_signature) && self.signing_secret.is_none() && self.signature_keys.is_empty() {
            let detail = "there is nothing to check signatures with; add `signing_secret` or `signature_keys`";
            faults.note("require_signature", detail);
        }
        Signing { require: self.require_signature, secret: self.signing_secret.clone(), keys }
    }

    /// How a key would be declared, as far as it is known.
    pub fn of(key: &ApiKey) -> Self {
        let previous = key.previous.as_ref().map(|previous| PreviousKeySpec {
            text: KeyTextSpec::known_by(&previous.key_hash, previous.created),
            ends_at: previous.ends,
        });
        Self {
            identity: key.identity.to_string(),
            name: None,
            scopes: key.scopes.words().map(|scope| scope.as_str().to_owned()).collect(),
            expires: key.expires,
            allow_from: key.allow_from.iter().map(ToString::to_string).collect(),
            require_signature: key.signing.require,
            signing_secret: key.signing.secret.clone(),
            signature_keys: key.signing.keys.iter().map(ToString::to_string).collect(),
            text: KeyTextSpec::known_by(&key.key_hash, key.created),
            previous,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec() -> ApiKeySpec {
        let now = OffsetDateTime::from_unix_timestamp(1_764_000_000).unwrap();
        let text = |key: &str| KeyTextSpec::of(&key.to_owned().into(), now);
        ApiKeySpec {
            identity: "app".into(),
            name: Some("Orders".into()),
            scopes: vec!["files:read".into()],
            expires: Some(now + time::Duration::days(9)),
            allow_from: vec!["192.0.2.0/24".into()],
            require_signature: SignatureRule::Any,
            signing_secret: Some("a secret of thirty-two bytes at least".to_owned().into()),
            signature_keys: vec!["MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=".into()],
            text: text("cwk_abcdefgh"),
            previous: Some(PreviousKeySpec { text: text("cwk_before"), ends_at: now + time::Duration::HOUR }),
        }
    }

    #[test]
    fn the_ledger_gives_back_what_it_got_and_never_a_key() {
        let kept = serde_json::to_string(&spec()).unwrap();
        assert!(!kept.contains("cwk_abcdefgh") && kept.contains("cwk_abcd"), "{kept}");
        let again: ApiKeySpec = serde_json::from_str(&kept).unwrap();
        let key = again.api_key("orders").unwrap();
        assert_eq!(
            (key.key_hash, key.expires, key.created),
            (hash_key("cwk_abcdefgh"), spec().expires, spec().text.made_at)
        );
        assert_eq!(key.previous.unwrap().key_hash, hash_key("cwk_before"));
        assert!(!format!("{again:?}").contains(&hex::encode(hash_key("cwk_before"))));
        assert_eq!((key.signing.require, key.signing.keys.len()), (SignatureRule::Any, 1));
        let declared = ApiKeySpec::of(&again.api_key("orders").unwrap());
        assert_eq!(declared.api_key("orders").unwrap().key_hash, key.key_hash, "and so is one of the configuration's");
        assert!(serde_json::from_str::<ApiKeySpec>(&kept.replace("\"scopes\"", "\"only_on_sundays\"")).is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = ApiKeySpec {
            identity: "No".into(),
            name: Some(" ".into()),
            scopes: vec!["root".into()],
            allow_from: vec!["x".into()],
            require_signature: SignatureRule::Message,
            signing_secret: Some("short".to_owned().into()),
            signature_keys: vec!["no key".into()],
            text: KeyTextSpec { key_hash: None, ..spec().text },
            ..spec()
        };
        let faults = wrong.api_key("a b").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
        assert_eq!(
            fields,
            [
                "id",
                "identity",
                "name",
                "scopes[0]",
                "allow_from[0]",
                "signature_keys[0]",
                "signing_secret",
                "text.key_hash"
            ]
        );
        let bare = ApiKeySpec { signing_secret: None, signature_keys: Vec::new(), ..spec() };
        let faults = bare.api_key("k").unwrap_err();
        assert_eq!(faults.iter().map(|fault| &*fault.field).collect::<Vec<_>>(), ["require_signature"]);
    }
}
