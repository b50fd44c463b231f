//! The routes, and what handlers share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use causeway_core::events::Operation;
use causeway_core::metrics::Source;
use causeway_core::namespace::Target;
use causeway_core::{Error, ErrorKind, Gateway, Name, Session, VirtualPath};
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use crate::body::spool::SpoolSpace;
use crate::body::{BodyReader, Patience};
use crate::config::ApiConfig;
use crate::cors;
use crate::leaks;
use crate::openapi::{self, Reference, Routes, resource};
use crate::problem::{HttpFault, Problem};
use crate::quotas::{Quotas, by_address};
use crate::requests::{self, Requests};
use crate::respond::{HeadLimits, caught, respond};
use crate::resumable::{self, Takeovers};
use crate::routes;
use crate::serve::{ConnectionInfo, Limits, serve_connection};
use crate::signatures;
use crate::traces;

/// What every handler can reach.
pub struct Shared {
    /// The settings, as they were at the start.
    pub config: ApiConfig,
    /// How patient bodies are read, as it is now.
    patience: RwLock<Patience>,
    /// Core.
    pub gateway: Arc<Gateway>,
    /// The limits of requests.
    pub quotas: Quotas,
    /// Where forms wait.
    pub spools: SpoolSpace,
    /// Who sends to which upload resource.
    pub takeovers: Takeovers,
    /// The API's description.
    pub reference: Reference,
}

impl Shared {
    /// Checks a path that a caller sent; one that is not allowed is recorded as refused. `field` names where it stood.
    pub async fn path(
        &self,
        session: &Session,
        operation: Operation,
        raw: &[u8],
        field: &str,
    ) -> Result<VirtualPath, Problem> {
        let parsed = match std::str::from_utf8(raw) {
            Ok(text) => VirtualPath::parse(text),
            Err(_) => Err(Error::new(ErrorKind::InvalidName, "the path is not UTF-8; encode it as UTF-8")),
        };
        match parsed {
            Ok(path) => Ok(path),
            Err(error) => {
                self.gateway.refused(session, operation, &String::from_utf8_lossy(raw), &error).await;
                Err(Problem::from(error).at(field))
            }
        }
    }

    /// The path of a name in a folder; one that is not allowed is recorded as refused. `field` names where the name stood.
    pub async fn path_in(
        &self,
        session: &Session,
        folder: &VirtualPath,
        name: &str,
        field: &str,
    ) -> Result<VirtualPath, Problem> {
        match Name::parse(name).and_then(|name| folder.join(&name)) {
            Ok(path) => Ok(path),
            Err(error) => {
                self.gateway.refused(session, Operation::Upload, &called(folder, name), &error).await;
                Err(Problem::from(error).at(field))
            }
        }
    }

    /// The problem of an operation that does not come about, as what has to be known of its target first is not so: it is on
    /// record as what core refuses itself.
    pub async fn failed(&self, session: &Session, operation: Operation, target: &Target, error: Error) -> Problem {
        self.gateway.failed(session, operation, target, &error).await;
        error.into()
    }

    /// The body of a request, read as patiently as the settings say.
    pub fn body(&self, parts: &Parts, body: Body) -> BodyReader {
        BodyReader::new(parts, body, self.patience())
    }

    /// How long a client may take for one step of a download. A slow one that moves is not cut by this: its connection
    /// is watched for writes that stand still ([`crate::linger`]).
    pub fn step_timeout(&self) -> Duration {
        self.patience().still.saturating_mul(10)
    }

