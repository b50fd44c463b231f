//! What an administrator may not do to himself, and that a change is decided anew where another was faster.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use super::*;
use crate::gateway::fake;
use crate::identity::spec::{IdentitySpec, LoginSpec};
use crate::identity::{
    AuthMethod, CertificateRules, Grounds, Identity, Life, Protocol, Scope, ScopeSet, Tenant, TenantRecord, View,
};
use crate::jobs::fake_ledger::FakeLedger;
use crate::path::VirtualPath;

fn identity(id: &str, scope: Scope) -> Identity {
    Identity { id: id.into(), scopes: ScopeSet::NONE.with(scope), quota: None, view: View::default() }
}

fn acme() -> Tenant {
    Tenant {
        id: "acme".into(),
        quota: None,
        mounts: Vec::new(),
        certificates: CertificateRules::default(),
        classifications: Vec::new(),
    }
}

pub(in crate::admin) fn inner(ledger: Arc<FakeLedger>) -> Inner {
    let record = TenantRecord {
        tenant: acme(),
        identities: vec![identity("chief", Scope::Admin), identity("clerk", Scope::FilesRead)],
        logins: Vec::new(),
        mappings: Vec::new(),
        issuers: Vec::new(),
        api_keys: Vec::new(),
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
    };
    Inner::new(fake::parts(ledger, vec![record]))
}

pub(in crate::admin) fn session(scope: Scope) -> Session {
    Session {
        id: Uuid::now_v7(),
        tenant: Arc::new(acme()),
        identity: Arc::new(identity("chief", scope)),
        login: "chief".into(),
        protocol: Protocol::Api,
        client_ip: [192, 0, 2, 7].into(),
        scopes: ScopeSet::NONE.with(scope),
        home: VirtualPath::root(),
        auth_method: AuthMethod::ApiKey,
        cipher: None,
        client_version: None,
        expires: None,
        issuer: None,
        life: Life::new((None, None)),
        grounds: Arc::new(Grounds::job()),
        opened: AtomicBool::new(false),
        place: Mutex::new(None),
        errand: None,
        span: Arc::default(),
    }
}

fn login(identity: &str) -> LoginSpec {
    let certificate = format!("sha256:{}", "ab".repeat(32));
    LoginSpec {
        identity: identity.into(),
        protocols: vec!["api".into()],
        client_certificates: vec![certificate],
        ..LoginSpec::usual()
    }
}

#[tokio::test]
async fn the_last_way_in_is_not_taken_away_by_who_would_stand_outside() {
    let inner = inner(Arc::default());
    let (chief, operator) = (session(Scope::Admin), session(Scope::AdminGateway));
    let change = async |who: &Session, id: &str, wish| inner.change_object::<LoginSpec>(who, None, id, wish).await;
    let one = change(&chief, "one", Wish::Make(login("chief"))).await.unwrap().unwrap();
    assert_eq!(change(&chief, "one", Wish::Remove(one.version)).await.unwrap_err(), Refusal::LastAdmin);
    let lost = change(&chief, "one", Wish::Replace(one.version, login("clerk"))).await.unwrap_err();
    assert_eq!(lost, Refusal::LastAdmin, "nor made somebody else's");
    let two = change(&chief, "two", Wish::Make(login("chief"))).await.unwrap().unwrap();
    change(&chief, "one", Wish::Remove(one.version)).await.unwrap();
    change(&operator, "two", Wish::Remove(two.version)).await.unwrap();
    assert!(inner.directory().find_login("two").is_none());
}

#[tokio::test]
async fn a_change_is_decided_on_what_is_there() {
    let ledger = Arc::<FakeLedger>::default();
    let (here, there) = (inner(ledger.clone()), inner(ledger.clone()));
    let chief = session(Scope::Admin);
    let made = async |at: &Inner, id: &str| {
        let wish = Wish::Make(IdentitySpec::default());
        at.change_object::<IdentitySpec>(&chief, None, id, wish).await
    };
    made(&here, "a").await.unwrap();
    // The other node has not looked since: it finds out when it wants to change something.
    assert!(there.directory().identity("acme", "a").is_none());
    assert_eq!(made(&there, "a").await.unwrap_err(), Refusal::Taken);
    let b = made(&there, "b").await.unwrap().unwrap();
    assert_eq!(ledger.look(|state| state.generation), 2, "what is refused has moved nothing");
    here.follow_objects().await.unwrap();
    assert!(here.directory().identity("acme", "b").is_some());
    // What was read is old by then.
    let wish = || Wish::Replace(b.version, IdentitySpec::default());
    here.change_object(&chief, None, "b", wish()).await.unwrap();
    let late = there.change_object(&chief, None, "b", wish()).await.unwrap_err();
    assert_eq!(late.error().kind(), ErrorKind::PreconditionFailed);
    let entries = ledger.look(|state| state.entries.len());
    assert_eq!(entries, 5, "three changes and two refusals");
}

#[tokio::test]
async fn an_object_that_is_broken_keeps_nobody_out() {
    let ledger = Arc::<FakeLedger>::default();
    let inner = inner(ledger.clone());
    ledger.look(|state| {
        for (kind, id, body) in
            [("login", "good", r#"{"identity":"clerk"}"#), ("login", "bad", "{"), ("setting", "limits", "[]")]
        {
            let key = ObjectKey {
                tenant: if kind == "setting" { "" } else { "acme" }.into(),
                kind: kind.into(),
                id: id.into(),
            };
            let object = StoredObject { key: key.clone(), version: 1, body: body.into(), created_at: 1, changed_at: 1 };
            state.objects.insert(key, object);
        }
        state.generation = 1;
    });
    inner.follow_objects().await.unwrap();
    assert!(inner.directory().find_login("good").is_some());
    assert_eq!(inner.directory().left_out().len(), 1);
    // A configuration that is wrong changes nothing, one that is right everything at once.
    let twice = inner.directory().declared().iter().chain(inner.directory().declared().iter()).cloned().collect();
    assert_eq!(inner.declare(twice).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(inner.directory().find_login("good").is_some());
    inner.declare(Vec::new()).await.unwrap();
    assert!(inner.directory().find_login("good").is_none());
    assert_eq!(inner.directory().left_out().len(), 2, "its tenant is gone, and it says so");
}
