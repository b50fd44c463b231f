//! OAuth 2.0: every flow, the pages as a browser without scripts drives them, and what real libraries make of them.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::clients::run;
use crate::ftps_logins::{SECRET, code_of_now};
use crate::harness::browser::{Browser, Page, form};
use crate::harness::plan::{PASSWORD, Secrets, api_key};
use crate::harness::rest::{Answer, Rest};
use crate::harness::{Ledger, Plan, eventually, on_both_ledgers, sha256, skip};

/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const CALLBACK: &str = "https://portal.example/callback";
/// The secret of `backend`.
pub const BACKEND_SECRET: &str = "of+the backend: 100%";
pub const COOKIE: &str = "__Host-causeway-sign-in";

on_both_ledgers!(
    a_person_lets_an_application_in,
    an_api_key_gets_tokens_of_its_own,
    tokens_are_revoked_and_told_of,
    a_grant_ends_with_its_login,
    python_libraries_do_all_of_it,
);

/// A login for the pages.
pub fn person(username: &str, identity: &str, more: &str) -> String {
    let hash = &Secrets::get().password_hash;
    format!(
        "username = \"{username}\"\nidentity = \"{identity}\"\nprotocols = [\"api\"]\npassword_hash = \"{hash}\"\n{more}"
    )
}

/// A gateway with applications and people.
pub fn plan(ledger: Ledger) -> Plan {
    let client = |id: &str, uris: &[&str], more: &str| {
        format!("[[tenant.oauth_client]]\nid = \"{id}\"\nredirect_uris = {uris:?}\n{more}")
    };
    let secret = format!("secret_hash = \"{}\"", sha256(BACKEND_SECRET.as_bytes()));
    let codes = "require = \"password+totp\"\ntotp_secret = \"env:CODE01_SECRET\"";
    let mut plan = Plan::new(ledger)
        .acme(&client("portal", &[CALLBACK, "http://127.0.0.1/callback"], "name = \"The <Portal>\""))
        .acme(&client("backend", &["https://backend.example/cb?from=gw"], &secret))
        .acme(&client("reader-app", &["https://reader.example/cb"], "scopes = [\"files:read\"]"))
        .other(&client("other-portal", &["https://other.example/cb"], ""))
        .whole_login(&person("ann", "orders-app", ""))
        .whole_login(&person("ben", "reader", codes))
        .whole_login(&person("cat", "edi-partner", "").replace("[\"api\"]", "[\"ftps\"]"))
        .whole_login(&person("dan", "edi-partner", "require = \"password+publickey\""))
        .whole_login(&person("eve", "edi-partner", "allow_from = [\"192.0.2.0/24\"]"));
    plan.env.push(("CODE01_SECRET".to_owned(), SECRET.to_owned()));
    plan
}

/// What `portal` asks with, some of it changed: a name with an empty value is left out.
pub fn asked(changed: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", "portal"),
        ("redirect_uri", CALLBACK),
        ("scope", "files:read files:write"),
        ("state", "a state/&=\""),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    let all: Vec<(&str, &str)> = kept.chain(changed).copied().filter(|(_, value)| !value.is_empty()).collect();
    format!("/oauth/authorize?{}", form(&all))
}

/// Signs in and agrees: the last page's answer.
pub async fn agree(browser: &mut Browser, path: &str, login: &str) -> Page {
    let page = browser.open(path).await;
    page.is(200, "Sign in");
    let page = browser.submit(&page, &[("username", login), ("password", PASSWORD)]).await;
    assert!(page.text().contains("<h1>Allow "), "{}", page.text());
    browser.submit(&page, &[("decision", "allow")]).await
}

/// The code of an answer.
pub fn code_of(page: &Page) -> String {
    page.answer().1["code"].clone()
}

/// `POST` of a form to one of the endpoints, with HTTP Basic where a client is named.
pub async fn post(rest: &Rest, path: &str, basic: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Answer {
    let request = rest.with_key("").request(Method::POST, path);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form(fields));
    let request = match basic {
        Some((id, secret)) => {
            let encode = |text: &str| form(&[("", text)])[1..].to_owned();
            request.basic_auth(encode(id), Some(encode(secret)))
        }
        None => request,
    };
    let answer = rest.send(request).await;
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    assert_eq!(answer.header("pragma"), "no-cache", "{answer:?}");
    answer
}

/// The tokens of `portal` for a code.
pub async fn exchange(rest: &Rest, code: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "portal"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    post(rest, "/oauth/token", None, &fields).await
}