    fn patience(&self) -> Patience {
        *self.patience.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client calls a name in a folder, whether or not that can be one.
pub fn called(folder: &VirtualPath, name: &str) -> String {
    format!("{}/{name}", folder.as_str().trim_end_matches('/'))
}

/// What a handler knows of its connection, besides [`ConnectionInfo`]: the tasks that must end before the connection
/// counts as ended.
#[derive(Clone)]
pub struct Tasks(pub TaskTracker);

/// The same: cancelled when the gateway stops, for what would go on without an end.
#[derive(Clone)]
pub struct Stopping(pub CancellationToken);

/// The REST front end.
pub struct Front {
    router: Router,
    head: HeadLimits,
    limits: RwLock<Limits>,
    shared: Arc<Shared>,
    requests: Arc<Requests>,
}

impl Front {
    /// Of a gateway. Nothing is opened or bound.
    pub fn new(config: ApiConfig, gateway: Arc<Gateway>) -> Self {
        let head = HeadLimits { target: config.max_target_bytes, headers: config.max_header_bytes };
        let limits = Limits::of(&config);
        let spools = SpoolSpace::new(&config.spool_dir, config.max_spool_bytes, config.min_free_bytes);
        let (quotas, cors) = (Quotas::new(&config), cors::layer(&config.cors_origins));
        let routes = routes();
        let reference = Reference::new(&routes, &config.public_url);
        let (takeovers, patience) = (Takeovers::default(), RwLock::new(patience(&config)));
        let shared = Arc::new(Shared { config, patience, gateway, quotas, spools, takeovers, reference });
        let requests = Arc::<Requests>::default();
        let router = router(routes, shared.clone(), cors, requests.clone());
        Self { router, head, limits: RwLock::new(limits), shared, requests }
    }

    /// Goes on with the times and the limits of requests of this configuration: for connections that come from now on, and bodies
    /// that are begun. All else stays as it is.
    pub fn adopt(&self, config: &ApiConfig) {
        self.shared.quotas.adopt(config);
        *self.shared.patience.write().unwrap_or_else(PoisonError::into_inner) = patience(config);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Limits::of(config);
    }

    /// What is counted of its requests.
    pub fn requests(&self) -> Arc<dyn Source> {
        self.requests.clone()
    }

    /// Serves one connection, already through TLS, until it ends. When `shutdown` is cancelled, running requests finish
    /// and the connection closes. When this returns, every download of the connection has told core how it ended.
    pub async fn serve<S>(&self, stream: S, peer: ConnectionInfo, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tracing::debug!(ip = %peer.ip, alpn = peer.alpn.as_deref(), "connection");
        let (peer, tasks) = (Arc::new(peer), TaskTracker::new());
        let (router, head, running) = (self.router.clone(), self.head, tasks.clone());
        let stopping = Stopping(shutdown.clone());
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner).clone();
        serve_connection(stream, &limits, shutdown, move |request| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&peer));
            request.extensions_mut().insert(Tasks(running.clone()));
            request.extensions_mut().insert(stopping.clone());
            respond(router.clone(), request, head, true)
        })
        .await;
        tasks.close();
        tasks.wait().await;
    }
}

const fn patience(config: &ApiConfig) -> Patience {
    Patience { still: config.body_timeout, grace: config.body_grace, rate: config.body_min_rate }
}

