//! Administration: `/identities`, `/logins`, `/mappings`, `/tenants`. One set of handlers for all kinds of objects; what a kind
//! looks like in JSON is in its own file. `If-Match` is required of a change (RFC 6585 section 3), so that of two administrators
//! who change the same object one is told.

pub mod config;
pub mod identities;
pub mod logins;
pub mod mappings;
pub mod tenants;
mod told;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::Error;
use causeway_core::admin::{Administered, ManagedBy, Refusal, Spec};
use causeway_core::events::timestamp;
use causeway_core::identity::spec::{IdentitySpec, LimitsSpec, LoginSpec, MappingSpec, TenantSpec, UploadsSpec};
use causeway_core::identity::texts as spelled;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{cursor_of, cursor_text, header_value};
use crate::auth::Caller;
use crate::conditions::Conditions;
use crate::json::json as answer;
use crate::members::Members;
use crate::openapi::{Parameter, Routes, parameters, resource, schemas};
use crate::problem::{HttpFault, Problem};
use crate::query::{Query, percent_encode};
use crate::router::Shared;

pub use told::{Told, answered, asked, example, members, page_of};

/// Whose objects they are.
pub const TENANT: Parameter = Parameter::query(
    "tenant",
    "Whose objects these are, where that is not the caller's own tenant: for `admin:gateway` alone.",
    schemas::slug,
    "acme",
);
/// The parameters of a list.
const LIST: [Parameter; 3] = [parameters::LIMIT, parameters::CURSOR, TENANT];
/// The parameters of everything else.
pub const ONE: [Parameter; 1] = [TENANT];

/// Whose objects a request is about, by its query, which has nothing else; none: those of the caller's own tenant.
pub struct OfTenant(Option<String>);

impl OfTenant {
    /// The tenant's id, where one is named.
    pub fn id(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The address of an object: with the same query.
    pub fn address(&self, of: String) -> Option<HeaderValue> {
        let tenant = self.id().map(|tenant| format!("?tenant={}", percent_encode(tenant))).unwrap_or_default();
        header_value(&format!("{of}{tenant}"))
    }
}

impl<S: Sync> FromRequestParts<S> for OfTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query(), &ONE)?;
        Ok(Self(query.text("tenant")?.map(str::to_owned)))
    }
}

/// Members that are shown and cannot be set: sent back, they are passed over.
const SHOWN: [&str; 5] = ["tenant_id", "managed_by", "etag", "created_at", "changed_at"];

/// An object that a body declares.
pub struct Draft<K> {
    /// Its id, where the body names one.
    pub id: Option<String>,
    /// How it is declared.
    pub spec: K,
    /// A password in clear, to be hashed.
    pub password: Option<SecretString>,
}

/// What a kind of object is in JSON.
pub trait Kind: Spec {
    /// Where its objects are.
    const ROUTE: &'static str;
    /// The member of a page that holds them.
    const ITEMS: &'static str;
    /// The member that names one.
    const ID: &'static str;

    /// Reads what a body declares, all its faults noted. `before`: what is there; of what is never shown it keeps what is not sent.
    fn read(members: &mut Members, before: Option<&Self>) -> Draft<Self>;

    /// The members that it has, without its secrets.
    fn show(&self) -> Map<String, Value>;

    /// With the hash of a password.
    fn with_password(self, _hash: SecretString) -> Self {
        self
    }
}

/// An object as the contract writes it.
fn object<K: Kind>(one: &Administered<K>) -> Value {
    let mut out = Map::new();
    out.insert(K::ID.to_owned(), one.key.id.clone().into());
    out.insert("tenant_id".into(), one.key.tenant.clone().into());
    out.insert("managed_by".into(), one.managed_by.as_str().into());
    out.insert("etag".into(), tag(one).into());
    out.insert("created_at".into(), one.created_at.map(timestamp).into());
    out.insert("changed_at".into(), one.changed_at.map(timestamp).into());
    if let Some(why) = &one.left_out {
        out.insert("left_out".into(), why.clone().into());
    }
    out.extend(one.spec.as_ref().map(K::show).unwrap_or_default());
    out.into()
}

fn tag<K>(one: &Administered<K>) -> String {
    format!("\"{}\"", one.tag)
}

