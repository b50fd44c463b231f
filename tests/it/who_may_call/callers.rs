//! Who calls: every kind of credential with every set of scopes that the table needs, in either tenant, and those that let nobody in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::Duration as Span;

use crate::client_certificates::Pki;
use crate::harness::minted::signer;
use crate::harness::pki::{Authority, Issued};
use crate::harness::plan::api_key;
use crate::harness::provider::{Provider, Signer, seconds};
use crate::harness::{Gateway, Ledger, Rest, eventually, sha256};
use crate::oauth::{CALLBACK, person, post, text};

/// Every scope.
pub const ALL: [&str; 9] = [
    "files:read",
    "files:write",
    "transfers:read",
    "transfers:write",
    "events:read",
    "audit:read",
    "webhooks:write",
    "admin",
    "admin:gateway",
];

/// The tenants. Whatever the tests make in `acme` has that word in its name, and no request has it that makes something: where
/// it stands in an answer, something of `acme` is told.
pub const TENANTS: [&str; 2] = ["acme", "other"];

const DAY: Span = Span::days(1);

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An API key.
    Key,
    /// A token of the gateway's own, given to a key.
    Own,
    /// A token of an OpenID provider.
    Issuer,
    /// A client certificate.
    Certificate,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Key, Self::Own, Self::Issuer, Self::Certificate];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Own => "JWT",
            Self::Issuer => "issuer's JWT",
            Self::Certificate => "certificate",
        }
    }
}

/// Why a credential lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoiled {
    /// It is nobody's, or made by somebody who may not.
    Wrong,
    /// It was right, and its time is over.
    Expired,
    /// It was right, its time is not over, and it was taken back.
    Revoked,
}

impl Spoiled {
    pub const ALL: [Self; 3] = [Self::Wrong, Self::Expired, Self::Revoked];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// What a credential may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Has {
    /// These scopes.
    Only(BTreeSet<&'static str>),
    /// Every scope but this one and those that imply it.
    AllBut(&'static str),
}

impl Has {
    pub fn only(scopes: &[&'static str]) -> Self {
        Self::Only(scopes.iter().copied().collect())
    }

    fn scopes(&self) -> Vec<&'static str> {
        match self {
            Self::Only(scopes) => scopes.iter().copied().collect(),
            Self::AllBut(scope) => {
                let also: &[&str] = match *scope {
                    "files:read" | "files:write" | "admin:gateway" => &[],
                    "admin" => &["admin:gateway"],
                    // Of transfers `admin` may see and end those of its tenant.
                    _ => &["admin", "admin:gateway"],
                };
                ALL.into_iter().filter(|word| word != scope && !also.contains(word)).collect()
            }
        }
    }

    /// A name for who has that.
    fn name(&self) -> String {
        let word = |scope: &str| scope.replace(':', "-");
        match self {
            Self::Only(scopes) => {
                format!("only-{}", scopes.iter().map(|scope| word(scope)).collect::<Vec<_>>().join("-"))
            }
            Self::AllBut(scope) => format!("all-but-{}", word(scope)),
        }
    }
}

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(scopes) => write!(f, "only {scopes:?}"),
            Self::AllBut(scope) => write!(f, "all but {scope}"),
        }
    }
}