/// Every route, with its description.
fn routes() -> Routes {
    use routes::{
        api_keys, audit, content, download, events, files, folders, jwks, list, sessions, totp, transfers, upload,
        uploads, validate,
    };
    Routes::new()
        .add(resource("/api/v1/auth/validate").get(validate::validate, validate::operation()))
        .add(resource("/.well-known/jwks.json").get(jwks::jwks, jwks::operation()))
        .add(resource("/api/v1/files").get(list::list, list::operation()))
        .add(
            resource("/api/v1/files/upload")
                .post(upload::upload, upload::operation())
                .options(resumable::abilities, resumable::upload_abilities_operation()),
        )
        .add(
            resource("/api/v1/files/content")
                .put(content::put, content::put_operation())
                .get(download::get_by_path, download::get_by_path_operation())
                .head(download::head_by_path, download::head_by_path_operation())
                .options(resumable::abilities, resumable::content_abilities_operation()),
        )
        .add(
            resource("/api/v1/files/{file_id}")
                .get(files::metadata, files::metadata_operation())
                .patch(files::change, files::change_operation())
                .delete(files::remove, files::remove_operation()),
        )
        .add(resource("/api/v1/files/{file_id}/copy").post(files::copy, files::copy_operation()))
        .add(
            resource("/api/v1/files/{file_id}/download")
                .get(download::get_by_id, download::get_by_id_operation())
                .head(download::head_by_id, download::head_by_id_operation()),
        )
        .add(
            resource("/api/v1/folders")
                .post(folders::make, folders::make_operation())
                .delete(folders::remove, folders::remove_operation()),
        )
        .add(
            resource("/api/v1/uploads")
                .post(uploads::begin::begin, uploads::begin::operation())
                .get(uploads::list, uploads::list_operation()),
        )
        .add(
            resource("/api/v1/uploads/{session_id}")
                .get(uploads::status, uploads::status_operation())
                .delete(uploads::abandon, uploads::abandon_operation()),
        )
        .add(resource("/api/v1/uploads/{session_id}/chunks/{n}").put(uploads::chunk::put, uploads::chunk::operation()))
        .add(
            resource("/api/v1/uploads/{session_id}/content")
                .put(uploads::content::put, uploads::content::operation())
                .head(resumable::head, resumable::head_operation())
                .patch(resumable::patch, resumable::patch_operation())
                .delete(resumable::cancel, resumable::cancel_operation())
                .options(resumable::abilities, resumable::abilities_operation()),
        )
        .add(
            resource("/api/v1/uploads/{session_id}/complete")
                .post(uploads::complete::complete, uploads::complete::operation()),
        )
        .merge(crate::tus::routes())
        .merge(crate::oauth::routes())
        .add(
            resource("/api/v1/transfers")
                .post(transfers::request::request, transfers::request::operation())
                .get(transfers::list::list, transfers::list::operation()),
        )
        .add(resource("/api/v1/transfers/{transfer_id}").get(transfers::get, transfers::get_operation()))
        .add(resource("/api/v1/transfers/{transfer_id}/status").get(transfers::get, transfers::status_operation()))
        .add(resource("/api/v1/transfers/{transfer_id}/cancel").post(transfers::cancel, transfers::cancel_operation()))
        .add(resource("/api/v1/transfers/{transfer_id}/retry").post(transfers::retry, transfers::retry_operation()))
        .merge(routes::admin::routes())
        .add(
            resource("/api/v1/logins/{username}/totp")
                .post(totp::begin, totp::begin_operation())
                .delete(totp::remove, totp::remove_operation()),
        )
        .add(resource("/api/v1/logins/{username}/totp/confirm").post(totp::confirm, totp::confirm_operation()))
        .add(
            resource("/api/v1/api-keys")
                .get(api_keys::list, api_keys::list_operation())
                .post(api_keys::make::make, api_keys::make::make_operation()),
        )
        .add(
            resource("/api/v1/api-keys/{key_id}")
                .get(api_keys::get, api_keys::get_operation())
                .patch(api_keys::change::change, api_keys::change::operation())
                .delete(api_keys::revoke, api_keys::revoke_operation()),
        )
        .add(
            resource("/api/v1/api-keys/{key_id}/rotate")
                .post(api_keys::make::rotate, api_keys::make::rotate_operation()),
        )
        .add(resource("/api/v1/events").get(events::events, events::operation()))
        .add(resource("/api/v1/events/stream").get(events::stream::stream, events::stream::operation()))
        .merge(routes::webhooks::routes())
        .add(resource("/api/v1/audit").get(audit::entries, audit::entries_operation()))
        .add(resource("/api/v1/audit/verify").get(audit::verify, audit::verify_operation()))
        .add(resource("/api/v1/sessions").get(sessions::list, sessions::list_operation()))
        .add(resource("/api/v1/sessions/{id}").delete(sessions::end, sessions::end_operation()))
        .merge(openapi::routes())
}

fn router(routes: Routes, shared: Arc<Shared>, cors: Option<CorsLayer>, requests: Arc<Requests>) -> Router {
    let routes = routes
        .into_router()
        .fallback(|| async { Problem::http(HttpFault::NoRoute) })
        .method_not_allowed_fallback(|| async { Problem::http(HttpFault::Method) })
        .layer(from_fn_with_state(shared.clone(), signatures::check))
        .layer(from_fn_with_state(shared.clone(), leaks::refuse))
        .layer(from_fn_with_state(shared.clone(), by_address));
    let routes = match cors {
        Some(layer) => routes.layer(from_fn_with_state(layer, cors::share)),
        None => routes,
    };
    routes
        .layer(CatchPanicLayer::custom(caught))
        .layer(from_fn_with_state(shared.clone(), traces::follow))
        // Outermost, so that whatever answers is counted.
        .layer(from_fn_with_state(requests, requests::count))
        .with_state(shared)
}