fn shown<K: Kind>(status: StatusCode, one: &Administered<K>) -> Response {
    let mut response = answer(status, &object(one));
    if let Some(tag) = header_value(&tag(one)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Texts of a list, or a fault.
pub fn texts(members: &mut Members, name: &str) -> Option<Vec<String>> {
    members.read_as(name, "this is a list of strings", |value| {
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    })
}

/// A number of bytes, or a fault.
pub fn bytes(members: &mut Members, name: &str) -> Option<u64> {
    members.read_as(name, "this is a whole number of bytes, or null for no limit", Members::whole)
}

/// Text that may be null, or a fault.
pub fn maybe(members: &mut Members, name: &str) -> Option<String> {
    members.read_as(name, "this is a string", |value| value.as_str().map(str::to_owned))
}

/// For how long what a rotation replaces still counts, or a fault.
pub fn grace_of(members: &mut Members) -> Option<Duration> {
    let lengths = "this is a length of time such as \"24h\" or \"7d\", at most \"30d\"; \"0s\": not at all";
    members.read_as("grace", lengths, |value| spelled::duration_or_zero(value.as_str()?).ok())
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let error = refusal.error();
        let named = |fault| Self::http(fault).saying(error.message().to_owned());
        match refusal {
            Refusal::Wrong(faults) => {
                let sentence = error.message().to_owned();
                faults
                    .into_iter()
                    .fold(Self::from(error), |problem, fault| problem.saying(fault.detail).at(&fault.field))
                    .saying(sentence)
            }
            Refusal::Declared => named(HttpFault::Declared),
            Refusal::InUse(users) => {
                named(HttpFault::InUse).used_by(users.into_iter().map(|key| (key.kind, key.id)).collect())
            }
            Refusal::HasFiles => named(HttpFault::TenantNotEmpty),
            Refusal::LastAdmin => named(HttpFault::LastAdmin),
            Refusal::Taken | Refusal::Failed(_) => error.into(),
        }
    }
}

/// Which version a change is meant for, by `If-Match`; none: one that nothing here has. `all`: those of this name.
fn expected<K>(headers: &HeaderMap, all: &[Administered<K>]) -> Result<Option<i64>, Problem> {
    if all.is_empty() {
        return Err(Error::not_found().into());
    }
    match Conditions::of(headers)?.if_match {
        // Nothing that is sent would make it possible.
        None if all.iter().all(|one| one.managed_by == ManagedBy::Config) => Ok(None),
        None => Err(Problem::http(HttpFault::PreconditionRequired)),
        Some(tags) => Ok(all.iter().find(|one| tags.name(&one.tag)).and_then(|one| one.version)),
    }
}

fn id_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|_| Error::not_found().into())
}

/// Those of this name: at most one of the configuration and one of the API.
async fn named<K: Kind>(
    shared: &Shared,
    caller: &Caller,
    tenant: Option<&str>,
    id: &str,
) -> Result<Vec<Administered<K>>, Problem> {
    let mut all = shared.gateway.administered::<K>(&caller.session, tenant).await?;
    all.retain(|one| one.key.id == id);
    if all.is_empty() { Err(Error::not_found().into()) } else { Ok(all) }
}

async fn finished<K: Kind>(shared: &Shared, draft: Draft<K>) -> Result<K, Problem> {
    match draft.password {
        None => Ok(draft.spec),
        Some(password) => Ok(draft.spec.with_password(shared.gateway.hash_password(password).await?)),
    }
}

pub async fn list<K: Kind>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &LIST)?;
    let limit = query.limit()? as usize;
    let all = shared.gateway.administered::<K>(&caller.session, query.text("tenant")?).await?;
    let after = query.text("cursor")?.map(cursor_text).transpose()?;
    let place = |one: &Administered<K>| format!("{}\u{0}{}", one.key.id, one.managed_by.as_str());
    // Not what is smaller: of two with one id the configuration's comes first.
    let begin = match &after {
        None => 0,
        Some(after) => {
            let id = after.split('\u{0}').next().unwrap_or_default();
            all.iter()
                .position(|one| place(one) == *after)
                .map_or_else(|| all.iter().position(|one| *one.key.id > *id).unwrap_or(all.len()), |there| there + 1)
        }
    };
    let page: Vec<&Administered<K>> = all.iter().skip(begin).take(limit).collect();
    let more = all.len() > begin + page.len();
    let next = page.last().filter(|_| more).map(|last| cursor_of(&place(last)));
    let items: Vec<Value> = page.into_iter().map(object).collect();
    Ok(answer(StatusCode::OK, &json!({ K::ITEMS: items, "next_cursor": next })))
}

