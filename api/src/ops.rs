//! The operator's own listener: plain HTTP, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use causeway_core::Gateway;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ApiConfig;
use crate::problem::{HttpFault, Problem};
use crate::respond::{HeadLimits, caught, respond};
use crate::serve::{ConnectionInfo, Limits, serve_connection};

/// The operator's front end.
pub struct OpsFront {
    router: Router,
    head: HeadLimits,
    limits: Limits,
}

impl OpsFront {
    /// Of a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let config = ApiConfig::new("", "");
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .fallback(|| async { Problem::http(HttpFault::NoRoute) })
            .method_not_allowed_fallback(|| async { Problem::http(HttpFault::Method) })
            .layer(CatchPanicLayer::custom(caught))
            .with_state(gateway);
        let head = HeadLimits { target: config.max_target_bytes, headers: config.max_header_bytes };
        Self { router, head, limits: Limits::of(&config) }
    }

    /// Serves one connection until it ends; when `shutdown` is cancelled, running requests finish.
    pub async fn serve<S>(&self, stream: S, peer: ConnectionInfo, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tracing::debug!(ip = %peer.ip, "connection of the operator");
        let (router, head) = (self.router.clone(), self.head);
        serve_connection(stream, &self.limits, shutdown, move |request| {
            respond(router.clone(), request.map(Body::new), head, false)
        })
        .await;
    }
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Result<&'static str, Problem> {
    // Whatever is not well, the answer is "not now".
    gateway.ready().await.map(|()| "ready\n").map_err(|error| {
        let unavailable = causeway_core::Error::new(causeway_core::ErrorKind::Unavailable, error.message().to_owned());
        Problem::from(unavailable)
    })
}
