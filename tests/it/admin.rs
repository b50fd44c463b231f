//! Administration over REST, its effect seen over SFTP, FTPS and REST.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::rest::{Answer, encode};
use crate::harness::{Ftps, Gateway, Ledger, Plan, Rest, Sftp, eventually, on_both_ledgers};

/// With an operator of the gateway, whose key is `root`.
pub fn plan(ledger: Ledger) -> Plan {
    Plan::new(ledger).keyed("root", &["admin:gateway"], "[]")
}

pub async fn put(rest: &Rest, path: &str, tag: Option<&str>, body: &Value) -> Answer {
    let mut request = rest.request(Method::PUT, path).header("content-type", "application/json").body(body.to_string());
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    rest.send(request).await
}

pub async fn delete(rest: &Rest, path: &str, tag: Option<&str>) -> Answer {
    let mut request = rest.request(Method::DELETE, path);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    rest.send(request).await
}

/// The tag of what is there now.
pub async fn tag(rest: &Rest, path: &str) -> String {
    let answer = rest.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tag = answer.header("etag").to_owned();
    assert_eq!(answer.json()["etag"], tag, "{answer:?}");
    tag
}

pub async fn made(rest: &Rest, path: &str, body: Value) -> Value {
    let answer = rest.post_json(path, &body).await;
    assert_eq!(answer.status, 201, "{body}: {answer:?}");
    answer.json()
}

fn identity(id: &str, seen: &str) -> Value {
    json!({
        "id": id, "scopes": ["files:read", "files:write"],
        "view": [{ "at": "/", "path": seen, "permissions": ["*"] }],
    })
}

/// The fields that are named as wrong.
fn wrong(answer: &Answer) -> Vec<String> {
    answer.problem(400, "invalid_argument");
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

async fn ftps_code(gateway: &Gateway, login: &str, password: &str) -> u16 {
    let mut client = Ftps::connect(gateway, &rustls::version::TLS13).await;
    client.secure().await;
    assert_eq!(client.code(&format!("USER {login}")).await, 331);
    client.code(&format!("PASS {password}")).await
}

async fn the_life_of_a_login(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (ops, files) = (gateway.rest("ops"), gateway.rest("orders"));
    let answer = ops.post_json("/identities", &identity("press", "/press")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.header("location").ends_with("/api/v1/identities/press"), "{answer:?}");
    let login = json!({
        "username": "press@work", "identity": "press", "protocols": ["sftp", "ftps"], "password": "first password",
    });
    // What stands behind the `@` may be a tenant.
    assert_eq!(wrong(&ops.post_json("/logins", &login).await), ["username"]);
    let login = json!({
        "username": "press+01", "identity": "press", "protocols": ["sftp", "ftps"], "password": "first password",
    });
    let answer = ops.post_json("/logins", &login).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.header("location").ends_with("/api/v1/logins/press%2B01"), "{answer:?}");
    let shown = answer.json();
    assert_eq!((&shown["has_password"], &shown["managed_by"]), (&json!(true), &json!("api")), "{shown}");
    assert!(shown.get("password").is_none() && shown.get("password_hash").is_none(), "{shown}");
    // At once, over both protocols, and what it brings is where its view says.
    let mut sftp = Sftp::by_password(gateway.sftp, "press+01", Some("first password")).await.unwrap();
    sftp.put("/a.txt", b"one").await.unwrap();
    assert_eq!(&*files.read("/press/a.txt").await.body, b"one");
    assert_eq!(ftps_code(&gateway, "press+01@acme", "first password").await, 230);

    // Another password: what is not said of it leaves it as it is.
    let at = "/logins/press%2B01";
    let mut changed = ops.get(at).await.ok();
    changed["protocols"] = json!(["sftp"]);
    let tag_before = tag(&ops, at).await;
    let answer = put(&ops, at, Some(&tag_before), &changed).await;
    assert_eq!((answer.status, &answer.json()["has_password"]), (200, &json!(true)), "{answer:?}");
    assert!(Sftp::by_password(gateway.sftp, "press+01", Some("first password")).await.is_ok());
    assert_eq!(ftps_code(&gateway, "press+01", "first password").await, 530, "not over FTPS any more");
    changed["password"] = json!("second password");
    put(&ops, at, Some(&tag(&ops, at).await), &changed).await.ok();
    assert!(Sftp::by_password(gateway.sftp, "press+01", Some("first password")).await.is_err());
    assert!(Sftp::by_password(gateway.sftp, "press+01", Some("second password")).await.is_ok());

    // A narrower view.
    let mut narrow = identity("press", "/press");
    narrow["view"][0]["permissions"] = json!(["list"]);
    put(&ops, "/identities/press", Some(&tag(&ops, "/identities/press").await), &narrow).await.ok();
    let mut sftp = Sftp::by_password(gateway.sftp, "press+01", Some("second password")).await.unwrap();
    assert!(sftp.put("/b.txt", b"two").await.is_err());
    assert_eq!(sftp.names("/").await.unwrap(), ["a.txt"]);

    // In use, and then not.
    let at_identity = "/identities/press";
    let answer = delete(&ops, at_identity, Some(&tag(&ops, at_identity).await)).await;
    answer.problem(409, "in_use");
    assert_eq!(answer.json()["used_by"], json!([{ "kind": "login", "id": "press+01" }]));
    assert_eq!(delete(&ops, at, Some(&tag(&ops, at).await)).await.status, 204);
    assert!(Sftp::by_password(gateway.sftp, "press+01", Some("second password")).await.is_err());
    ops.get(at).await.problem(404, "not_found");
    assert_eq!(delete(&ops, at_identity, Some(&tag(&ops, at_identity).await)).await.status, 204);
    ops.get(at_identity).await.problem(404, "not_found");
}

