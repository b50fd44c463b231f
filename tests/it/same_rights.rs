//! The same identity may do exactly the same things by whatever protocol it comes: each set of permissions and scopes, each
//! operation, over SFTP, FTPS and REST, against each other and against the rule (SEMANTICS, "Permissions").

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::ftps::code;
use crate::harness::plan::Secrets;
use crate::harness::rest::{content_path, encode};
use crate::harness::sftp::Attrs;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, Rest, Sftp, on_both_ledgers};

on_both_ledgers!(every_protocol_lets_an_identity_do_the_same);

const PERMISSIONS: [&str; 8] = ["list", "download", "upload", "overwrite", "rename", "delete", "mkdir", "attributes"];
/// Sets of permissions beside the regular ones.
const RANDOM: usize = 12;

/// What can be done, the permissions and the scope that it needs.
const OPERATIONS: [(&str, &[&str], &str); 9] = [
    ("list", &["list"], "files:read"),
    ("download", &["download"], "files:read"),
    ("upload", &["upload"], "files:write"),
    ("overwrite", &["overwrite"], "files:write"),
    ("rename", &["rename", "upload"], "files:write"),
    ("remove", &["delete"], "files:write"),
    ("mkdir", &["mkdir"], "files:write"),
    ("rmdir", &["delete"], "files:write"),
    ("touch", &["attributes"], "files:write"),
];
const PROTOCOLS: [&str; 3] = ["sftp", "ftps", "api"];

/// An identity of the matrix.
struct Who {
    id: String,
    permissions: BTreeSet<&'static str>,
    scopes: Vec<&'static str>,
}

impl Who {
    /// What of all operations it may do.
    fn may(&self) -> BTreeSet<&'static str> {
        let mut may = BTreeSet::new();
        for (operation, permissions, scope) in OPERATIONS {
            if permissions.iter().all(|permission| self.permissions.contains(permission))
                && self.scopes.contains(&scope)
            {
                may.insert(operation);
            }
        }
        may
    }
}

/// Nothing, each permission alone, all but each, all of them, some by chance; and all of them with each set of scopes.
fn matrix() -> Vec<Who> {
    let all: BTreeSet<&str> = PERMISSIONS.into();
    let mut sets: Vec<(BTreeSet<&str>, Vec<&str>)> = Vec::new();
    let both = vec!["files:read", "files:write"];
    for one in PERMISSIONS {
        sets.push((BTreeSet::from([one]), both.clone()));
        sets.push((&all - &BTreeSet::from([one]), both.clone()));
    }
    let mut random = Random::seeded("the sets of permissions");
    for _ in 0..RANDOM {
        let some = PERMISSIONS.into_iter().filter(|_| random.below(2) == 0).collect();
        sets.push((some, both.clone()));
    }
    sets.push((BTreeSet::new(), both.clone()));
    for scopes in [vec![], vec!["files:read"], vec!["files:write"], both, vec!["admin"], vec!["transfers:write"]] {
        sets.push((all.clone(), scopes));
    }
    let who = |(place, (permissions, scopes))| Who { id: format!("who-{place}"), permissions, scopes };
    sets.into_iter().enumerate().map(who).collect()
}

/// Declares an identity with its login and its key, by an administrator.
async fn declare(admin: &Rest, who: &Who) -> String {
    let view = json!([{
        "at": "/", "path": format!("/matrix/{}", who.id), "permissions": who.permissions.iter().collect::<Vec<_>>(),
    }]);
    let body = json!({ "id": who.id, "scopes": who.scopes, "view": view });
    let made = admin.post_json("/identities", &body).await;
    assert_eq!(made.status, 201, "{body}: {made:?}");
    let login = json!({
        "username": who.id, "identity": who.id, "protocols": ["sftp", "ftps"],
        "password_hash": Secrets::get().password_hash, "authorized_keys": [Secrets::get().public_key],
    });
    assert_eq!(admin.post_json("/logins", &login).await.status, 201);
    let key = admin.post_json("/api-keys", &json!({ "identity": who.id })).await;
    assert_eq!(key.status, 201, "{key:?}");
    key.json()["key"].as_str().unwrap().to_owned()
}

/// What stands in the folder of each protocol before: `there`, `old`, `here`, `gone`, and an empty folder `empty`. Their ids.
async fn prepare(keeper: &Rest, id: &str) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    let folder = async |path: &str| {
        assert_eq!(keeper.post_json("/folders", &json!({ "path": path })).await.status, 201, "{path}");
    };
    folder(&format!("/{id}")).await;
    for protocol in PROTOCOLS {
        folder(&format!("/{id}/{protocol}")).await;
        folder(&format!("/{id}/{protocol}/empty")).await;
        for name in ["there", "old", "here", "gone"] {
            let put = keeper.put(&format!("/{id}/{protocol}/{name}"), name.as_bytes()).await;
            assert_eq!(put.status, 201, "{put:?}");
            files.insert(format!("{protocol}/{name}"), put.json()["file_id"].clone());
        }
    }
    files
}

type Done = BTreeSet<&'static str>;

