//! Files, folders, uploads and transfers.

use serde_json::json;

use super::route::{Ask, Foreign, Needs, Route, Scene};
use crate::{transfers, uploads};

const READ: Needs = Needs::Scopes(&["files:read"]);
const WRITE: Needs = Needs::Scopes(&["files:write"]);
const BOTH: Needs = Needs::Scopes(&["files:write", "files:read"]);

/// A file of `acme`: its id.
async fn file(scene: Scene<'_>) -> String {
    let made = scene.root.put(&path(scene), b"acme's").await.ok();
    made["file_id"].as_str().unwrap().to_owned()
}

/// Its path, or whatever else is of `acme` in this scene.
fn path(scene: Scene<'_>) -> String {
    format!("/acme-{}", scene.n)
}

/// A path where nothing is.
fn free(scene: Scene<'_>) -> String {
    format!("/new-{}", scene.n)
}

/// An upload of three bytes that was begun by who asks rightly.
async fn upload(scene: Scene<'_>) -> String {
    uploads::begin(scene.right, &json!({ "path": path(scene), "size": 3 })).await
}

/// A form with a file in it.
fn form(scene: Scene<'_>) -> Ask {
    let name = format!("new-{}", scene.n);
    let parts: [(&str, Option<&str>, &[u8]); 2] = [("destination", None, b"/"), ("file", Some(&name), b"abc")];
    let built = scene.root.form_request(&parts).build().unwrap();
    let kind = built.headers()["content-type"].to_str().unwrap().to_owned();
    let body = built.body().unwrap().as_bytes().unwrap().to_vec();
    Ask::plain().header("content-type", kind).body(body)
}

/// A copy of a file that is asked for by `asking`, and that nobody makes; its id.
async fn transfer(scene: Scene<'_>, asking: &crate::harness::Rest) -> String {
    file(scene).await;
    transfers::ask(asking, &json!({ "source": path(scene), "destination": format!("{}-copy", path(scene)) })).await
}

pub fn files() -> Vec<Route> {
    use Foreign::{DoesItsOwn, TellsItsOwn};
    vec![
        Route::new("get", "/api/v1/files", READ, 200, |scene| {
            Box::pin(async move {
                file(scene).await;
                Ask::plain().query("path", "/").query("limit", "1000")
            })
        })
        .foreign(TellsItsOwn),
        Route::new("post", "/api/v1/files/upload", WRITE, 201, |scene| Box::pin(async move { form(scene) }))
            .foreign(DoesItsOwn),
        Route::new("options", "/api/v1/files/upload", Needs::Nothing, 204, |_| Box::pin(async { Ask::plain() })),
        Route::new("put", "/api/v1/files/content", WRITE, 201, |scene| {
            Box::pin(async move { Ask::plain().query("path", &free(scene)).body("abc") })
        })
        .foreign(DoesItsOwn),
        Route::new("get", "/api/v1/files/content", READ, 200, by_path),
        Route::new("head", "/api/v1/files/content", READ, 200, by_path),
        Route::new("options", "/api/v1/files/content", Needs::Nothing, 204, |_| Box::pin(async { Ask::plain() })),
        Route::new("get", "/api/v1/files/{file_id}", READ, 200, by_id),
        Route::new("patch", "/api/v1/files/{file_id}", WRITE, 200, |scene| {
            Box::pin(async move { Ask::of(file(scene).await).json(&json!({ "path": free(scene) })) })
        }),
        Route::new("delete", "/api/v1/files/{file_id}", WRITE, 204, by_id),
        Route::new("post", "/api/v1/files/{file_id}/copy", BOTH, 201, |scene| {
            Box::pin(async move { Ask::of(file(scene).await).json(&json!({ "destination": free(scene) })) })
        }),
        Route::new("get", "/api/v1/files/{file_id}/download", READ, 200, by_id),
        Route::new("head", "/api/v1/files/{file_id}/download", READ, 200, by_id),
        Route::new("post", "/api/v1/folders", WRITE, 201, |scene| {
            Box::pin(async move { Ask::plain().json(&json!({ "path": free(scene) })) })
        })
        .foreign(DoesItsOwn),
        Route::new("delete", "/api/v1/folders", WRITE, 204, |scene| {
            Box::pin(async move {
                scene.root.post_json("/folders", &json!({ "path": path(scene) })).await.ok();
                Ask::plain().query("path", &path(scene))
            })
        }),
    ]
}