/// The next tokens of `portal`.
pub async fn refresh(rest: &Rest, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![("grant_type", "refresh_token"), ("client_id", "portal"), ("refresh_token", token)];
    fields.extend_from_slice(more);
    post(rest, "/oauth/token", None, &fields).await
}

/// Fails unless it is this error of RFC 6749 section 5.2.
pub fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    let said = answer.json();
    assert_eq!(said["error"], error, "{said}");
    let sentence = said["error_description"].as_str().unwrap();
    assert!(sentence.is_ascii() && !sentence.contains(['"', '\\']), "{sentence}");
    assert_eq!(answer.header("www-authenticate").starts_with("Basic "), status == 401, "{answer:?}");
}

pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// Whether an access token lets in.
pub async fn lets_in(rest: &Rest, token: &str) -> bool {
    let answer = rest.with_key(token).get("/auth/validate").await;
    assert!([200, 401].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

/// What the trail has of logins, the oldest first.
pub async fn logins(rest: &Rest) -> Vec<Value> {
    rest.pages("/audit?operation=login&limit=200", "entries").await
}

async fn a_person_lets_an_application_in(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let rest = gateway.rest("orders");
    let mut browser = Browser::new(&gateway);
    let page = browser.open(&asked(&[])).await;
    page.is(200, "Sign in");
    let text_of = page.text();
    assert!(text_of.contains("The &#60;Portal&#62;") && !text_of.contains("<Portal>"), "{text_of}");
    let before = browser.cookies[COOKIE].clone();
    // Wrong, and told without what was typed as the password.
    let wrong = browser.submit(&page, &[("username", "ann"), ("password", "not this one")]).await;
    wrong.is(403, "Sign in");
    assert!(wrong.text().contains("role=\"alert\"") && wrong.text().contains("href=\"#username\""), "{}", wrong.text());
    assert!(wrong.text().contains("value=\"ann\"") && !wrong.text().contains("not this one"), "{}", wrong.text());
    let empty = browser.submit(&wrong, &[("username", ""), ("password", "")]).await;
    empty.is(400, "Sign in");
    assert!(empty.text().contains("href=\"#password\""), "{}", empty.text());
    let consent = browser.submit(&empty, &[("username", "ann"), ("password", PASSWORD)]).await;
    consent.is(200, "Allow The &#60;Portal&#62;?");
    for said in ["files:read", "files:write", "https://portal.example", "orders-app", "<code>ann</code>"] {
        assert!(consent.text().contains(said), "{said}: {}", consent.text());
    }
    assert_ne!(browser.cookies[COOKIE], before, "a new one after signing in");
    let done = browser.submit(&consent, &[("decision", "allow")]).await;
    assert!(browser.cookies.is_empty(), "the sign-in was for this alone");
    let (to, answer) = done.answer();
    assert_eq!((to.as_str(), answer["state"].as_str()), (CALLBACK, "a state/&=\""));
    assert_eq!(answer["iss"], format!("https://localhost:{}", gateway.api.port()));
    let tokens = exchange(&rest, &answer["code"]).await.ok();
    assert_eq!((text(&tokens, "token_type"), text(&tokens, "scope")), ("Bearer", "files:read files:write"));
    assert!((800..=900).contains(&tokens["expires_in"].as_i64().unwrap()), "{tokens}");
    let who = rest.with_key(text(&tokens, "access_token")).get("/auth/validate").await.ok();
    assert_eq!((text(&who, "identity"), text(&who, "login"), text(&who, "tenant_id")), ("orders-app", "ann", "acme"));
    assert_eq!(who["scopes"], serde_json::json!(["files:read", "files:write"]));
    rest.with_key(text(&tokens, "access_token")).get("/events").await.problem(403, "permission_denied");
    // It goes on, with less for a while and never with more.
    let next = refresh(&rest, text(&tokens, "refresh_token"), &[("scope", "files:read")]).await.ok();
    assert_eq!(text(&next, "scope"), "files:read");
    refused(&refresh(&rest, text(&next, "refresh_token"), &[("scope", "events:read")]).await, 400, "invalid_scope");
    refused(&refresh(&rest, text(&next, "refresh_token"), &[("scope", "files:eat")]).await, 400, "invalid_scope");
    let next = refresh(&rest, text(&next, "refresh_token"), &[]).await.ok();
    assert_eq!(text(&next, "scope"), "files:read files:write", "what was granted is still there");
    assert!(lets_in(&rest, text(&next, "access_token")).await);
    // Each step is in the trail, with the application and without a secret.
    let trail = logins(&rest).await;
    let of = |outcome: &str| trail.iter().filter(|e| e["outcome"] == outcome && e["login"] == "ann").count();
    assert_eq!((of("denied"), of("ok")), (2, 5), "sign-in, consent, code and two refreshes: {trail:?}");
    assert!(trail.iter().all(|e| e["outcome"] != "ok" || e["client_id"] == "portal"), "{trail:?}");
    let said = format!("{trail:?}{}", gateway.log());
    for secret in [&answer["code"], text(&tokens, "refresh_token"), text(&tokens, "access_token"), PASSWORD, &before] {
        assert!(!said.contains(secret), "{secret}");
    }
    // No is no, and a code in a second step goes before it.
    let mut browser = Browser::new(&gateway);
    let page = browser.open(&asked(&[("scope", "files:read files:write audit:read")])).await;
    let page = browser.submit(&page, &[("username", "ben@acme"), ("password", PASSWORD)]).await;
    page.is(200, "Enter your code");
    let partial = browser.cookies[COOKIE].clone();
    let right = code_of_now();
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let page = browser.submit(&page, &[("code", wrong)]).await;
    page.is(403, "Enter your code");
    let page = browser.submit(&page, &[("code", &code_of_now())]).await;
    page.is(200, "Allow The &#60;Portal&#62;?");
    assert_ne!(browser.cookies[COOKIE], partial);
    assert!(page.text().contains("files:read") && !page.text().contains("files:write"), "{}", page.text());
    assert_eq!(browser.submit(&page, &[("decision", "deny")]).await.error(), "access_denied");
    let last = logins(&rest).await.pop().unwrap();
    assert_eq!(
        (&last["outcome"], &last["login"], &last["client_id"]),
        (&"denied".into(), &"ben".into(), &"portal".into())
    );
}

/// What is wrong, HTTP Basic, the form; status and error.
type Refused<'t> = (&'t str, Option<(&'t str, &'t str)>, &'t [(&'t str, &'t str)], u16, &'t str);

async fn an_api_key_gets_tokens_of_its_own(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let rest = gateway.rest("orders");
    let grant = ("grant_type", "client_credentials");
    let key = api_key("orders");
    let key = key.as_str();
    let by_form = [grant, ("client_id", "orders"), ("client_secret", key)];
    let all = "files:read files:write transfers:read transfers:write events:read audit:read webhooks:write";
    for (basic, fields) in [(Some(("orders", key)), &by_form[..1]), (None, &by_form[..])] {
        let tokens = post(&rest, "/oauth/token", basic, fields).await.ok();
        assert_eq!(text(&tokens, "scope"), all);
        assert!(tokens.get("refresh_token").is_none(), "{tokens}");
        let who = rest.with_key(text(&tokens, "access_token")).get("/auth/validate").await.ok();
        assert_eq!((text(&who, "identity"), text(&who, "login")), ("orders-app", "orders"));
    }
    let narrow = post(&rest, "/oauth/token", Some(("orders", key)), &[grant, ("scope", "files:read")]).await.ok();
    assert_eq!(text(&narrow, "scope"), "files:read");
    let reader = rest.with_key(text(&narrow, "access_token"));
    reader.put("/inbound/x", b"x").await.problem(403, "permission_denied");
    let table: [Refused<'_>; 14] = [
        ("too much", Some(("orders", key)), &[grant, ("scope", "files:read admin")], 400, "invalid_scope"),
        ("unknown", Some(("orders", key)), &[grant, ("scope", "files:eat")], 400, "invalid_scope"),
        ("another key", Some(("edi", key)), &[grant], 401, "invalid_client"),
        ("a wrong key", Some(("orders", "cwk_wrong")), &[grant], 401, "invalid_client"),
        ("no secret", None, &[grant, ("client_id", "orders")], 401, "invalid_client"),
        ("nobody", None, &[grant], 401, "invalid_client"),
        ("a stranger", Some(("nobody", "nothing")), &[grant], 401, "invalid_client"),
        ("twice", Some(("orders", key)), &[grant, ("client_secret", "x")], 400, "invalid_request"),
        ("two names", Some(("orders", key)), &[grant, ("client_id", "edi")], 400, "invalid_request"),
        ("repeated", Some(("orders", key)), &[grant, grant], 400, "invalid_request"),
        ("no grant", Some(("orders", key)), &[("scope", "files:read")], 400, "invalid_request"),
        ("another grant", Some(("orders", key)), &[("grant_type", "password")], 400, "unsupported_grant_type"),
        ("not its way", Some(("backend", BACKEND_SECRET)), &[grant], 400, "unauthorized_client"),
        (
            "nor this",
            Some(("orders", key)),
            &[("grant_type", "refresh_token"), ("refresh_token", "x")],
            400,
            "unauthorized_client",
        ),
    ];
    for (what, basic, fields, status, error) in table {
        let answer = post(&rest, "/oauth/token", basic, fields).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        refused(&answer, status, error);
    }
    // Of the query nothing counts; what is no form is none; and forms end somewhere.
    let query = format!("/oauth/token?{}", form(&by_form));
    rest.send(rest.with_key("").request(Method::POST, &query)).await.problem(400, "key_in_url");
    let by_query = [grant, ("client_id", "backend"), ("client_secret", BACKEND_SECRET)];
    let query = format!("/oauth/token?{}", form(&by_query));
    refused(&post(&rest, &query, None, &[("x", "y")]).await, 401, "invalid_client");
    let request = rest.with_key("").request(Method::POST, "/oauth/token");
    let json = rest.send(request.header("content-type", "application/json").body("{}")).await;
    refused(&json, 400, "invalid_request");
    let large = "x".repeat(70_000);
    assert_eq!(post(&rest, "/oauth/token", None, &[grant, ("x", &large)]).await.status, 413);
    // Each token that was given is in the trail.
    let given = logins(&rest).await.into_iter().filter(|e| e["outcome"] == "ok" && e["client_id"] == "orders").count();
    assert_eq!(given, 3);
    let answer = rest.with_key("").get("/../../.well-known/oauth-authorization-server").await.ok();
    let issuer = format!("https://localhost:{}", gateway.api.port());
    assert_eq!(answer["issuer"], issuer);
    for name in
        ["authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint"]
    {
        assert!(text(&answer, name).starts_with(&issuer), "{answer}");
    }
    assert_eq!(answer["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

async fn tokens_are_revoked_and_told_of(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let rest = gateway.rest("orders");
    let tokens_of = async |path: &str| {
        let code = code_of(&agree(&mut Browser::new(&gateway), path, "ann").await);
        exchange(&rest, &code).await.ok()
    };
    let tokens = tokens_of(&asked(&[])).await;
    let (access, renewing) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let keys = ["orders", "edi", "mill", "other"].map(|id| (id, api_key(id)));
    let orders = keys[0].1.as_str();
    let introspect = async |id: &str, secret: &str, token: &str| {
        post(&rest, "/oauth/introspect", Some((id, secret)), &[("token", token)]).await.ok()
    };
    for (id, key) in keys.iter().map(|(id, key)| (*id, key.as_str())) {
        for token in [access, renewing] {
            let said = introspect(id, key, token).await;
            // Its own identity's, and with `audit:read` all of the tenant; nobody else's.
            let knows = ["orders", "edi"].contains(&id);
            assert_eq!(said["active"], knows, "{id}: {said}");
            assert_eq!(said.as_object().unwrap().len() > 1, knows, "{id}: {said}");
        }
    }
    let said = introspect("orders", orders, access).await;
    assert_eq!(
        (text(&said, "sub"), text(&said, "username"), text(&said, "client_id")),
        ("orders-app", "ann", "portal")
    );
    assert_eq!((text(&said, "scope"), text(&said, "token_type")), ("files:read files:write", "Bearer"));
    assert!(introspect("orders", orders, renewing).await.get("token_type").is_none());
    assert_eq!(introspect("backend", BACKEND_SECRET, access).await["active"], false, "another application's");
    for token in ["x", "cwr_x", "a.b.c", &format!("{access}x")] {
        assert_eq!(introspect("orders", orders, token).await, serde_json::json!({ "active": false }), "{token}");
    }
    let public = post(&rest, "/oauth/introspect", None, &[("client_id", "portal"), ("token", access)]).await;
    refused(&public, 401, "invalid_client");
    // Another's is not ended, and an unknown one is no error.
    for (basic, token) in
        [(("backend", BACKEND_SECRET), access), (("backend", BACKEND_SECRET), renewing), (("orders", orders), access)]
    {
        let answer = post(&rest, "/oauth/revoke", Some(basic), &[("token", token)]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
    }
    let revoke = async |token: &str| {
        let fields = [("client_id", "portal"), ("token", token), ("token_type_hint", "whatever")];
        assert_eq!(post(&rest, "/oauth/revoke", None, &fields).await.status, 200);
    };
    revoke("cwr_unknown").await;
    revoke("unknown").await;
    assert!(lets_in(&rest, access).await);
    revoke(renewing).await;
    assert!(!lets_in(&rest, access).await, "all that came of the grant, at once");
    refused(&refresh(&rest, renewing, &[]).await, 400, "invalid_grant");
    assert_eq!(introspect("orders", orders, access).await["active"], false);
    // By the access token, too.
    let tokens = tokens_of(&asked(&[])).await;
    revoke(text(&tokens, "access_token")).await;
    refused(&refresh(&rest, text(&tokens, "refresh_token"), &[]).await, 400, "invalid_grant");
    // An API key ends one of its tokens, and no other.
    let grant = [("grant_type", "client_credentials")];
    let basic = Some(("orders", orders));
    let (one, other) =
        (post(&rest, "/oauth/token", basic, &grant).await.ok(), post(&rest, "/oauth/token", basic, &grant).await.ok());
    assert_eq!(introspect("orders", orders, text(&one, "access_token")).await["active"], true);
    post(&rest, "/oauth/revoke", basic, &[("token", text(&one, "access_token"))]).await;
    assert!(!lets_in(&rest, text(&one, "access_token")).await);
    assert!(lets_in(&rest, text(&other, "access_token")).await);
    let ended = logins(&rest)
        .await
        .into_iter()
        .filter(|e| e["error_message"].as_str().is_some_and(|m| m.contains("revoked its token")));
    assert_eq!(ended.count(), 3);
}

async fn a_grant_ends_with_its_login(ledger: Ledger) {
    // Ports change with each start, and so would the issuer of tokens.
    let mut gateway = plan(ledger).api("public_url = \"https://gateway.example\"").start().await;
    let mut tokens = Vec::new();
    for login in ["ann", "ann"] {
        let code = code_of(&agree(&mut Browser::new(&gateway), &asked(&[]), login).await);
        tokens.push(exchange(&gateway.rest("orders"), &code).await.ok());
    }
    let rest = gateway.rest("orders");
    let waiting = code_of(&agree(&mut Browser::new(&gateway), &asked(&[]), "ann").await);
    // A restart with everything as it was ends nothing.
    gateway.stop().await;
    gateway.start().await;
    let rest_after = gateway.rest("orders");
    let kept = refresh(&rest_after, text(&tokens[0], "refresh_token"), &[]).await.ok();
    drop(rest);
    let hash = causeway_core::identity::hash_password(&"another password".into()).unwrap();
    gateway.stop().await;
    let old = Secrets::get().password_hash.clone();
    let line = |hash: &str| format!("identity = \"orders-app\"\nprotocols = [\"api\"]\npassword_hash = \"{hash}\"");
    gateway.change(|plan| plan.replacing(&line(&old), &line(&hash)));
    gateway.start().await;
    let rest = gateway.rest("orders");
    refused(&exchange(&rest, &waiting).await, 400, "invalid_grant");
    eventually("the access token of a changed login falls", Duration::from_secs(20), async || {
        (!lets_in(&rest, text(&kept, "access_token")).await).then_some(())
    })
    .await;
    for token in [text(&kept, "refresh_token"), text(&tokens[1], "refresh_token")] {
        refused(&refresh(&rest, token, &[]).await, 400, "invalid_grant");
    }
    let mut browser = Browser::new(&gateway);
    let page = browser.open(&asked(&[])).await;
    let page = browser.submit(&page, &[("username", "ann"), ("password", "another password")]).await;
    page.is(200, "Allow The &#60;Portal&#62;?");
}

async fn python_libraries_do_all_of_it(ledger: Ledger) {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip(
            "CAUSEWAY_TEST_PYTHON is not set to a Python with authlib and requests-oauthlib; ./test makes one",
        );
    };
    let gateway = plan(ledger).start().await;
    for script in ["oauth_authlib.py", "oauth_requests.py"] {
        let mut command = Command::new(&python);
        command.arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")));
        command.arg(format!("https://localhost:{}", gateway.api.port())).arg(gateway.data().join("certs/ca.pem"));
        command.args([&api_key("orders"), "ann", PASSWORD, BACKEND_SECRET]).env("NO_PROXY", "localhost");
        run(command).await;
    }
}