async fn a_mapping_lets_in_and_stops(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let ops = gateway.rest("ops");
    let keys = gateway.folder().join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    std::fs::write(keys.join("shop-7.pub"), &crate::harness::plan::Secrets::get().public_key).unwrap();
    let rule = json!({
        "id": "shops", "username": "shop-(?<nr>[0-9]+)", "identity": "mill", "protocols": ["sftp"],
        "home": "/shops/${nr}", "authorized_keys_file": "keys/shop-${nr}.pub",
    });
    let shown = made(&ops, "/mappings", rule.clone()).await;
    assert_eq!((&shown["home"], &shown["username"]), (&rule["home"], &rule["username"]));
    let mut shop = gateway.sftp("shop-7").await;
    shop.put("/x", b"x").await.unwrap();
    assert_eq!(&*gateway.rest("orders").read("/inbound/shops/7/x").await.body, b"x");
    assert_eq!(delete(&ops, "/mappings/shops", Some(&tag(&ops, "/mappings/shops").await)).await.status, 204);
    assert!(Sftp::connect(gateway.sftp, "shop-7").await.is_err());
}

async fn a_tenant_is_made_and_run(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (root, ops) = (gateway.rest("root"), gateway.rest("ops"));
    let tenant = json!({ "id": "newco", "quota": 1_000_000, "mounts": [{ "at": "/", "storage": "local" }] });
    ops.post_json("/tenants", &tenant).await.problem(403, "permission_denied");
    ops.get("/tenants").await.problem(403, "permission_denied");
    let answer =
        root.post_json("/tenants", &json!({ "id": "newco", "mounts": [{ "at": "/x", "storage": "nowhere" }] })).await;
    assert_eq!(wrong(&answer), ["mounts[0].storage", "mounts"]);
    made(&root, "/tenants", tenant.clone()).await;
    root.post_json("/tenants", &tenant).await.problem(409, "already_exists");
    root.post_json("/tenants", &json!({ "id": "acme", "mounts": [{ "at": "/", "storage": "local" }] }))
        .await
        .problem(409, "already_exists");
    let listed: Vec<(String, String)> = root
        .pages("/tenants?limit=1", "tenants")
        .await
        .iter()
        .map(|one| (one["id"].as_str().unwrap().to_owned(), one["managed_by"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [("acme", "config"), ("newco", "api"), ("other", "config")];
    assert_eq!(listed, expected.map(|(id, by)| (id.to_owned(), by.to_owned())));

    made(&root, "/identities?tenant=newco", identity("all", "/")).await;
    let login = json!({ "username": "edi01", "identity": "all", "password": "newco's password" });
    made(&root, "/logins?tenant=newco", login).await;
    // The bare name stays the one's who had it.
    assert!(Sftp::by_password(gateway.sftp, "edi01", None).await.is_ok());
    assert!(Sftp::by_password(gateway.sftp, "edi01", Some("newco's password")).await.is_err());
    let mut sftp = Sftp::by_password(gateway.sftp, "edi01@newco", Some("newco's password")).await.unwrap();
    sftp.put("/f", b"f").await.unwrap();
    root.get("/identities?tenant=nobody").await.problem(404, "not_found");

    let answer = delete(&root, "/tenants/newco", Some(&tag(&root, "/tenants/newco").await)).await;
    answer.problem(409, "tenant_not_empty");
    sftp.remove("/f").await.unwrap();
    let answer = delete(&root, "/tenants/newco", Some(&tag(&root, "/tenants/newco").await)).await;
    answer.problem(409, "in_use");
    for at in ["/logins/edi01?tenant=newco", "/identities/all?tenant=newco", "/tenants/newco"] {
        assert_eq!(delete(&root, at, Some(&tag(&root, at).await)).await.status, 204, "{at}");
    }
    assert!(Sftp::by_password(gateway.sftp, "edi01@newco", Some("newco's password")).await.is_err());
}

async fn what_the_configuration_declares_stays(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (ops, root) = (gateway.rest("ops"), gateway.rest("root"));
    let edi = ops.get("/logins/edi01").await.ok();
    assert_eq!((&edi["managed_by"], &edi["has_password"]), (&json!("config"), &json!(true)));
    assert!(!edi.to_string().contains("argon2"), "{edi}");
    for at in ["/logins/edi01", "/identities/mill"] {
        let tag = tag(&ops, at).await;
        let body = ops.get(at).await.ok();
        put(&ops, at, Some(&tag), &body).await.problem(409, "managed_by_config");
        delete(&ops, at, Some(&tag)).await.problem(409, "managed_by_config");
        delete(&ops, at, None).await.problem(409, "managed_by_config");
    }
    delete(&root, "/tenants/other", Some(&tag(&root, "/tenants/other").await)).await.problem(409, "managed_by_config");
    ops.post_json("/identities", &identity("mill", "/")).await.problem(409, "already_exists");
    assert!(Sftp::by_password(gateway.sftp, "edi01", None).await.is_ok());
}

async fn of_two_administrators_one_is_told(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let ops = gateway.rest("ops");
    made(&ops, "/identities", identity("press", "/press")).await;
    let at = "/identities/press";
    put(&ops, at, None, &identity("press", "/x")).await.problem(428, "precondition_required");
    delete(&ops, at, None).await.problem(428, "precondition_required");
    for round in 0..5 {
        let tag = tag(&ops, at).await;
        let (one, other) = (identity("press", &format!("/one-{round}")), identity("press", &format!("/other-{round}")));
        let both = tokio::join!(put(&ops, at, Some(&tag), &one), put(&ops, at, Some(&tag), &other));
        let statuses = [both.0.status, both.1.status];
        assert!(statuses == [200, 412] || statuses == [412, 200], "{statuses:?}");
        let won = if both.0.status == 200 { one } else { other };
        assert_eq!(ops.get(at).await.ok()["view"], won["view"]);
    }
    put(&ops, at, Some("\"v1\", W/\"v2\""), &identity("press", "/x")).await.problem(412, "precondition_failed");
    let weak = format!("W/{}", tag(&ops, at).await);
    put(&ops, at, Some(&weak), &identity("press", "/x")).await.problem(412, "precondition_failed");
    // Gone, and made again: an old tag never fits.
    let old = tag(&ops, at).await;
    assert_eq!(delete(&ops, at, Some(&old)).await.status, 204);
    made(&ops, "/identities", identity("press", "/press")).await;
    assert_ne!(tag(&ops, at).await, old);
    assert_eq!(delete(&ops, at, Some("*")).await.status, 204);
}

async fn nobody_gains_what_he_has_not(ledger: Ledger) {
    let plan =
        plan(ledger).other("[[tenant.identity]]\nid = \"boss\"\nscopes = [\"admin\"]\nview = []").other(&format!(
            "[[tenant.api_key]]\nid = \"boss\"\nidentity = \"boss\"\nkey_hash = \"{}\"",
            crate::harness::sha256(crate::harness::plan::api_key("boss").as_bytes())
        ));
    let gateway = plan.start().await;
    let (ops, boss, root) = (gateway.rest("ops"), gateway.rest("boss"), gateway.rest("root"));
    let mut great = identity("great", "/");
    great["scopes"] = json!(["admin:gateway"]);
    ops.post_json("/identities", &great).await.problem(403, "permission_denied");
    made(&root, "/identities", great.clone()).await;
    // Neither the identity nor a way to become it.
    let at = "/identities/great";
    put(&ops, at, Some(&tag(&ops, at).await), &identity("great", "/")).await.problem(403, "permission_denied");
    delete(&ops, at, Some(&tag(&ops, at).await)).await.problem(403, "permission_denied");
    let way = json!({ "username": "way", "identity": "great", "password": "a way in to it" });
    ops.post_json("/logins", &way).await.problem(403, "permission_denied");
    let rule = json!({ "id": "way", "username": "way", "identity": "root" });
    ops.post_json("/mappings", &rule).await.problem(403, "permission_denied");
    made(&root, "/logins", way).await;
    let at = "/logins/way";
    delete(&ops, at, Some(&tag(&ops, at).await)).await.problem(403, "permission_denied");

    // Who is no administrator, and another tenant's.
    gateway.rest("orders").get("/identities").await.problem(403, "permission_denied");
    gateway.rest("orders").post_json("/logins", &json!({})).await.problem(403, "permission_denied");
    made(&ops, "/identities", identity("press", "/press")).await;
    for at in ["/identities/press", "/identities/mill", "/logins/edi01"] {
        let known = boss.get(at).await;
        known.problem(404, "not_found");
        assert_eq!(known.json()["detail"], boss.get("/identities/nobody-at-all").await.json()["detail"]);
        boss.get(&format!("{at}?tenant=acme")).await.problem(404, "not_found");
        delete(&boss, at, Some("*")).await.problem(404, "not_found");
        delete(&boss, &format!("{at}?tenant=acme"), Some("*")).await.problem(404, "not_found");
    }
    boss.post_json("/logins?tenant=acme", &json!({ "username": "x", "identity": "mill", "password": "12345678" }))
        .await
        .problem(404, "not_found");
    let own: Vec<Value> = boss.pages("/identities?limit=10", "identities").await;
    assert!(own.iter().all(|one| one["tenant_id"] == "other"), "{own:?}");
    // A name in another tenant means nobody else's login.
    let taken =
        json!({ "username": "edi01", "identity": "boss", "protocols": ["sftp"], "password": "not edi01's own" });
    made(&boss, "/logins", taken).await;
    assert!(Sftp::by_password(gateway.sftp, "edi01", None).await.is_ok());
    assert!(Sftp::by_password(gateway.sftp, "edi01", Some("not edi01's own")).await.is_err());
    made(&boss, "/mappings", json!({ "id": "all", "username": ".*", "identity": "boss" })).await;
    assert!(Sftp::by_password(gateway.sftp, "edi01", None).await.is_ok());
    // `admin` implies these, and no files.
    assert_eq!(ops.get("/events").await.status, 200);
    assert_eq!(ops.get("/audit").await.status, 200);
    assert_ne!(ops.read("/inbound/x").await.status, 200);
}

async fn the_trail_tells_what_was_and_what_is(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let ops = gateway.rest("ops");
    made(&ops, "/identities", identity("press", "/press")).await;
    let login = json!({ "username": "press01", "identity": "press", "password": "a password in clear" });
    made(&ops, "/logins", login.clone()).await;
    let mut changed = login.clone();
    changed["password"] = json!("another one in clear");
    changed["home"] = json!("/x");
    put(&ops, "/logins/press01", Some(&tag(&ops, "/logins/press01").await), &changed).await.ok();
    delete(&ops, "/identities/press", Some(&tag(&ops, "/identities/press").await)).await.problem(409, "in_use");
    delete(&ops, "/logins/edi01", Some("*")).await.problem(409, "managed_by_config");
    gateway.rest("orders").post_json("/identities", &identity("mine", "/")).await.problem(403, "permission_denied");
    delete(&ops, "/logins/press01", Some(&tag(&ops, "/logins/press01").await)).await;

    let entries = ops.pages("/audit?operation=admin&limit=100", "entries").await;
    let said: Vec<String> = entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {}", text("outcome"), text("change"), text("object_kind"), text("object_id"))
        })
        .collect();
    let expected = [
        "ok created identity press",
        "ok created login press01",
        "ok changed login press01",
        "denied removed identity press",
        "denied removed login edi01",
        "denied read identity ",
        "ok removed login press01",
    ];
    assert_eq!(said, expected, "{entries:#?}");
    let change = &entries[2];
    assert_eq!(change["before"]["home"], "/");
    assert_eq!(change["after"]["home"], "/x");
    assert_eq!(change["before"]["password_hash"], "(set)");
    assert_eq!(change["after"]["password_hash"], "(set, changed)");
    assert!(entries[1]["before"].is_null() && entries[6]["after"].is_null());
    let whole = serde_json::to_string(&entries).unwrap();
    assert!(!whole.contains("argon2") && !whole.contains("in clear"), "{whole}");
    assert!(!gateway.log().contains("in clear"));
    let verified = eventually("the entries are sealed", Duration::from_secs(20), async || {
        let verified = ops.get("/audit/verify").await.ok();
        (verified["sealed"] == verified["entries"]).then_some(verified)
    })
    .await;
    assert_eq!(verified["valid"], true, "{verified}");
    let told = eventually("the events are there", Duration::from_secs(20), async || {
        let told = ops.get("/events?type=admin.changed").await.ok();
        (told["events"].as_array()?.len() == 4).then_some(told)
    })
    .await;
    let first = &told["events"][0]["data"];
    assert_eq!((&first["object_kind"], &first["change"]), (&json!("identity"), &json!("created")), "{told}");
    assert!(first.get("after").is_none());
}

async fn wrong_bodies_name_each_field(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (ops, root) = (gateway.rest("ops"), gateway.rest("root"));
    let cases = [
        (
            "/identities",
            json!({ "id": 7, "scopes": "x", "quota": -1, "view": [7], "colour": "red" }),
            &["id", "scopes", "quota", "view", "colour"][..],
        ),
        (
            "/identities",
            json!({ "id": "A", "scopes": ["root"], "quota": 0, "view": [{ "at": "x", "permissions": ["see"] }] }),
            &["id", "scopes[0]", "quota", "view[0].at", "view[0].path", "view[0].permissions[0]"],
        ),
        ("/logins", json!({}), &["username", "identity"]),
        ("/logins", json!({ "username": "u", "identity": "mill", "password": "short" }), &["password"]),
        (
            "/logins",
            json!({ "username": "u", "identity": "nobody", "password_hash": "x", "require": "all", "allow_from": ["x"],
            "authorized_keys": ["x"], "home": "x", "protocols": ["smb"] }),
            &["protocols[0]", "password_hash", "authorized_keys[0]", "require", "allow_from[0]", "home", "identity"],
        ),
        ("/mappings", json!({ "username": "(", "identity": "mill" }), &["username"]),
        (
            "/mappings",
            json!({ "id": "m", "username": "x", "identity": "mill", "home": "/${nr}", "require": "password+totp" }),
            &["home", "require"],
        ),
    ];
    for (at, body, fields) in cases {
        assert_eq!(wrong(&ops.post_json(at, &body).await), fields, "{at} {body}");
    }
    assert_eq!(wrong(&root.post_json("/tenants", &json!({ "id": "x" })).await), ["mounts"]);
    made(&ops, "/identities", identity("press", "/press")).await;
    let answer = put(&ops, "/identities/press", Some("*"), &identity("other", "/")).await;
    assert_eq!(wrong(&answer), ["id"]);
    // Without an id it gets one.
    let shown = made(&ops, "/identities", json!({})).await;
    assert_eq!(uuid::Uuid::try_parse(shown["id"].as_str().unwrap()).unwrap().get_version_num(), 7);
    for path in ["/identities?colour=red", "/identities?limit=0", "/identities?cursor=x&cursor=y"] {
        assert_eq!(ops.get(path).await.status, 400, "{path}");
    }
}

async fn the_last_way_in_stays(ledger: Ledger) {
    // `alone` has no administrators but those that are declared here.
    let gateway = plan(ledger).start().await;
    let root = gateway.rest("root");
    made(&root, "/tenants", json!({ "id": "alone", "mounts": [{ "at": "/", "storage": "local" }] })).await;
    let mut chief = identity("chief", "/");
    chief["scopes"] = json!(["admin"]);
    made(&root, "/identities?tenant=alone", chief.clone()).await;
    let login =
        json!({ "username": "chief", "identity": "chief", "protocols": ["api"], "password": "the chief's own" });
    made(&root, "/logins?tenant=alone", login).await;
    // Who operates the gateway can help himself, and may.
    let at = "/logins/chief?tenant=alone";
    assert_eq!(delete(&root, at, Some(&tag(&root, at).await)).await.status, 204);
    // The administrators of `acme` come in by a key of the configuration: nothing that is declared here is the last way.
    let ops = gateway.rest("ops");
    let mut second = identity("second", "/");
    second["scopes"] = json!(["admin"]);
    made(&ops, "/identities", second).await;
    assert_eq!(delete(&ops, "/identities/second", Some("*")).await.status, 204);
}

async fn it_survives_a_kill_and_a_broken_object(ledger: Ledger) {
    let mut gateway = plan(ledger).start().await;
    let ops = gateway.rest("ops");
    made(&ops, "/identities", identity("press", "/press")).await;
    let login = json!({ "username": "press01", "identity": "press", "password": "press01's password" });
    made(&ops, "/logins", login).await;
    gateway.kill().await;
    gateway.start().await;

    assert!(Sftp::by_password(gateway.sftp, "press01", Some("press01's password")).await.is_ok());
    // The configuration gets one of the same name: it wins, and what was declared here is shown as left out.
    gateway.stop().await;
    gateway.change(|plan| plan.login("press01", "mill", ""));
    gateway.start().await;
    let ops = gateway.rest("ops");
    let both: Vec<Value> = ops.pages("/logins?limit=1", "logins").await;
    let both: Vec<&Value> = both.iter().filter(|one| one["username"] == "press01").collect();
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!((&both[0]["managed_by"], &both[1]["managed_by"]), (&json!("config"), &json!("api")));
    assert!(both[0].get("left_out").is_none() && both[1]["left_out"].is_string(), "{both:?}");
    assert!(Sftp::by_password(gateway.sftp, "press01", Some("press01's password")).await.is_err());
    assert!(gateway.log().contains("is left out"), "and the log says so");
    let stored = both[1]["etag"].as_str().unwrap().to_owned();
    assert_eq!(delete(&ops, "/logins/press01", Some(&stored)).await.status, 204, "it can be removed all the same");
}

on_both_ledgers!(
    the_life_of_a_login,
    a_mapping_lets_in_and_stops,
    a_tenant_is_made_and_run,
    what_the_configuration_declares_stays,
    of_two_administrators_one_is_told,
    nobody_gains_what_he_has_not,
    the_trail_tells_what_was_and_what_is,
    wrong_bodies_name_each_field,
    the_last_way_in_stays,
    it_survives_a_kill_and_a_broken_object,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_follow() {
    if crate::harness::plan::postgres_url().is_none() {
        return;
    }
    let one = plan(Ledger::Postgres).start().await;
    let other = one.beside(|plan| plan).await;
    let (here, there) = (one.rest("ops"), other.rest("ops"));
    let limit = Duration::from_secs(20);
    made(&here, "/identities", identity("press", "/press")).await;
    let login = json!({ "username": "press01", "identity": "press", "password": "press01's password" });
    made(&here, "/logins", login).await;
    // By the API: who fails to log in too often is not let in for a while.
    let gone = format!("/logins/{}", encode("press01"));
    eventually("the login is known there", limit, async || (there.get(&gone).await.status == 200).then_some(())).await;
    assert!(Sftp::by_password(other.sftp, "press01", Some("press01's password")).await.is_ok());
    // Two nodes, one tag: one of two changes counts.
    let at = "/identities/press";
    for round in 0..5 {
        let known = tag(&here, at).await;
        eventually("it is the same there", limit, async || (tag(&there, at).await == known).then_some(())).await;
        let (a, b) = (identity("press", &format!("/a{round}")), identity("press", &format!("/b{round}")));
        let both = tokio::join!(put(&here, at, Some(&known), &a), put(&there, at, Some(&known), &b));
        let statuses = [both.0.status, both.1.status];
        assert!(statuses == [200, 412] || statuses == [412, 200], "{statuses:?}");
    }
    assert_eq!(delete(&there, &gone, Some("*")).await.status, 204);
    eventually("it is gone here", limit, async || (here.get(&gone).await.status == 404).then_some(())).await;
    assert!(Sftp::by_password(one.sftp, "press01", Some("press01's password")).await.is_err());
}
