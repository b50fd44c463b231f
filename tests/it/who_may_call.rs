//! Every route × every state of a credential × every kind of it: who is let in, who is told what, and that whoever was refused has
//! changed nothing.
//!
//! The routes are those of the gateway's own description: one that has no line in the table fails the test. Each cell is a request
//! that is right but for who sends it. All those of a route and a kind name the same object, and the right one comes last: where it
//! can be done once alone, it would not succeed had any of the others done it.

mod administration;
mod callers;
mod files;
mod open;
mod route;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use self::callers::{Callers, Kind, Spoiled};
use self::route::{Ask, Foreign, Needs, Route, Scene};
use crate::harness::plan::api_key;
use crate::harness::rest::Answer;
use crate::harness::{Ledger, Rest, on_both_ledgers, say};
use crate::oauth::{lets_in, post, text};

on_both_ledgers!(every_route_knows_who_may_call_it);

const CHALLENGE: &str = "Bearer realm=\"causeway\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"causeway\", error=\"invalid_token\"";
const CHALLENGE_CLIENT: &str = "Basic realm=\"causeway\", charset=\"UTF-8\"";

fn table() -> Vec<Route> {
    let parts = [
        open::open(),
        files::files(),
        files::uploads(),
        files::tus(),
        files::transfers(),
        files::told(),
        administration::objects(),
        administration::codes(),
        administration::keys(),
        webhooks::webhooks(),
        administration::gateway(),
    ];
    parts.into_iter().flatten().collect()
}

/// All on SQLite; on PostgreSQL, where other code keeps tenants apart and all else is the same, with keys alone.
async fn every_route_knows_who_may_call_it(ledger: Ledger) {
    let table = table();
    let mut all = BTreeSet::new();
    for route in &table {
        all.extend(callers::TENANTS.map(|tenant| (tenant, route.right())));
        all.extend(route.too_small().into_iter().map(|has| ("acme", has)));
    }
    let callers = Callers::start(ledger, &all).await;
    let document = callers.nobody.get("/openapi.json").await.ok();
    is_as_described(&table, &document);
    let kinds = if ledger == Ledger::Sqlite { &Kind::ALL[..] } else { &[Kind::Key] };
    let began = Instant::now();
    let mut run = Run { callers: &callers, document: &document, scenes: 0, cells: 0, faults: Vec::new() };
    for route in &table {
        for kind in kinds {
            match route.needs {
                Needs::Nothing => run.open(route, *kind).await,
                Needs::Client => run.client(route, *kind).await,
                Needs::Scopes(_) => run.scoped(route, *kind).await,
            }
        }
    }
    let (cells, faults) = (run.cells, run.faults);
    say(&format!("{} routes, {cells} cells in {:.1} s", table.len(), began.elapsed().as_secs_f64()));
    assert!(faults.is_empty(), "{} of {cells} cells are wrong:\n{}", faults.len(), faults.join("\n"));
}

/// Fails unless the table has every route of the description, no other, and the scope that it names.
fn is_as_described(table: &[Route], document: &Value) {
    let mut described = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert((path.as_str(), method.as_str()), operation["security"].clone());
        }
    }
    let lines: BTreeSet<_> = table.iter().map(|route| (route.path, route.method)).collect();
    assert_eq!(lines.len(), table.len(), "no route stands twice in the table");
    let known: BTreeSet<_> = described.keys().copied().collect();
    let (new, gone): (Vec<_>, Vec<_>) = (known.difference(&lines).collect(), lines.difference(&known).collect());
    assert!(new.is_empty() && gone.is_empty(), "without a line in the table: {new:?}; not described: {gone:?}");
    for route in table {
        let wanted = match route.needs {
            Needs::Nothing | Needs::Client => json!([]),
            Needs::Scopes(needs) => {
                let named = &needs[..needs.len().min(1)];
                json!([{ "bearer": named }, { "certificate": named }])
            }
        };
        assert_eq!(described[&(route.path, route.method)], wanted, "{} {}", route.method, route.path);
    }
}

