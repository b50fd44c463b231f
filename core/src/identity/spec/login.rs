//! A login, as it is declared. Its id is its username.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{Fault, Faults, kept};
use crate::identity::texts::{self, LOGIN_PROTOCOLS};
use crate::identity::{Login, Protocol, check_phc, check_totp_secret};

/// Keys, certificates or networks of a login at most.
const MAX_LIST: usize = 1_000;

/// A login and the identity that it becomes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSpec {
    /// The identity's id, in the same tenant.
    pub identity: String,
    /// The protocols that it may come by: `sftp`, `ftps`, `api`.
    #[serde(default = "over_sftp")]
    pub protocols: Vec<String>,
    /// Argon2id PHC string.
    #[serde(default, with = "kept", skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<SecretString>,
    /// The secret of its time-based codes, in base32.
    #[serde(default, with = "kept", skip_serializing_if = "Option::is_none")]
    pub totp_secret: Option<SecretString>,
    /// A secret whose codes are not asked for yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_pending: Option<PendingCodes>,
    /// What it had to prove before its codes were enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_before: Option<String>,
    /// Lines of `authorized_keys`.
    #[serde(default)]
    pub authorized_keys: Vec<String>,
    /// Client certificates that it may show: `sha256:…` or `san:…`.
    #[serde(default)]
    pub client_certificates: Vec<String>,
    /// What it must prove: `any`, or several with `+` between them.
    #[serde(default = "any")]
    pub require: String,
    /// Networks that it may come from; empty: all.
    #[serde(default)]
    pub allow_from: Vec<String>,
    /// Start folder and root, in the identity's view.
    #[serde(default = "root")]
    pub home: String,
}

/// Codes that are being enrolled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingCodes {
    /// Their secret, in base32.
    #[serde(with = "kept")]
    pub secret: Option<SecretString>,
    /// What the login has to prove once they are in force.
    pub require: String,
}

impl PendingCodes {
    /// Whether this is their secret.
    pub(crate) fn is_of(&self, secret: &SecretString) -> bool {
        let own = self.secret.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        bool::from(own.as_bytes().ct_eq(secret.expose_secret().as_bytes()))
    }
}

/// What `protocols` is where nothing is said.
pub(super) fn over_sftp() -> Vec<String> {
    vec![Protocol::Sftp.as_str().to_owned()]
}

/// What `require` is where nothing is said.
pub(super) fn any() -> String {
    "any".to_owned()
}

/// What `home` is where nothing is said.
pub(super) fn root() -> String {
    "/".to_owned()
}

/// Reads `protocols`.
pub(super) fn protocols(faults: &mut Faults, texts: &[String]) -> Vec<Protocol> {
    if texts.is_empty() {
        faults.note("protocols", "is empty, so that nobody can log in; name a protocol");
    }
    faults.list("protocols", texts, texts::login_protocol)
}

/// Refuses what is longer than anybody needs.
pub(super) fn bound(faults: &mut Faults, field: &str, list: &[String]) {
    if list.len() > MAX_LIST {
        faults.note(field, format!("has more than {MAX_LIST} entries"));
    }
}

/// The words of protocols, as they are declared.
pub(super) fn protocol_words(protocols: &[Protocol]) -> Vec<String> {
    let known = |protocol: &Protocol| LOGIN_PROTOCOLS.iter().find(|(_, one)| one == protocol);
    protocols.iter().filter_map(known).map(|(word, _)| (*word).to_owned()).collect()
}

/// Whether a name could also mean the login of another tenant: what stands behind its last `@` may be a tenant's id. That
/// it is not one now does not help, and saying which there are would tell too much.
fn names_a_tenant(username: &str, tenant: &str) -> bool {
    username.rsplit_once('@').is_some_and(|(_, behind)| behind != tenant && texts::slug(behind).is_ok())
}

impl LoginSpec {
    /// Whether codes are asked for, or being enrolled.
    pub(crate) const fn has_codes(&self) -> bool {
        self.totp_secret.is_some() || self.totp_pending.is_some()
    }