pub async fn get<K: Kind>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let id = id_of(path)?;
    let one = shared.gateway.administered_one::<K>(&caller.session, of.id(), &id).await?;
    Ok(shown(StatusCode::OK, &one))
}

pub async fn make<K: Kind>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = of.id();
    // Before its body is read: who may not is told that alone.
    shared.gateway.administered::<K>(&caller.session, tenant).await?;
    let (_, mut members) = Members::of(&shared, request).await?;
    let draft = K::read(&mut members, None);
    for name in SHOWN {
        members.take(name);
    }
    members.finish()?;
    let id = draft.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let spec = finished(&shared, draft).await?;
    let made = shared.gateway.make_object(&caller.session, tenant, &id, spec).await?;
    let mut response = shown(StatusCode::CREATED, &made);
    let address = format!("{}{}/{}", shared.config.public_url, K::ROUTE, percent_encode(&made.key.id));
    if let Some(location) = of.address(address) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub async fn replace<K: Kind>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(path)?);
    let all = named::<K>(&shared, &caller, tenant, &id).await?;
    let version = expected(request.headers(), &all)?;
    let (_, mut members) = Members::of(&shared, request).await?;
    let before = all.iter().find(|one| one.managed_by == ManagedBy::Api).and_then(|one| one.spec.as_ref());
    let draft = K::read(&mut members, before);
    for name in SHOWN {
        members.take(name);
    }
    if draft.id.as_ref().is_some_and(|named| *named != id) {
        members.miss(K::ID, "this is another one than that of the request's path; an object keeps its name");
    }
    members.finish()?;
    let spec = finished(&shared, draft).await?;
    let made = shared.gateway.replace_object(&caller.session, tenant, &id, version, spec).await?;
    Ok(shown(StatusCode::OK, &made))
}

pub async fn remove<K: Kind>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    of: OfTenant,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(path)?);
    let all = named::<K>(&shared, &caller, tenant, &id).await?;
    let version = expected(&headers, &all)?;
    shared.gateway.remove_object::<K>(&caller.session, tenant, &id, version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The paths of one kind.
macro_rules! kind {
    ($routes:expr, $module:ident, $spec:ty, $path:literal, $one:literal) => {
        $routes
            .add(
                resource($path)
                    .get(list::<$spec>, $module::list_operation())
                    .post(make::<$spec>, $module::make_operation()),
            )
            .add(
                resource($one)
                    .get(get::<$spec>, $module::get_operation())
                    .put(replace::<$spec>, $module::replace_operation())
                    .delete(remove::<$spec>, $module::remove_operation()),
            )
    };
}

/// Every route of administration.
pub fn routes() -> Routes {
    let routes = Routes::new();
    let routes = kind!(routes, tenants, TenantSpec, "/api/v1/tenants", "/api/v1/tenants/{id}");
    let routes = kind!(routes, identities, IdentitySpec, "/api/v1/identities", "/api/v1/identities/{id}");
    let routes = kind!(routes, logins, LoginSpec, "/api/v1/logins", "/api/v1/logins/{username}");
    kind!(routes, mappings, MappingSpec, "/api/v1/mappings", "/api/v1/mappings/{id}")
        .add(resource("/api/v1/usage").get(usage::usage, usage::operation()))
        .add(resource("/api/v1/config").get(config::whole, config::whole_operation()))
        .add(
            resource("/api/v1/config/limits")
                .get(config::get::<LimitsSpec>, config::get_limits_operation())
                .put(config::put::<LimitsSpec>, config::put_limits_operation())
                .delete(config::reset::<LimitsSpec>, config::reset_limits_operation()),
        )
        .add(
            resource("/api/v1/config/uploads")
                .get(config::get::<UploadsSpec>, config::get_uploads_operation())
                .put(config::put::<UploadsSpec>, config::put_uploads_operation())
                .delete(config::reset::<UploadsSpec>, config::reset_uploads_operation()),
        )
}
