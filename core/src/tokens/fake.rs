//! A gateway in memory for the tests of tokens, and tokens made by hand.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AccessClaims, TokenSettings, Via};
use crate::gateway::{Inner, Parts, Settings, fake};
use crate::identity::{
    ApiKey, CertificateRules, Identity, Login, Peer, Protocol, Require, Scope, ScopeSet, Tenant, TenantRecord,
    ThrottleLimits, View,
};
use crate::jobs::fake_ledger::FakeLedger;
use crate::path::VirtualPath;
use crate::ports::{DocumentSource, NoDocuments};
use crate::records::now;

pub(super) const ISSUER: &str = "https://gw.example";

pub(super) fn scopes(scopes: &[Scope]) -> ScopeSet {
    scopes.iter().copied().collect()
}

/// The tenant `acme`: the identity `app` with the API key `key`, and with the login `person` from 192.0.2.0/24.
pub(super) fn tenant() -> TenantRecord {
    let identity = |id: &str| Identity {
        id: id.into(),
        scopes: scopes(&[Scope::FilesRead, Scope::FilesWrite, Scope::Admin]),
        quota: None,
        view: View::default(),
    };
    TenantRecord {
        tenant: Tenant {
            id: "acme".into(),
            quota: None,
            mounts: Vec::new(),
            certificates: CertificateRules::default(),
            classifications: Tenant::default_classifications(),
        },
        identities: vec![identity("app"), identity("other")],
        logins: vec![Login {
            username: "person".into(),
            identity: "app".into(),
            protocols: vec![Protocol::Sftp, Protocol::Api],
            password_hash: None,
            totp_secret: None,
            authorized_keys: Vec::new(),
            authorized_keys_file: None,
            client_certificates: Vec::new(),
            require: Require::Any,
            allow_from: vec!["192.0.2.0/24".parse().unwrap()],
            home: VirtualPath::parse("/home").unwrap(),
        }],
        mappings: Vec::new(),
        issuers: Vec::new(),
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
        api_keys: vec![ApiKey {
            id: "key".into(),
            identity: "app".into(),
            key_hash: [7; 32],
            signing: crate::identity::Signing::default(),
            created: None,
            previous: None,
            scopes: ScopeSet::NONE,
            expires: None,
            allow_from: Vec::new(),
        }],
    }
}

pub(super) fn inner(ledger: &Arc<FakeLedger>) -> Arc<Inner> {
    inner_of(
        ledger,
        tenant(),
        TokenSettings { issuer: ISSUER.into(), ..TokenSettings::default() },
        Arc::new(NoDocuments),
    )
}

pub(super) fn inner_of(
    ledger: &Arc<FakeLedger>,
    tenant: TenantRecord,
    tokens: TokenSettings,
    documents: Arc<dyn DocumentSource>,
) -> Arc<Inner> {
    let throttle = ThrottleLimits { failures: 5, ..fake::THROTTLE };
    let settings = Settings { throttle, tokens, ..fake::settings() };
    Arc::new(Inner::new(Parts { documents, settings, ..fake::parts(ledger.clone(), vec![tenant]) }))
}

pub(super) fn peer() -> Peer {
    Peer {
        ip: [192, 0, 2, 7].into(),
        protocol: Protocol::Api,
        client_version: None,
        cipher: None,
        required_certificate: None,
    }
}

pub(super) fn granted(by: Via) -> AccessClaims {
    let login = match by {
        Via::ApiKey => "key",
        Via::Login => "person",
    };
    AccessClaims {
        tenant: "acme".into(),
        identity: "app".into(),
        login: login.into(),
        by,
        client: login.into(),
        scopes: scopes(&[Scope::FilesRead, Scope::EventsRead, Scope::TransfersRead]),
        grant: Uuid::now_v7(),
        key: (by == Via::ApiKey).then(|| hex::encode(&Sha256::digest([7; 32])[..8])),
    }
}

/// A part of a token in base64url.
pub(super) fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token, taken apart: header, claims, and the rest.
pub(super) fn apart(token: &SecretString) -> (Value, Value) {
    let mut parts = token.expose_secret().split('.');
    let mut next = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
    (next(), next())
}

/// A token of these parts as they stand, with a right signature of the gateway's.
pub(super) fn signed(inner: &Inner, header: &str, claims: &str) -> SecretString {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = inner.mint.ring().signer(now()).unwrap().sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", part(signature)).into()
}

pub(super) fn seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A JSON value with one member changed, or removed where it is null.
pub(super) fn with(mut value: Value, name: &str, changed: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    if changed.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), changed);
    }
    value
}

pub(super) fn kid_of(inner: &Inner) -> Value {
    json!(inner.mint.ring().signer(now()).unwrap().kid)
}