    /// The login of a tenant with this username, or all that is wrong with it. That the identity is there is not looked at.
    pub fn login(&self, tenant: &str, username: &str) -> Result<Login, Vec<Fault>> {
        let mut faults = Faults::default();
        let username = faults.take("username", texts::username(username));
        if username.as_deref().is_some_and(|name| names_a_tenant(name, tenant)) {
            faults.note("username", "would also mean a login of the tenant behind the `@`; take a name without it");
        }
        let identity = faults.take("identity", texts::slug(&self.identity));
        let protocols = protocols(&mut faults, &self.protocols);
        for (field, list) in [
            ("authorized_keys", &self.authorized_keys),
            ("client_certificates", &self.client_certificates),
            ("allow_from", &self.allow_from),
        ] {
            bound(&mut faults, field, list);
        }
        if let Some(hash) = &self.password_hash
            && let Err(error) = check_phc(hash.expose_secret())
        {
            faults.note("password_hash", error.message());
        }
        if let Some(secret) = &self.totp_secret
            && let Err(error) = check_totp_secret(secret)
        {
            faults.note("totp_secret", format!("the secret {}", error.message()));
        }
        let authorized_keys = faults.list("authorized_keys", &self.authorized_keys, texts::key_line);
        let client_certificates =
            faults.list("client_certificates", &self.client_certificates, texts::certificate_match);
        let require = faults.take("require", texts::require(&self.require));
        if let Some(fault) = require.and_then(|require| texts::code_fault(require, self.totp_secret.is_some())) {
            faults.note("require", fault);
        }
        let allow_from = faults.list("allow_from", &self.allow_from, texts::network);
        let home = faults.take("home", texts::tree_path(&self.home));
        let login = (|| {
            Some(Login {
                username: username?.into(),
                identity: identity?.into(),
                protocols,
                password_hash: self.password_hash.clone(),
                totp_secret: self.totp_secret.clone(),
                authorized_keys,
                authorized_keys_file: None,
                client_certificates,
                require: require?,
                allow_from,
                home: home?,
            })
        })();
        faults.finish(login)
    }

    /// What is said of a login where nothing is said.
    pub fn usual() -> Self {
        Self { protocols: over_sftp(), require: any(), home: root(), ..Self::default() }
    }

    /// How a login would be declared.
    pub fn of(login: &Login) -> Self {
        Self {
            identity: login.identity.to_string(),
            protocols: protocol_words(&login.protocols),
            password_hash: login.password_hash.clone(),
            totp_secret: login.totp_secret.clone(),
            authorized_keys: login.authorized_keys.iter().map(ToString::to_string).collect(),
            client_certificates: login.client_certificates.iter().map(ToString::to_string).collect(),
            totp_pending: None,
            require_before: None,
            require: login.require.as_str().to_owned(),
            allow_from: login.allow_from.iter().map(ToString::to_string).collect(),
            home: login.home.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> LoginSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let login = spec(serde_json::json!({ "identity": "edi" })).login("acme", "edi01").unwrap();
        assert_eq!(login.protocols, [Protocol::Sftp]);
        assert!(login.home.is_root() && login.allow_from.is_empty() && login.password_hash.is_none());
    }

    #[test]
    fn a_name_of_another_tenant_is_refused_whether_it_is_there_or_not() {
        let edi = spec(serde_json::json!({ "identity": "edi" }));
        for (name, good) in
            [("bob@acme", true), ("bob@globex", false), ("bob@example.com", true), ("a@b@globex", false), ("@", true)]
        {
            assert_eq!(edi.login("acme", name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_without_the_secrets() {
        let wrong = spec(serde_json::json!({
            "identity": "E", "protocols": [], "password_hash": "hunter2", "authorized_keys": ["ssh-nothing"],
            "client_certificates": ["md5:1"], "require": "password+totp", "allow_from": ["300.0.0.0/8"], "home": "in",
        }));
        let faults = wrong.login("acme", "a b").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
        let expected = [
            "username",
            "identity",
            "protocols",
            "password_hash",
            "authorized_keys[0]",
            "client_certificates[0]",
            "require",
            "allow_from[0]",
            "home",
        ];
        assert_eq!(fields, expected);
        assert!(!format!("{faults:?}{wrong:?}").contains("hunter2"));
        assert!(serde_json::from_value::<LoginSpec>(serde_json::json!({ "identity": "e", "expires": 1 })).is_err());
    }

    #[test]
    fn the_ledger_gets_the_hash_back() {
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        let made = spec(serde_json::json!({ "identity": "edi", "password_hash": hash }));
        let kept = serde_json::to_string(&made).unwrap();
        let again: LoginSpec = serde_json::from_str(&kept).unwrap();
        assert_eq!(again.password_hash.unwrap().expose_secret(), hash);
        assert!(!kept.contains("totp_secret"));
    }
}
