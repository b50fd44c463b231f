//! Webhooks: declared, tested, and what becomes of their deliveries.

use futures::future::BoxFuture;
use serde_json::json;

use super::route::{Ask, Foreign, Needs, Route, Scene};

const WEBHOOKS: Needs = Needs::Scopes(&["webhooks:write"]);
const ONE: &str = "/api/v1/webhooks/{webhook_id}";
/// Nothing listens there: what is posted fails at once.
const NOWHERE: &str = "http://127.0.0.1:1/";

fn id(scene: Scene<'_>) -> String {
    format!("acme-{}", scene.n)
}

/// A webhook of `acme`, and the version of it that the request is meant for.
fn a_webhook(scene: Scene<'_>) -> BoxFuture<'_, Ask> {
    Box::pin(async move {
        let request = json!({ "id": id(scene), "url": NOWHERE, "events": ["file.deleted"], "path": "/none/**" });
        let answer = scene.root.post_json("/webhooks", &request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Ask::of(id(scene)).header("if-match", answer.header("etag"))
    })
}

/// The same without a condition.
fn there(scene: Scene<'_>) -> BoxFuture<'_, Ask> {
    Box::pin(async move {
        a_webhook(scene).await;
        Ask::of(id(scene))
    })
}

/// One with an event that was meant for it.
fn with_an_event(scene: Scene<'_>) -> BoxFuture<'_, Ask> {
    Box::pin(async move {
        let name = format!("hooked-{}", scene.n);
        let request =
            json!({ "id": id(scene), "url": NOWHERE, "events": ["folder.created"], "path": format!("/{name}") });
        assert_eq!(scene.root.post_json("/webhooks", &request).await.status, 201);
        assert_eq!(scene.root.post_json("/folders", &json!({ "path": format!("/{name}") })).await.status, 201);
        for _ in 0..1000 {
            let found = scene.root.get(&format!("/webhooks/{}/deliveries", id(scene))).await.ok();
            if let Some(event) = found["deliveries"][0]["event_id"].as_str() {
                return Ask::of(id(scene)).and(event);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no delivery was queued");
    })
}

pub fn webhooks() -> Vec<Route> {
    use Foreign::{DoesItsOwn, TellsItsOwn};
    vec![
        Route::new("get", "/api/v1/webhooks", WEBHOOKS, 200, |scene| {
            Box::pin(async move {
                a_webhook(scene).await;
                Ask::plain().query("limit", "1000")
            })
        })
        .foreign(TellsItsOwn),
        Route::new("post", "/api/v1/webhooks", WEBHOOKS, 201, |_| {
            Box::pin(async { Ask::plain().json(&json!({ "url": NOWHERE, "events": ["file.deleted"] })) })
        })
        .foreign(DoesItsOwn),
        Route::new("get", ONE, WEBHOOKS, 200, there),
        Route::new("patch", ONE, WEBHOOKS, 200, |scene| {
            Box::pin(async move { a_webhook(scene).await.json(&json!({ "path": null })) })
        }),
        Route::new("delete", ONE, WEBHOOKS, 204, a_webhook),
        Route::new("post", "/api/v1/webhooks/{webhook_id}/rotate-secret", WEBHOOKS, 200, |scene| {
            Box::pin(async move { a_webhook(scene).await.json(&json!({})) })
        }),
        Route::new("post", "/api/v1/webhooks/{webhook_id}/test", WEBHOOKS, 200, there),
        Route::new("post", "/api/v1/webhooks/{webhook_id}/enable", WEBHOOKS, 200, there),
        Route::new("get", "/api/v1/webhooks/{webhook_id}/deliveries", WEBHOOKS, 200, there),
        Route::new(
            "post",
            "/api/v1/webhooks/{webhook_id}/deliveries/{event_id}/redeliver",
            WEBHOOKS,
            202,
            with_an_event,
        ),
        Route::new("post", "/api/v1/webhooks/{webhook_id}/replay", WEBHOOKS, 202, |scene| {
            Box::pin(async move { there(scene).await.json(&json!({ "since": "2020-01-01T00:00:00Z" })) })
        }),
    ]
}
