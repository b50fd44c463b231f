//! What an administrator may not do, whatever he may otherwise.

use super::{Refusal, Spec};
use crate::error::{Error, ErrorKind};
use crate::identity::{Directory, Scope, Session};
use crate::records::{ObjectKey, ObjectKind, StoredObject};

/// Objects of one kind that a tenant may have: each node keeps all of them in memory.
const MAX_OBJECTS: usize = 10_000;
/// The same of mapping rules, which a name that is no login's is compared with one after the other.
const MAX_MAPPINGS: usize = 200;
/// The same of webhooks, each of which has a dispatcher of its own.
const MAX_WEBHOOKS: usize = 100;

/// Refuses to touch, without `admin:gateway`, what has that scope or leads to an identity that has it: who could change that
/// identity, or make himself a way to become it, would have the scope.
pub(super) fn scopes<S: Spec>(
    session: &Session,
    directory: &Directory,
    key: &ObjectKey,
    spec: Option<&S>,
) -> Result<(), Refusal> {
    if session.scopes.allows(Scope::AdminGateway) {
        return Ok(());
    }
    let identity = match S::KIND {
        ObjectKind::Identity => Some(&*key.id),
        ObjectKind::Tenant
        | ObjectKind::Login
        | ObjectKind::Mapping
        | ObjectKind::ApiKey
        | ObjectKind::Webhook
        | ObjectKind::Setting => spec.and_then(S::identity),
    };
    let has = identity.and_then(|id| directory.identity(&key.tenant, id)).map(|identity| identity.scopes);
    let gives = spec.map(S::scopes);
    if has.into_iter().chain(gives).any(|scopes| scopes.has(Scope::AdminGateway)) {
        return Err(Refusal::Failed(Error::new(
            ErrorKind::PermissionDenied,
            "permission denied: what has the scope `admin:gateway` is managed by who has it, too",
        )));
    }
    Ok(())
}

/// Refuses more objects than a tenant may have.
pub(super) fn room(directory: &Directory, key: &ObjectKey) -> Result<(), Refusal> {
    let of_this = |object: &&StoredObject| object.key.tenant == key.tenant && object.key.kind == key.kind;
    let most = match ObjectKind::parse(&key.kind) {
        Some(ObjectKind::Mapping) => MAX_MAPPINGS,
        Some(ObjectKind::Webhook) => MAX_WEBHOOKS,
        Some(
            ObjectKind::Tenant | ObjectKind::Identity | ObjectKind::Login | ObjectKind::ApiKey | ObjectKind::Setting,
        )
        | None => MAX_OBJECTS,
    };
    if directory.objects().iter().filter(of_this).count() < most {
        return Ok(());
    }
    let sentence = format!("a tenant has at most {most} of these; remove some first");
    Err(Refusal::Failed(Error::new(ErrorKind::QuotaExceeded, sentence)))
}

/// Looks at what a change would make of everybody: whether others would not count any more, and whether the administrators of the
/// own tenant could still come in.
pub(super) fn consequences(
    session: &Session,
    now: &Directory,
    next: &Directory,
    key: &ObjectKey,
) -> Result<(), Refusal> {
    let lost: Vec<ObjectKey> = next
        .left_out()
        .iter()
        .filter(|left| left.key != *key && now.why_left_out(&left.key).is_none())
        .map(|left| left.key.clone())
        .collect();
    if !lost.is_empty() {
        return Err(Refusal::InUse(lost));
    }
    let own = *session.tenant.id == *key.tenant && !session.scopes.allows(Scope::AdminGateway);
    if own && now.lets_in_an_admin(&key.tenant) && !next.lets_in_an_admin(&key.tenant) {
        return Err(Refusal::LastAdmin);
    }
    Ok(())
}