/// What a cell is to be answered.
#[derive(Clone, Copy)]
enum Wanted {
    /// This status, and nothing that is said beside it is looked at.
    Status(u16),
    /// The same, with something of `acme`.
    Telling(u16),
    /// The same, with nothing of it.
    Hiding(u16),
    /// 401, with this challenge.
    Unknown(&'static str),
    /// A problem of this status and code that tells nothing of `acme`.
    Problem(u16, &'static str),
}

impl Wanted {
    /// What is wrong with an answer.
    fn misses(self, answer: &Answer, head: bool) -> Option<String> {
        let (status, code) = match self {
            Self::Status(status) | Self::Telling(status) | Self::Hiding(status) => (status, None),
            Self::Unknown(_) => (401, Some("unauthenticated")),
            Self::Problem(status, code) => (status, Some(code)),
        };
        if answer.status != status {
            return Some(format!("got {}, expected {status}", answer.status));
        }
        if let Self::Unknown(challenge) = self
            && answer.header("www-authenticate") != challenge
        {
            return Some(format!("WWW-Authenticate is not `{challenge}`"));
        }
        let tells = String::from_utf8_lossy(&answer.body).contains("acme");
        match self {
            Self::Telling(_) if !tells => return Some("nothing of acme is told".to_owned()),
            Self::Hiding(_) | Self::Problem(..) if tells => return Some("something of acme is told".to_owned()),
            _ => {}
        }
        let code = code.filter(|_| !head)?;
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_problem = answer.header("content-type").starts_with("application/problem+json");
        (!is_problem || problem["code"] != code).then(|| format!("it is no problem document with the code {code}"))
    }
}

const NOT_THERE: Wanted = Wanted::Problem(404, "not_found");

struct Run<'a> {
    callers: &'a Callers,
    document: &'a Value,
    scenes: usize,
    cells: usize,
    /// Route, cell, what was answered, what was expected.
    faults: Vec<String>,
}

impl Run<'_> {
    async fn make(&mut self, route: &Route, right: &Rest) -> Ask {
        self.scenes += 1;
        let Callers { gateway, root, .. } = self.callers;
        (route.make)(Scene { gateway, root, right, n: self.scenes }).await
    }

    fn note(&mut self, route: &Route, cell: &str, answer: &Answer, missed: Option<String>) {
        self.cells += 1;
        if let Some(missed) = missed {
            let method = route.method.to_uppercase();
            self.faults.push(format!("{method} {}, {cell}: {missed}: {answer:?}", route.path));
        }
    }

    /// Sends a request as somebody, with one more thing said in it, and looks at the answer.
    async fn cell(&mut self, route: &Route, ask: &Ask, (cell, caller): (&str, &Rest), more: More, wanted: Wanted) {
        let method = match more {
            More::Head => Method::HEAD,
            _ => Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap(),
        };
        let mut path = ask.path(route.path);
        if let More::Tenant = more {
            path = format!("{path}{}tenant=acme", if path.contains('?') { "&" } else { "?" });
        }
        let head = method == Method::HEAD;
        let mut request = caller.request(method, &format!("/../..{path}"));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let More::TenantId = more {
            request = request.header("x-tenant-id", "acme");
        }
        if !ask.body.is_empty() {
            request = request.body(ask.body.clone());
        }
        let answer = caller.send(request).await;
        let missed = wanted.misses(&answer, head);
        self.note(route, cell, &answer, missed);
    }

    /// A route that everybody may call: no credential helps, and none hinders.
    async fn open(&mut self, route: &Route, kind: Kind) {
        let callers = self.callers;
        let ask = self.make(route, &callers.root).await;
        let has = route.right();
        let mut all = vec![("no credential", &callers.nobody)];
        all.extend(Spoiled::ALL.map(|why| (why.name(), callers.spoiled(kind, why))));
        all.push(("another tenant's", callers.of(kind, "other", &has)));
        all.push(("right", callers.of(kind, "acme", &has)));
        for (cell, caller) in all {
            let cell = format!("{}, {cell}", kind.name());
            self.cell(route, &ask, (&cell, caller), More::Nothing, Wanted::Status(route.status)).await;
        }
    }

