//! Who is asked of a certificate, and whom it stands for.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::gateway::fake;
use crate::identity::{
    CertificateMatcher, CertificateRules, Factor, FactorSet, Identity, Login, Protocol, Require, ScopeSet, SubjectName,
    TenantRecord, View,
};
use crate::jobs::fake_ledger::FakeLedger;
use crate::path::VirtualPath;
use crate::ports::ClientAuthority;

/// A CA that counts how often it is asked; without an answer its files cannot be read.
#[derive(Debug)]
struct Ca {
    asked: AtomicUsize,
    says: Option<Standing>,
}

impl Ca {
    fn new(says: Option<Standing>) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), says })
    }
}

#[async_trait]
impl ClientAuthority for Ca {
    async fn examine(&self, _: &ClientCertificate) -> Result<Standing> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.says.clone().ok_or_else(|| Error::new(ErrorKind::Unavailable, "the file is broken"))
    }
}

fn login(username: &str, taken: &[&str], require: &str) -> Login {
    Login {
        username: username.into(),
        identity: "app".into(),
        protocols: vec![Protocol::Ftps, Protocol::Api],
        password_hash: None,
        totp_secret: None,
        authorized_keys: Vec::new(),
        authorized_keys_file: None,
        client_certificates: taken.iter().map(|text| CertificateMatcher::parse(text).unwrap()).collect(),
        require: Require::parse(require).unwrap(),
        allow_from: Vec::new(),
        home: VirtualPath::root(),
    }
}

fn tenant(id: &str, ca: &Arc<Ca>, logins: Vec<Login>) -> TenantRecord {
    TenantRecord {
        tenant: Tenant {
            id: id.into(),
            quota: None,
            mounts: Vec::new(),
            certificates: CertificateRules { clients: ca.clone(), ..CertificateRules::default() },
            classifications: Tenant::default_classifications(),
        },
        identities: vec![Identity { id: "app".into(), scopes: ScopeSet::all(), quota: None, view: View::default() }],
        logins,
        mappings: Vec::new(),
        issuers: Vec::new(),
        api_keys: Vec::new(),
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
    }
}

fn inner(tenants: Vec<TenantRecord>) -> Arc<Inner> {
    Arc::new(Inner::new(fake::parts(Arc::new(FakeLedger::default()), tenants)))
}

fn peer(protocol: Protocol) -> Peer {
    Peer { ip: [192, 0, 2, 7].into(), protocol, client_version: None, cipher: None, required_certificate: None }
}

fn signed(names: &[&str]) -> Standing {
    Standing::Signed { names: names.iter().map(|name| SubjectName::parse(name).unwrap()).collect() }
}

fn certificate() -> ClientCertificate {
    ClientCertificate::new([vec![7]]).unwrap()
}

#[tokio::test]
async fn every_ca_is_asked_whoever_is_named() {
    let (ours, broken, none) = (Ca::new(Some(signed(&["b.example"]))), Ca::new(None), Ca::new(None));
    let inner = inner(vec![
        tenant("acme", &ours, vec![login("edi01", &["san:a.example"], "any"), login("plain01", &[], "any")]),
        tenant("other", &broken, vec![login("other01", &["san:b.example"], "any")]),
        tenant("third", &none, Vec::new()),
        tenant("fourth", &none, Vec::new()),
    ]);
    for (number, name) in ["edi01", "plain01", "nobody", "other01", "edi01@other", ""].into_iter().enumerate() {
        let (mut progress, peer) = (Progress::new(), peer(Protocol::Ftps));
        let refused = inner.show_certificate(&mut progress, name, &certificate(), &peer).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{name}");
        assert_eq!((progress.proven(), progress.next()), (FactorSet::NONE, FactorSet::NONE), "{name}");
        let asked = [&ours, &broken, &none].map(|ca| ca.asked.load(Ordering::SeqCst));
        assert_eq!(asked, [number + 1; 3], "{name}: each once, also the one of two tenants");
    }
}

/// Also where the listener requires one of every client, and where the login is found by it.
#[tokio::test]
async fn a_certificate_is_examined_once_for_a_step() {
    let ca = Ca::new(Some(signed(&["a.example"])));
    let logins = vec![login("edi01", &["san:a.example"], "any"), login("edi02", &["san:a.example"], "any")];
    let inner = inner(vec![tenant("acme", &ca, logins)]);
    let asked = || ca.asked.swap(0, Ordering::SeqCst);
    for required in [None, Some(certificate())] {
        let over = |protocol| Peer { required_certificate: required.clone(), ..peer(protocol) };
        // The ledger of these tests takes no session: how far a login comes is told by what is asked of it.
        for name in ["edi01", "nobody"] {
            drop(inner.show_certificate(&mut Progress::new(), name, &certificate(), &over(Protocol::Ftps)).await);
            assert_eq!(asked(), 1, "{name} {required:?}");
        }
        let two = inner.login_by_certificate(&certificate(), &over(Protocol::Api)).await;
        assert_eq!((two.is_err(), asked()), (true, 1), "{required:?}");
    }
    let one = super::tests::inner(vec![tenant(
        "acme",
        &ca,
        vec![login("edi01", &["san:a.example"], "certificate+password")],
    )]);
    for required in [None, Some(certificate())] {
        let over = Peer { required_certificate: required.clone(), ..peer(Protocol::Api) };
        // The certificate is right and the password is missing, so it was looked at in both places.
        assert!(one.login_by_certificate(&certificate(), &over).await.is_err());
        assert_eq!(asked(), 1, "{required:?}");
    }
    // What was said of one certificate is not taken for another one.
    let other = ClientCertificate::new([vec![8]]).unwrap();
    let said = one.standings(&certificate(), None).await;
    let again = one.standings(&certificate(), Some(&said)).await;
    assert!(Arc::ptr_eq(&said, &again) && asked() == 1);
    let of_other = one.standings(&other, Some(&said)).await;
    assert!(of_other.certificate == other && asked() == 1);
    let over = Peer { required_certificate: Some(other), ..peer(Protocol::Ftps) };
    drop(one.show_certificate(&mut Progress::new(), "edi01", &certificate(), &over).await);
    assert_eq!(asked(), 2, "two certificates");
}