fn by_path(scene: Scene<'_>) -> futures::future::BoxFuture<'_, Ask> {
    Box::pin(async move {
        file(scene).await;
        Ask::plain().query("path", &path(scene))
    })
}

fn by_id(scene: Scene<'_>) -> futures::future::BoxFuture<'_, Ask> {
    Box::pin(async move { Ask::of(file(scene).await) })
}

pub fn uploads() -> Vec<Route> {
    use Foreign::{DoesItsOwn, TellsItsOwn};
    const ONE: &str = "/api/v1/uploads/{session_id}";
    const CONTENT: &str = "/api/v1/uploads/{session_id}/content";
    vec![
        Route::new("post", "/api/v1/uploads", WRITE, 201, |scene| {
            Box::pin(async move { Ask::plain().json(&json!({ "path": free(scene), "size": 3 })) })
        })
        .foreign(DoesItsOwn),
        Route::new("get", "/api/v1/uploads", WRITE, 200, |scene| {
            Box::pin(async move {
                upload(scene).await;
                Ask::plain()
            })
        })
        .foreign(TellsItsOwn),
        Route::new("get", ONE, WRITE, 200, an_upload),
        Route::new("delete", ONE, WRITE, 204, an_upload),
        Route::new("put", "/api/v1/uploads/{session_id}/chunks/{n}", WRITE, 204, |scene| {
            Box::pin(async move { Ask::of(upload(scene).await).and("0").body("abc") })
        }),
        Route::new("put", CONTENT, WRITE, 204, |scene| {
            Box::pin(async move { Ask::of(upload(scene).await).header("content-range", "bytes 0-2/*").body("abc") })
        }),
        Route::new("head", CONTENT, WRITE, 204, an_upload),
        Route::new("patch", CONTENT, WRITE, 204, |scene| {
            Box::pin(async move {
                Ask::of(upload(scene).await)
                    .header("content-type", "application/partial-upload")
                    .header("upload-complete", "?0")
                    .header("upload-offset", "0")
                    .body("abc")
            })
        }),
        Route::new("delete", CONTENT, WRITE, 204, an_upload),
        Route::new("options", CONTENT, Needs::Nothing, 204, |_| Box::pin(async { Ask::of(crate::problems::UNKNOWN) })),
        Route::new("post", "/api/v1/uploads/{session_id}/complete", WRITE, 201, |scene| {
            Box::pin(async move {
                let id = upload(scene).await;
                assert_eq!(uploads::chunk(scene.right, &id, 0, b"abc").await.status, 204);
                Ask::of(id)
            })
        }),
    ]
}

fn an_upload(scene: Scene<'_>) -> futures::future::BoxFuture<'_, Ask> {
    Box::pin(async move { Ask::of(upload(scene).await) })
}

pub fn tus() -> Vec<Route> {
    const ONE: &str = "/api/v1/tus/{id}";
    const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");
    vec![
        Route::new("options", "/api/v1/tus", Needs::Nothing, 204, |_| Box::pin(async { Ask::plain() })),
        Route::new("post", "/api/v1/tus", WRITE, 201, |scene| {
            Box::pin(async move {
                let metadata = crate::tus::metadata(&[("path", &free(scene))]);
                Ask::plain()
                    .header(VERSION.0, VERSION.1)
                    .header("upload-length", "3")
                    .header("upload-metadata", metadata)
            })
        })
        .foreign(Foreign::DoesItsOwn),
        Route::new("options", ONE, Needs::Nothing, 204, |_| Box::pin(async { Ask::of(crate::problems::UNKNOWN) })),
        Route::new("head", ONE, WRITE, 200, |scene| {
            Box::pin(async move { an_upload(scene).await.header(VERSION.0, VERSION.1) })
        }),
        Route::new("patch", ONE, WRITE, 204, |scene| {
            Box::pin(async move {
                an_upload(scene)
                    .await
                    .header(VERSION.0, VERSION.1)
                    .header("content-type", "application/offset+octet-stream")
                    .header("upload-offset", "0")
                    .body("abc")
            })
        }),
        Route::new("delete", ONE, WRITE, 204, |scene| {
            Box::pin(async move { an_upload(scene).await.header(VERSION.0, VERSION.1) })
        }),
        Route::new("post", ONE, WRITE, 204, |scene| {
            Box::pin(async move {
                an_upload(scene).await.header(VERSION.0, VERSION.1).header("x-http-method-override", "DELETE")
            })
        }),
    ]
}

pub fn transfers() -> Vec<Route> {
    const SEE: Needs = Needs::Scopes(&["transfers:read"]);
    const END: Needs = Needs::Scopes(&["transfers:write"]);
    const FILES: &[&str] = &["files:read", "files:write"];
    vec![
        Route::new(
            "post",
            "/api/v1/transfers",
            Needs::Scopes(&["transfers:write", "files:read", "files:write"]),
            202,
            |scene| {
                Box::pin(async move {
                    file(scene).await;
                    Ask::plain().json(&json!({ "source": path(scene), "destination": free(scene) }))
                })
            },
        ),
        Route::new("get", "/api/v1/transfers", SEE, 200, |scene| {
            Box::pin(async move {
                transfer(scene, scene.root).await;
                Ask::plain()
            })
        })
        .foreign(Foreign::TellsItsOwn),
        Route::new("get", "/api/v1/transfers/{transfer_id}", SEE, 200, a_transfer),
        Route::new("get", "/api/v1/transfers/{transfer_id}/status", SEE, 200, a_transfer),
        // It is asked for by whoever ends it or asks again, and so needs what transfers make use of.
        Route::new("post", "/api/v1/transfers/{transfer_id}/cancel", END, 202, |scene| {
            Box::pin(async move { Ask::of(transfer(scene, scene.right).await) })
        })
        .with(FILES),
        Route::new("post", "/api/v1/transfers/{transfer_id}/retry", END, 202, |scene| {
            Box::pin(async move {
                let id = transfer(scene, scene.right).await;
                assert_eq!(transfers::wish(scene.right, &id, "cancel").await.status, 202);
                Ask::of(id)
            })
        })
        .with(FILES),
    ]
}

fn a_transfer(scene: Scene<'_>) -> futures::future::BoxFuture<'_, Ask> {
    Box::pin(async move { Ask::of(transfer(scene, scene.root).await) })
}

/// Events and the trail.
pub fn told() -> Vec<Route> {
    vec![
        Route::new("get", "/api/v1/events", Needs::Scopes(&["events:read"]), 200, |_| {
            Box::pin(async { Ask::plain().query("limit", "1000") })
        })
        .foreign(Foreign::TellsItsOwn),
        Route::new("get", "/api/v1/events/stream", Needs::Scopes(&["events:read"]), 200, |_| {
            // From the first event on.
            Box::pin(async { Ask::plain().query("after", "00000000-0000-0000-0000-000000000000") })
        })
        .foreign(Foreign::TellsItsOwn),
        Route::new("get", "/api/v1/audit", Needs::Scopes(&["audit:read"]), 200, |scene| {
            Box::pin(async move {
                file(scene).await;
                // Of this other tenants' callers know nothing, so that their trails cannot tell that they have asked for it.
                Ask::plain().query("path", &path(scene))
            })
        })
        .foreign(Foreign::TellsItsOwn),
        Route::new("get", "/api/v1/audit/verify", Needs::Scopes(&["audit:read"]), 200, |_| {
            Box::pin(async { Ask::plain() })
        })
        .foreign(Foreign::DoesItsOwn),
    ]
}