    /// A route that needs a credential.
    async fn scoped(&mut self, route: &Route, kind: Kind) {
        let callers = self.callers;
        let has = route.right();
        let (right, other) = (callers.of(kind, "acme", &has), callers.of(kind, "other", &has));
        let named = |cell: &str| format!("{}, {cell}", kind.name());
        if route.foreign == Foreign::Reaches {
            // It does what is asked, so that all that follows is about something else.
            let own = self.make(route, right).await;
            let wanted = Wanted::Status(route.status);
            self.cell(route, &own, (&named("another tenant's"), other), More::Nothing, wanted).await;
        }
        let ask = self.make(route, right).await;
        let (nobody, nothing) = (&callers.nobody, Wanted::Unknown(CHALLENGE));
        self.cell(route, &ask, (&named("no credential"), nobody), More::Nothing, nothing).await;
        if route.method == "get" {
            self.cell(route, &ask, (&named("no credential, HEAD"), nobody), More::Head, nothing).await;
        }
        // Who shows a certificate has sent no token that could be invalid.
        let refused = if kind == Kind::Certificate { CHALLENGE } else { CHALLENGE_INVALID };
        for why in Spoiled::ALL {
            let caller = callers.spoiled(kind, why);
            self.cell(route, &ask, (&named(why.name()), caller), More::Nothing, Wanted::Unknown(refused)).await;
        }
        for has in route.too_small() {
            let (cell, caller) = (named(&format!("too small a scope ({has})")), callers.of(kind, "acme", &has));
            let wanted = Wanted::Problem(403, "permission_denied");
            self.cell(route, &ask, (&cell, caller), More::Nothing, wanted).await;
        }
        self.foreign(route, (&ask, kind), other).await;
        let wanted = match route.foreign {
            Foreign::TellsItsOwn | Foreign::TellsItsOwnAlone => Wanted::Telling(route.status),
            Foreign::NotThere | Foreign::DoesItsOwn | Foreign::Reaches => Wanted::Status(route.status),
        };
        self.cell(route, &ask, (&named("right"), right), More::Nothing, wanted).await;
    }

    /// The same for the credential of another tenant that has what the right one has.
    async fn foreign(&mut self, route: &Route, (ask, kind): (&Ask, Kind), other: &Rest) {
        let denied = Wanted::Problem(403, "permission_denied");
        let cell = format!("{}, another tenant's, with X-Tenant-Id", kind.name());
        self.cell(route, ask, (&cell, other), More::TenantId, denied).await;
        let (named, wanted) = match route.foreign {
            Foreign::Reaches => return,
            Foreign::NotThere => (NOT_THERE, NOT_THERE),
            Foreign::TellsItsOwn => (NOT_THERE, Wanted::Hiding(route.status)),
            Foreign::TellsItsOwnAlone => (denied, Wanted::Hiding(route.status)),
            Foreign::DoesItsOwn => (NOT_THERE, Wanted::Status(route.status)),
        };
        if self.takes_tenant(route) {
            let cell = format!("{}, another tenant's, with ?tenant=", kind.name());
            self.cell(route, ask, (&cell, other), More::Tenant, named).await;
        }
        let cell = format!("{}, another tenant's", kind.name());
        self.cell(route, ask, (&cell, other), More::Nothing, wanted).await;
    }

    /// Whether the query of a route may name a tenant.
    fn takes_tenant(&self, route: &Route) -> bool {
        let parameters = self.document["paths"][route.path][route.method]["parameters"].as_array();
        parameters.into_iter().flatten().any(|one| one["in"] == "query" && one["name"] == "tenant")
    }

