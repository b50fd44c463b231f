//! The operator's own listener: plain HTTP, `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use causeway_core::Gateway;
use causeway_core::metrics::Source;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ApiConfig;
use crate::exposition;
use crate::problem::{HttpFault, Problem};
use crate::respond::{HeadLimits, caught, respond};
use crate::serve::{ConnectionInfo, Limits, serve_connection};

/// The operator's front end.
pub struct OpsFront {
    router: Router,
    head: HeadLimits,
    limits: Limits,
}

/// What its handlers can reach.
#[derive(Clone)]
struct Ops {
    gateway: Arc<Gateway>,
    sources: Arc<[Arc<dyn Source>]>,
}

impl OpsFront {
    /// Of a gateway; `sources` are what is counted beside it.
    pub fn new(gateway: Arc<Gateway>, sources: Vec<Arc<dyn Source>>) -> Self {
        let config = ApiConfig::new("", "");
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .fallback(|| async { Problem::http(HttpFault::NoRoute) })
            .method_not_allowed_fallback(|| async { Problem::http(HttpFault::Method) })
            .layer(CatchPanicLayer::custom(caught))
            .with_state(Ops { gateway, sources: sources.into() });
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

async fn ready(State(Ops { gateway, .. }): State<Ops>) -> Result<&'static str, Problem> {
    // Whatever is not well, the answer is "not now".
    gateway.ready().await.map(|()| "ready\n").map_err(|error| {
        let unavailable = causeway_core::Error::new(causeway_core::ErrorKind::Unavailable, error.message().to_owned());
        Problem::from(unavailable)
    })
}

async fn metrics(State(ops): State<Ops>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut families = ops.gateway.measured().await;
    families.extend(ops.sources.iter().flat_map(|source| source.families()));
    exposition::answer(families, &headers).map_err(Problem::from)
}