#[tokio::test]
async fn an_unknown_one_is_not_examined_without_end() {
    let ca = Ca::new(Some(Standing::Unsigned("why".into())));
    let inner = inner(vec![tenant("acme", &ca, Vec::new())]);
    let failures = inner.settings.throttle.failures as usize;
    assert!(failures > 0);
    for attempt in 0..3 * failures {
        let error = inner.login_by_certificate(&certificate(), &peer(Protocol::Api)).await.unwrap_err();
        let expected = if attempt < failures { ErrorKind::Unauthenticated } else { ErrorKind::Throttled };
        assert_eq!(error.kind(), expected, "{attempt}");
    }
    assert_eq!(ca.asked.load(Ordering::SeqCst), failures);
}

#[tokio::test]
async fn it_is_one_thing_of_several() {
    let ca = Ca::new(Some(signed(&["a.example"])));
    let inner = inner(vec![tenant("acme", &ca, vec![login("edi01", &["san:a.example"], "certificate+password")])]);
    let mut progress = Progress::new();
    let admission = inner.show_certificate(&mut progress, "edi01", &certificate(), &peer(Protocol::Ftps)).await;
    let password = FactorSet::NONE.with(Factor::Password);
    assert!(matches!(admission, Ok(Admission::More(next)) if next == password), "{admission:?}");
    let over_api = inner.login_by_certificate(&certificate(), &peer(Protocol::Api)).await;
    assert_eq!(over_api.unwrap_err().kind(), ErrorKind::Unauthenticated, "nobody asks for a password there");
}

#[tokio::test]
async fn whom_a_certificate_stands_for() {
    let pinned = format!("sha256:{}", hex::encode(certificate().fingerprint()));
    let ours = Ca::new(Some(signed(&["a.example", "b.example"])));
    let theirs = Ca::new(Some(Standing::Unsigned("why".into())));
    let whom = async |acme: Vec<Login>, other: Vec<Login>, protocol| {
        let inner = inner(vec![tenant("acme", &ours, acme), tenant("other", &theirs, other)]);
        let standings = inner.standings(&certificate(), None).await;
        let found = inner.login_of(&standings, &peer(protocol));
        found.map(|found| (found.login.username.to_string(), inner.name_of(&found)))
    };
    let one = |name: &str, taken: &str| vec![login(name, &[taken], "any")];
    let is = |name: &str, full: &str| Some((name.to_owned(), full.to_owned()));
    let api = Protocol::Api;
    assert_eq!(whom(one("edi01", "san:a.example"), vec![], api).await, is("edi01", "edi01"));
    assert_eq!(whom(one("edi01", &pinned), vec![], api).await, is("edi01", "edi01"));
    assert_eq!(
        whom(vec![login("edi01", &["san:a.example", "san:b.example", &pinned], "any")], vec![], api).await,
        is("edi01", "edi01")
    );
    assert_eq!(whom(vec![], one("edi02", &pinned), api).await, is("edi02", "edi02"), "whoever signed it");
    assert_eq!(whom(one("x", &pinned), vec![login("x", &[], "any")], api).await, is("x", "x@acme"), "a name of two");
    // The CA of one tenant says nothing of the other's logins.
    assert_eq!(whom(vec![], one("edi02", "san:a.example"), api).await, None);
    assert_eq!(whom(one("edi01", "san:c.example"), vec![], api).await, None);
    assert_eq!(whom(one("edi01", &pinned), vec![], Protocol::Sftp).await, None, "not by this protocol");
    // Two logins: nobody can say which.
    let two = vec![login("edi01", &["san:a.example"], "any"), login("edi02", &["san:b.example"], "any")];
    assert_eq!(whom(two, vec![], api).await, None);
    assert_eq!(whom(one("edi01", &pinned), one("edi02", &pinned), api).await, None);
}

#[tokio::test]
async fn who_knows_a_required_certificate() {
    let pinned = format!("sha256:{}", hex::encode(certificate().fingerprint()));
    let refused = Standing::Refused(crate::identity::ClientCertificateRefusal::Revoked);
    for (says, taken, wanted) in [
        (Some(signed(&[])), "san:other.example", true),
        (Some(Standing::Unsigned("why".into())), &*pinned, true),
        (Some(Standing::Unsigned("why".into())), "san:other.example", false),
        (Some(refused), &*pinned, false),
        (None, &*pinned, false),
    ] {
        let ca = Ca::new(says.clone());
        let inner = inner(vec![
            tenant("acme", &ca, vec![login("edi01", &[taken], "any")]),
            tenant("other", &Ca::new(Some(Standing::Unsigned("why".into()))), Vec::new()),
        ]);
        let standings = inner.standings(&certificate(), None).await;
        let knows = |id: &str| inner.knows_required(inner.directory().tenant(id).unwrap(), &standings);
        assert_eq!(knows("acme"), wanted, "{says:?} {taken}");
        assert!(!knows("other"), "what one tenant's login takes the other does not know");
    }
}