    /// A route of OAuth 2.0 that asks who its client is. Of the kinds of credentials an API key is one; the others do not prove it,
    /// be they as right as they may.
    async fn client(&mut self, route: &Route, kind: Kind) {
        let callers = self.callers;
        let (_, name) = route.path.rsplit_once('/').unwrap();
        let path = format!("/oauth/{name}");
        // What is asked about, and ended in the end: a token of `acme`.
        let (id, key) = ("acme-everything", api_key("acme-everything"));
        let fields = [("grant_type", "client_credentials"), ("scope", "files:read")];
        let given = post(&callers.root, "/oauth/token", Some((id, &key)), &fields).await.ok();
        let token = text(&given, "access_token").to_owned();
        let usual = match name {
            "token" => vec![("grant_type", "client_credentials")],
            _ => vec![("token", token.as_str())],
        };
        let mut all: Vec<(String, Option<Client>, &Rest)> = vec![("no credential".into(), None, &callers.nobody)];
        if kind == Kind::Key {
            let (revoked, key) = &callers.revoked_key;
            for (cell, id, secret) in [
                ("wrong", id, api_key("nobody-has-this")),
                ("expired", "acme-expired", api_key("acme-expired")),
                ("revoked", revoked, key.clone()),
            ] {
                all.push((cell.into(), Some((id.to_owned(), secret)), &callers.nobody));
            }
        }
        let has = route.right();
        all.extend(Spoiled::ALL.map(|why| (format!("{} as a bearer", why.name()), None, callers.spoiled(kind, why))));
        all.push(("another tenant's as a bearer".into(), None, callers.of(kind, "other", &has)));
        all.push(("right as a bearer".into(), None, callers.of(kind, "acme", &has)));
        for (cell, client, caller) in all {
            let answer = ask_as_client(caller, &path, client.as_ref(), &usual).await;
            let wrong = answer.status != 401
                || answer.header("www-authenticate") != CHALLENGE_CLIENT
                || answer.json()["error"] != "invalid_client";
            let missed = wrong.then(|| "expected 401 invalid_client with a challenge".to_owned());
            self.note(route, &format!("{}, {cell}", kind.name()), &answer, missed);
        }
        if kind == Kind::Key {
            self.client_keys(route, name, (&usual, &token)).await;
        }
    }

    /// The same for the keys that are clients.
    async fn client_keys(&mut self, route: &Route, name: &str, (usual, token): (&[(&str, &str)], &str)) {
        let root = &self.callers.root;
        let holder = root.with_key(token);
        let client = |id: &str| Some((id.to_owned(), api_key(id)));
        let path = format!("/oauth/{name}");
        for (cell, id) in [
            ("too small a scope", "acme-plain"),
            ("another tenant's", "other-everything"),
            ("right", "acme-everything"),
        ] {
            let mut fields = usual.to_vec();
            if name == "token" && id == "acme-plain" {
                fields.push(("scope", "files:write"));
            }
            let answer = ask_as_client(&self.callers.nobody, &path, client(id).as_ref(), &fields).await;
            let right = id == "acme-everything";
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let wanted = match (name, id) {
                ("token", "acme-plain") => (answer.status, &body["error"]) == (400, &json!("invalid_scope")),
                ("token", _) => {
                    let who = root.with_key(text(&body, "access_token")).get("/auth/validate").await.ok();
                    answer.status == 200 && id.starts_with(text(&who, "tenant_id"))
                }
                ("introspect", _) if right => (answer.status, &body["active"]) == (200, &json!(true)),
                ("introspect", _) => (answer.status, &body) == (200, &json!({ "active": false })),
                // Whose it is not ends nothing, and does not hear whether there was anything.
                _ => (answer.status, answer.body.len()) == (200, 0) && lets_in(&holder, token).await != right,
            };
            let missed = (!wanted).then(|| "this is not what it is to be answered".to_owned());
            self.note(route, &format!("key, {cell}"), &answer, missed);
        }
    }
}

/// A client of OAuth 2.0: its id, and its secret.
type Client = (String, String);

/// Asks as a client of OAuth 2.0, by a form, with whatever the caller shows beside it.
async fn ask_as_client(caller: &Rest, path: &str, client: Option<&Client>, fields: &[(&str, &str)]) -> Answer {
    let mut fields = fields.to_vec();
    if let Some((id, secret)) = client {
        fields.extend([("client_id", id.as_str()), ("client_secret", secret.as_str())]);
    }
    let request = caller.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
    caller.send(request.body(crate::harness::browser::form(&fields))).await
}

/// What a request says beside what it says anyway.
#[derive(Clone, Copy)]
enum More {
    Nothing,
    /// It is asked as `HEAD`.
    Head,
    /// `X-Tenant-Id: acme`.
    TenantId,
    /// `?tenant=acme`.
    Tenant,
}
