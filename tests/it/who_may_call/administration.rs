//! Administration: objects, keys, codes, sessions, settings.

use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};

use super::route::{Ask, Foreign, Needs, Route, Scene};
use crate::admin::made;
use crate::harness::codes::code_at;
use crate::harness::plan::Secrets;

const ADMIN: Needs = Needs::Scopes(&["admin"]);
const OPERATOR: Needs = Needs::Scopes(&["admin:gateway"]);

/// The id of what is there, and of `acme`, in this scene.
fn id(scene: Scene<'_>) -> String {
    format!("acme-{}", scene.n)
}

/// The id of what is to be made.
fn free(scene: Scene<'_>) -> String {
    format!("new-{}", scene.n)
}

fn identity(id: &str) -> Value {
    json!({ "id": id, "scopes": ["files:read"], "view": [] })
}

fn login(username: &str) -> Value {
    json!({ "username": username, "identity": "plain", "password_hash": Secrets::get().password_hash })
}

fn mapping(id: &str) -> Value {
    json!({ "id": id, "username": format!("{id}-[0-9]"), "identity": "plain" })
}

fn tenant(id: &str) -> Value {
    json!({ "id": id, "mounts": [{ "at": "/", "storage": "local" }] })
}

/// One kind of objects: its paths, and how one is written.
macro_rules! objects {
    ($list:literal, $one:literal, $path:literal, $needs:expr, $write:ident, $lists:expr, $makes:expr, $is_there:expr) => {{
        fn there(scene: Scene<'_>) -> BoxFuture<'_, Ask> {
            Box::pin(async move {
                made(scene.root, $path, $write(&id(scene))).await;
                Ask::of(id(scene))
            })
        }
        // A change is meant for the object as it was made: that of somebody else before it would be told.
        async fn as_made(scene: Scene<'_>) -> Ask {
            let made = made(scene.root, $path, $write(&id(scene))).await;
            Ask::of(id(scene)).header("if-match", made["etag"].as_str().unwrap())
        }
        vec![
            Route::new("get", $list, $needs, 200, |scene| {
                Box::pin(async move {
                    there(scene).await;
                    Ask::plain().query("limit", "1000")
                })
            })
            .foreign($lists),
            Route::new("post", $list, $needs, 201, |scene| {
                Box::pin(async move { Ask::plain().json(&$write(&free(scene))) })
            })
            .foreign($makes),
            Route::new("get", $one, $needs, 200, there).foreign($is_there),
            Route::new("put", $one, $needs, 200, |scene| {
                Box::pin(async move { as_made(scene).await.json(&$write(&id(scene))) })
            })
            .foreign($is_there),
            Route::new("delete", $one, $needs, 204, |scene| Box::pin(as_made(scene))).foreign($is_there),
        ]
    }};
}

pub fn objects() -> Vec<Route> {
    use Foreign::{DoesItsOwn, NotThere, Reaches, TellsItsOwn};
    let mut all =
        objects!("/api/v1/tenants", "/api/v1/tenants/{id}", "/tenants", OPERATOR, tenant, Reaches, Reaches, Reaches);
    all.extend(objects!(
        "/api/v1/identities",
        "/api/v1/identities/{id}",
        "/identities",
        ADMIN,
        identity,
        TellsItsOwn,
        DoesItsOwn,
        NotThere
    ));
    all.extend(objects!(
        "/api/v1/logins",
        "/api/v1/logins/{username}",
        "/logins",
        ADMIN,
        login,
        TellsItsOwn,
        DoesItsOwn,
        NotThere
    ));
    all.extend(objects!(
        "/api/v1/mappings",
        "/api/v1/mappings/{id}",
        "/mappings",
        ADMIN,
        mapping,
        TellsItsOwn,
        DoesItsOwn,
        NotThere
    ));
    all
}

/// A login of `acme`.
async fn a_login(scene: Scene<'_>) -> String {
    made(scene.root, "/logins", login(&id(scene))).await;
    id(scene)
}

/// A login whose codes wait to be confirmed, and a code.
async fn enrolling(scene: Scene<'_>) -> (String, String) {
    let name = a_login(scene).await;
    let begun = made(scene.root, &format!("/logins/{name}/totp"), json!({})).await;
    (name, code_at(begun["secret"].as_str().unwrap(), 0))
}

pub fn codes() -> Vec<Route> {
    const CODES: &str = "/api/v1/logins/{username}/totp";
    vec![
        Route::new("post", CODES, ADMIN, 201, |scene| {
            Box::pin(async move { Ask::of(a_login(scene).await).json(&json!({})) })
        }),
        Route::new("delete", CODES, ADMIN, 204, |scene| {
            Box::pin(async move {
                let (name, code) = enrolling(scene).await;
                let path = format!("/logins/{name}/totp/confirm");
                scene.root.post_json(&path, &json!({ "code": code })).await.ok();
                Ask::of(name)
            })
        }),
        Route::new("post", "/api/v1/logins/{username}/totp/confirm", ADMIN, 200, |scene| {
            Box::pin(async move {
                let (name, code) = enrolling(scene).await;
                Ask::of(name).json(&json!({ "code": code }))
            })
        }),
    ]
}

/// A key of `acme`, and the version of it that the request is meant for.
fn a_key(scene: Scene<'_>) -> BoxFuture<'_, Ask> {
    Box::pin(async move {
        let request = json!({ "identity": "plain", "id": id(scene) });
        let answer = scene.root.post_json("/api-keys", &request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Ask::of(id(scene)).header("if-match", answer.header("etag"))
    })
}

pub fn keys() -> Vec<Route> {
    use Foreign::{DoesItsOwn, TellsItsOwn};
    const ONE: &str = "/api/v1/api-keys/{key_id}";
    vec![
        Route::new("get", "/api/v1/api-keys", ADMIN, 200, |scene| {
            Box::pin(async move {
                a_key(scene).await;
                Ask::plain().query("limit", "1000")
            })
        })
        .foreign(TellsItsOwn),
        Route::new("post", "/api/v1/api-keys", ADMIN, 201, |_| {
            Box::pin(async { Ask::plain().json(&json!({ "identity": "plain" })) })
        })
        .foreign(DoesItsOwn),
        Route::new("get", ONE, ADMIN, 200, a_key),
        Route::new("patch", ONE, ADMIN, 200, |scene| {
            Box::pin(async move { a_key(scene).await.json(&json!({ "name": "Another" })) })
        }),
        Route::new("delete", ONE, ADMIN, 204, a_key),
        Route::new("post", "/api/v1/api-keys/{key_id}/rotate", ADMIN, 200, |scene| {
            Box::pin(async move { a_key(scene).await.json(&json!({})) })
        }),
    ]
}

/// Takes back what is set of a group of settings.
async fn reset(scene: Scene<'_>, group: &str) {
    let request = scene.root.request(Method::DELETE, &format!("/config/{group}")).header("if-match", "*");
    let answer = scene.root.send(request).await;
    assert!([204, 404].contains(&answer.status), "{answer:?}");
}

macro_rules! settings {
    ($path:literal, $group:literal, $set:expr) => {
        vec![
            Route::new("get", $path, OPERATOR, 200, |_| Box::pin(async { Ask::plain() })),
            Route::new("put", $path, OPERATOR, 200, |scene| {
                Box::pin(async move {
                    reset(scene, $group).await;
                    // It is meant for what the configuration says, of which nothing is changed.
                    Ask::plain().header("if-match", "\"c0\"").json(&$set)
                })
            }),
            Route::new("delete", $path, OPERATOR, 204, |scene| {
                Box::pin(async move {
                    reset(scene, $group).await;
                    crate::admin::put(scene.root, concat!("/config/", $group), None, &$set).await.ok();
                    Ask::plain().header("if-match", "*")
                })
            }),
        ]
    };
}

pub fn gateway() -> Vec<Route> {
    let mut all = vec![
        Route::new("get", "/api/v1/usage", ADMIN, 200, |_| Box::pin(async { Ask::plain() }))
            .foreign(Foreign::TellsItsOwn),
        Route::new("get", "/api/v1/sessions", ADMIN, 200, |_| Box::pin(async { Ask::plain() }))
            .foreign(Foreign::TellsItsOwnAlone),
        Route::new("delete", "/api/v1/sessions/{id}", ADMIN, 204, |scene| {
            Box::pin(async move {
                let session = scene.gateway.sftp("edi01").await;
                let newest = scene.root.get("/sessions?login=edi01&limit=1").await.ok();
                Ask::of(newest["sessions"][0]["session_id"].as_str().unwrap()).holding(session)
            })
        }),
    ];
    let whole = Route::new("get", "/api/v1/config", OPERATOR, 200, |_| Box::pin(async { Ask::plain() }));
    let limits = settings!("/api/v1/config/limits", "limits", json!({ "max_file_size": 1 << 30 }));
    let uploads = settings!("/api/v1/config/uploads", "uploads", json!({ "incomplete_expiry": "8d" }));
    let of_all = std::iter::once(whole).chain(limits).chain(uploads);
    all.extend(of_all.map(|route| route.foreign(Foreign::Reaches)));
    all
}