/// Somebody of a tenant.
type Who = (&'static str, Has);

fn key_id((tenant, has): &Who) -> String {
    format!("{tenant}-{}", has.name())
}

/// The identity and the key of a tenant that may do everything; keys and tokens of the others narrow it.
fn everything(tenant: &str) -> String {
    format!("{tenant}-everything")
}

/// The name that a certificate is made out to.
fn dns(who: &Who) -> String {
    format!("{}.example", key_id(who))
}

/// The gateway and all who call it.
pub struct Callers {
    pub gateway: Gateway,
    /// May do everything in `acme`, and operates the gateway.
    pub root: Rest,
    /// Has no credential.
    pub nobody: Rest,
    /// The id of a revoked key, and the key.
    pub revoked_key: (String, String),
    good: BTreeMap<(Kind, Who), Rest>,
    spoiled: BTreeMap<(Kind, Spoiled), Rest>,
    pki: Pki,
    provider: Provider,
}

/// The lines of a tenant: who is there, and by which credentials.
fn lines(tenant: &str, all: &BTreeSet<Who>, provider: &Provider, audience: &str) -> String {
    let view = "view = [{ at = \"/\", path = \"/\", permissions = [\"*\"] }]";
    let identity =
        |id: &str, scopes: &[&str]| format!("[[tenant.identity]]\nid = \"{id}\"\nscopes = {scopes:?}\n{view}\n");
    let key = |id: &str, identity: &str, more: &str| {
        let hash = sha256(api_key(id).as_bytes());
        format!("[[tenant.api_key]]\nid = \"{id}\"\nidentity = \"{identity}\"\nkey_hash = \"{hash}\"\n{more}\n")
    };
    let mut text = identity("everything", &ALL) + &identity("plain", &["files:read"]);
    text += &key(&everything(tenant), "everything", "");
    text += &key(&format!("{tenant}-plain"), "plain", "");
    text += &key(&format!("{tenant}-expired"), "everything", "expires = \"2020-01-01T00:00:00Z\"");
    for who in all.iter().filter(|who| who.0 == tenant) {
        let (name, id, scopes) = (who.1.name(), key_id(who), who.1.scopes());
        text += &identity(&name, &scopes);
        text += &key(&id, "everything", &format!("scopes = {scopes:?}"));
        write!(text, "[[tenant.login]]\nusername = \"{id}\"\nidentity = \"{name}\"\nprotocols = [\"api\"]\n").unwrap();
        writeln!(text, "client_certificates = [\"san:{}\"]", dns(who)).unwrap();
    }
    text + &provider.lines(audience, "")
}

/// What a provider says of somebody.
fn foreign_claims(provider: &Provider, audience: &str, subject: &str, scopes: &[&str]) -> Value {
    let mut claims = provider.claims(audience, subject);
    claims["exp"] = json!(seconds() + 900);
    claims["scope"] = json!(scopes.join(" "));
    claims
}

/// A token of the gateway's own for the key of a tenant that may do everything, with these scopes.
async fn given(rest: &Rest, tenant: &str, scopes: &[&str]) -> String {
    let id = everything(tenant);
    let fields = [("grant_type", "client_credentials"), ("scope", &*scopes.join(" "))];
    let answer = post(rest, "/oauth/token", Some((&id, &api_key(&id))), &fields).await.ok();
    text(&answer, "access_token").to_owned()
}

/// What a token says.
fn said(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

async fn status(rest: &Rest) -> u16 {
    rest.get("/auth/validate").await.status
}

impl Callers {
    /// Starts a gateway that knows all of these.
    pub async fn start(ledger: Ledger, all: &BTreeSet<Who>) -> Self {
        let (pki, theirs) = (Pki::new(), Authority::new("other CA"));
        std::fs::write(pki.path("other.pem"), theirs.pem()).unwrap();
        pki.revoke(&[pki.ca.revoke(&[], DAY)]);
        let (provider, issuer) = (Provider::start().await, Signer::new("a"));
        provider.publish(&[&issuer]);
        let application = format!("[[tenant.oauth_client]]\nid = \"portal\"\nredirect_uris = [{CALLBACK:?}]");
        let mut plan = pki.plan();
        plan.ledger = ledger;
        let gateway = plan
            .limits("requests_per_minute = 1000000")
            // What is asked here is read to its end.
            .api("event_stream_time = \"200ms\"")
            // What is asked for stays as it is until somebody cancels it.
            .transfers("workers = 0")
            .tokens("issuer_allow_private_addresses = true")
            .acme(&format!("client_crl = {:?}", pki.path("crl.pem")))
            .acme(&lines("acme", all, &provider, "causeway"))
            .acme(&application)
            .other(&format!("client_ca = {:?}", pki.path("other.pem")))
            .other(&lines("other", all, &provider, "other"))
            .whole_login(&person("ann", "plain", ""))
            .start()
            .await;
        let root = gateway.rest(&everything("acme"));
        let mut callers = Self {
            nobody: root.with_key(""),
            root,
            revoked_key: (String::new(), String::new()),
            good: BTreeMap::new(),
            spoiled: BTreeMap::new(),
            gateway,
            pki,
            provider,
        };
        for who in all {
            callers.welcome(who, &issuer, &theirs).await;
        }
        callers.spoil_keys().await;
        callers.spoil_own().await;
        callers.spoil_foreign(&issuer).await;
        callers.spoil_certificates().await;
        callers
    }

    /// Whose credential is right.
    pub fn of(&self, kind: Kind, tenant: &'static str, has: &Has) -> &Rest {
        &self.good[&(kind, (tenant, has.clone()))]
    }

    /// Whose credential lets nobody in.
    pub fn spoiled(&self, kind: Kind, why: Spoiled) -> &Rest {
        &self.spoiled[&(kind, why)]
    }

    async fn welcome(&mut self, who: &Who, issuer: &Signer, theirs: &Authority) {
        let (tenant, has) = who;
        let scopes = has.scopes();
        let audience = if *tenant == "acme" { "causeway" } else { "other" };
        let foreign = issuer.token(&foreign_claims(&self.provider, audience, "everything", &scopes));
        let (name, file) = (format!("DNS:{}", dns(who)), key_id(who));
        let pki = &self.pki;
        let certificate =
            if *tenant == "acme" { pki.issue(&file, &[&name]) } else { theirs.issue(pki.folder(), &file, &[&name]) };
        let known = [
            (Kind::Key, self.root.with_key(&api_key(&key_id(who)))),
            (Kind::Own, self.root.with_key(&given(&self.root, tenant, &scopes).await)),
            (Kind::Issuer, self.root.with_key(&foreign)),
            (Kind::Certificate, self.gateway.rest_showing(&certificate)),
        ];
        for (kind, rest) in known {
            let seen = rest.get("/auth/validate").await.ok();
            let mut told: Vec<&str> = seen["scopes"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
            let mut wanted = scopes.clone();
            told.sort_unstable();
            wanted.sort_unstable();
            assert_eq!((&seen["tenant_id"], told), (&json!(tenant), wanted), "{} of {who:?}", kind.name());
            self.good.insert((kind, who.clone()), rest);
        }
    }

    /// Keeps those that let nobody in, once each has been told what it is, so that none is refused for another reason.
    async fn add(&mut self, kind: Kind, all: [(Spoiled, Rest, &str); 3]) {
        for (why, rest, told) in all {
            let answer = rest.get("/auth/validate").await;
            answer.problem(401, "unauthenticated");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(told), "{} {}: {detail}", why.name(), kind.name());
            self.spoiled.insert((kind, why), rest);
        }
    }

    async fn spoil_keys(&mut self) {
        let made = self.root.post_json("/api-keys", &json!({ "identity": "everything" })).await.ok();
        let (id, revoked) = (text(&made, "id").to_owned(), self.root.with_key(text(&made, "key")));
        assert_eq!(status(&revoked).await, 200);
        assert_eq!(self.root.delete(&format!("/api-keys/{id}")).await.status, 204);
        self.revoked_key = (id, revoked.key().to_owned());
        let [wrong, expired] = ["nobody-has-this", "acme-expired"].map(|id| self.root.with_key(&api_key(id)));
        let all = [
            (Spoiled::Wrong, wrong, "not valid"),
            (Spoiled::Expired, expired, "expired"),
            (Spoiled::Revoked, revoked, "not valid"),
        ];
        self.add(Kind::Key, all).await;
    }

    async fn spoil_own(&mut self) {
        let signer = signer(&self.gateway).await;
        // What the gateway says of the key, signed anew.
        let right = said(&given(&self.root, "acme", &ALL).await);
        assert_eq!(status(&self.root.with_key(&signer.access_token(&right))).await, 200, "it is signed rightly");
        let mut over = right.clone();
        over["exp"] = json!(seconds() - 60);
        let wrong = self.root.with_key(&Signer::new(&signer.kid).access_token(&right));
        let expired = self.root.with_key(&signer.access_token(&over));
        let revoked = self.root.with_key(&given(&self.root, "acme", &ALL).await);
        assert_eq!(status(&revoked).await, 200);
        let id = everything("acme");
        let answer = post(&self.root, "/oauth/revoke", Some((&id, &api_key(&id))), &[("token", revoked.key())]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let all = [
            (Spoiled::Wrong, wrong, "not valid"),
            (Spoiled::Expired, expired, "expired"),
            (Spoiled::Revoked, revoked, "revoked"),
        ];
        self.add(Kind::Own, all).await;
    }

    /// The gateway cannot take a provider's token back; it takes away whom it stands for.
    async fn spoil_foreign(&mut self, issuer: &Signer) {
        let claims = |subject: &str| foreign_claims(&self.provider, "causeway", subject, &ALL);
        let mut over = claims("everything");
        over["exp"] = json!(seconds() - 60);
        let wrong = self.root.with_key(&Signer::new(&issuer.kid).token(&claims("everything")));
        let expired = self.root.with_key(&issuer.token(&over));
        let revoked = self.root.with_key(&issuer.token(&claims("leaver")));
        self.root.post_json("/identities", &json!({ "id": "leaver", "scopes": ALL, "view": [] })).await.ok();
        assert_eq!(status(&revoked).await, 200);
        let gone = self.root.request(reqwest::Method::DELETE, "/identities/leaver").header("if-match", "*");
        assert_eq!(self.root.send(gone).await.status, 204);
        let all = [
            (Spoiled::Wrong, wrong, "not valid"),
            (Spoiled::Expired, expired, "expired"),
            (Spoiled::Revoked, revoked, "stands for nobody here"),
        ];
        self.add(Kind::Issuer, all).await;
    }

    async fn spoil_certificates(&mut self) {
        let pki = &self.pki;
        // Somebody who may do a good deal.
        let name = format!("DNS:{}", dns(&("acme", Has::AllBut("files:read"))));
        let show = |issued: &Issued| self.gateway.rest_showing(issued);
        let wrong = show(&Authority::new("acme CA").issue(pki.folder(), "wrong", &[&name]));
        let expired = show(&pki.ca.issue_as(pki.folder(), "expired", &[&name], |params| {
            params.not_after = params.not_before + Span::minutes(30);
        }));
        let taken_back = pki.issue("revoked", &[&name]);
        let revoked = show(&taken_back);
        assert_eq!(status(&revoked).await, 200);
        pki.revoke(&[pki.ca.revoke(&[taken_back.serial], DAY)]);
        eventually("the certificate is revoked", Duration::from_secs(20), async || {
            (status(&revoked).await == 401).then_some(())
        })
        .await;
        let all = [
            (Spoiled::Wrong, wrong, "certificate stands for no login"),
            (Spoiled::Expired, expired, "certificate stands for no login"),
            (Spoiled::Revoked, revoked, "certificate stands for no login"),
        ];
        self.add(Kind::Certificate, all).await;
    }
}