async fn over_sftp(gateway: &Gateway, who: &Who) -> Done {
    let mut sftp = Sftp::connect(gateway.sftp, &who.id).await.unwrap();
    let times = Attrs { times: Some((1_577_836_800, 1_577_836_800)), ..Attrs::default() };
    let outcomes = [
        ("list", sftp.names("/sftp").await.is_ok()),
        ("download", sftp.get("/sftp/there").await.is_ok_and(|content| content == b"there")),
        ("upload", sftp.put("/sftp/new", b"new").await.is_ok()),
        ("overwrite", sftp.put("/sftp/old", b"newer").await.is_ok()),
        ("touch", sftp.setstat("/sftp/there", &times).await.is_ok()),
        ("rename", sftp.rename("/sftp/here", "/sftp/elsewhere").await.is_ok()),
        ("remove", sftp.remove("/sftp/gone").await.is_ok()),
        ("mkdir", sftp.mkdir("/sftp/folder").await.is_ok()),
        ("rmdir", sftp.rmdir("/sftp/empty").await.is_ok()),
    ];
    outcomes.into_iter().filter(|(_, done)| *done).map(|(operation, _)| operation).collect()
}

async fn over_ftps(gateway: &Gateway, who: &Who) -> Done {
    let mut ftps = Ftps::login(gateway, &who.id).await;
    let (content, read) = ftps.get("RETR /ftps/there").await;
    let renamed = ftps.code("RNFR /ftps/here").await == 350 && ftps.code("RNTO /ftps/elsewhere").await == 250;
    let outcomes = [
        ("list", code(&ftps.get("MLSD /ftps").await.1) == 226),
        ("download", code(&read) == 226 && content == b"there"),
        ("upload", code(&ftps.put("STOR /ftps/new", b"new").await) == 226),
        ("overwrite", code(&ftps.put("STOR /ftps/old", b"newer").await) == 226),
        ("touch", ftps.code("MFMT 20200101000000 /ftps/there").await == 213),
        ("rename", renamed),
        ("remove", ftps.code("DELE /ftps/gone").await == 250),
        ("mkdir", ftps.code("MKD /ftps/folder").await == 257),
        ("rmdir", ftps.code("RMD /ftps/empty").await == 250),
    ];
    outcomes.into_iter().filter(|(_, done)| *done).map(|(operation, _)| operation).collect()
}

async fn over_rest(rest: &Rest, files: &BTreeMap<String, Value>) -> Done {
    let file = |name: &str| format!("/files/{}", files[&format!("api/{name}")].as_str().unwrap());
    let change = async |name: &str, body: Value| {
        let request = rest.request(Method::PATCH, &file(name)).header("content-type", "application/json");
        rest.send(request.body(body.to_string())).await.status
    };
    let read = rest.get(&content_path("/api/there")).await;
    let outcomes = [
        ("list", rest.get(&format!("/files?path={}", encode("/api"))).await.status == 200),
        ("download", read.status == 200 && read.body == b"there"[..]),
        ("upload", rest.put("/api/new", b"new").await.status == 201),
        ("overwrite", rest.put("/api/old", b"newer").await.status == 200),
        ("touch", change("there", json!({ "modified_at": "2020-01-01T00:00:00Z" })).await == 200),
        ("rename", change("here", json!({ "path": "/api/elsewhere" })).await == 200),
        ("remove", rest.delete(&file("gone")).await.status == 204),
        ("mkdir", rest.post_json("/folders", &json!({ "path": "/api/folder" })).await.status == 201),
        ("rmdir", rest.delete("/folders?path=/api/empty").await.status == 204),
    ];
    outcomes.into_iter().filter(|(_, done)| *done).map(|(operation, _)| operation).collect()
}

/// What is in a protocol's folder afterwards, with the content's digest.
async fn left(keeper: &Rest, folder: &str) -> Vec<(String, Value)> {
    let entries = keeper.list(folder).await;
    entries.into_iter().map(|entry| (entry["name"].as_str().unwrap().to_owned(), entry["hash"].clone())).collect()
}

async fn every_protocol_lets_an_identity_do_the_same(ledger: Ledger) {
    let keeper = r#"[{ at = "/", path = "/matrix", permissions = ["*"] }]"#;
    let plan = Plan::new(ledger).keyed("keeper", &["files:read", "files:write"], keeper);
    let gateway = plan.limits("failed_logins = 1000").start().await;
    let (admin, keeper) = (gateway.rest("ops"), gateway.rest("keeper"));
    let mut wrong = Vec::new();
    for who in matrix() {
        let key = declare(&admin, &who).await;
        let files = prepare(&keeper, &who.id).await;
        let rest = admin.with_key(&key);
        let done = [over_sftp(&gateway, &who).await, over_ftps(&gateway, &who).await, over_rest(&rest, &files).await];
        let may = who.may();
        for (protocol, done) in PROTOCOLS.iter().zip(&done) {
            if *done != may {
                wrong.push(format!(
                    "{} with {:?} and {:?} over {protocol}: did {:?} which it may not, and not {:?} which it may",
                    who.id,
                    who.permissions,
                    who.scopes,
                    done - &may,
                    &may - done
                ));
            }
        }
        let folders = PROTOCOLS.map(|protocol| format!("/{}/{protocol}", who.id));
        let (sftp, ftps) = (left(&keeper, &folders[0]).await, left(&keeper, &folders[1]).await);
        let api = left(&keeper, &folders[2]).await;
        if sftp != ftps || sftp != api {
            wrong.push(format!("{}: what is left differs: {sftp:?}, {ftps:?}, {api:?}", who.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
