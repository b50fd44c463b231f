//! Reading the trail: events and audit entries of the own tenant.

use serde_json::Value;
use tokio::task::yield_now;
use uuid::Uuid;

use super::access::place_of;
use super::inner::Inner;
use crate::audit::Verification;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{EventFilter, Operation};
use crate::identity::{Scope, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::Query;
use crate::records::{AuditFilter, AuditRow, StoredEvent};

/// Events that are looked through at a time for those that a view shows.
const PAGE: u32 = 500;

impl Inner {
    /// Whoever may not read the trail has tried to, and that is in it.
    pub(super) async fn require_reading(&self, session: &Session, scope: Scope) -> Result<()> {
        let allowed = policy::require_scope(session, scope);
        if let Err(error) = &allowed {
            self.put_failure(self.facts(session, Operation::Admin), error).await;
        }
        allowed
    }

    /// See [`super::Gateway::events`].
    pub(crate) async fn events(
        &self,
        session: &Session,
        after: Option<Uuid>,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<StoredEvent>> {
        self.require_reading(session, Scope::EventsRead).await?;
        let mut query = self.ledger.read(session.reach()).await?;
        let mut position = position_after(&mut *query, after.unwrap_or_default()).await?;
        let mut out = Vec::new();
        while out.len() < limit as usize {
            let page = query.events(&session.tenant.id, position, &filter.kinds, PAGE).await?;
            let Some(last) = page.last() else { break };
            position = last.position;
            let full = page.len() == PAGE as usize;
            for stored in page.into_iter().filter(|stored| filter.reaches(&stored.event)) {
                out.extend(shown(session, stored)?);
            }
            if !full {
                break;
            }
            // A search that goes on for long shares its connection and its thread with others, and ends when nobody waits for it any more.
            drop(query);
            yield_now().await;
            query = self.ledger.read(session.reach()).await?;
        }
        out.truncate(limit as usize);
        Ok(out)
    }

    /// See [`super::Gateway::audit`].
    pub(crate) async fn audit(&self, session: &Session, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
        self.require_reading(session, Scope::AuditRead).await?;
        self.ledger.read(session.reach()).await?.audit(&session.tenant.id, filter, limit).await
    }

    /// See [`super::Gateway::verify_audit`].
    pub(crate) async fn verify_audit(&self, session: &Session) -> Result<Verification> {
        self.require_reading(session, Scope::AuditRead).await?;
        let found = self.heads.verify(&*self.ledger, &session.tenant.id).await;
        self.metrics.verification(found.as_ref().ok().map(|found| found.valid));
        found
    }
}

/// The position of an event, by its id; before the first event stands the id that is nothing but zeros.
pub(super) async fn position_after(query: &mut dyn Query, id: Uuid) -> Result<i64> {
    if id.is_nil() {
        return Ok(0);
    }
    query.event_position(id).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "no event of this id is known here; begin anew without one, or at the first event with an id of zeros alone",
        )
    })
}

/// An event as a caller may see it, if at all. Who manages the tenant sees all of its events; they hold no content. Others
/// see what lies in their view, and of what is about no file their own, or all of it where they may read the audit trail;
/// where a file came from is left out when that is none of their business.
pub(super) fn shown(session: &Session, mut stored: StoredEvent) -> Result<Option<StoredEvent>> {
    if session.scopes.allows(Scope::Admin) {
        return Ok(Some(stored));
    }
    let reaches = |path: &str| VirtualPath::parse(path).is_ok_and(|path| place_of(session, &path).is_some());
    if stored.event.path.as_deref().is_some_and(|path| !reaches(path)) {
        return Ok(None);
    }
    let mut body: Value = serde_json::from_str(&stored.event.body)
        .map_err(|error| Error::internal(format_args!("the body of event {}: {error}", stored.event.id)))?;
    let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) else { return Ok(None) };
    if stored.event.path.is_none() {
        let own = data.get("identity").and_then(Value::as_str) == Some(&*session.identity.id);
        return Ok((own || session.scopes.allows(Scope::AuditRead)).then_some(stored));
    }
    let hidden = data.get("previous_path").and_then(Value::as_str).is_some_and(|previous| !reaches(previous));
    if hidden {
        data.insert("previous_path".to_owned(), Value::Null);
        data.insert("view_path".to_owned(), Value::Null);
        stored.event.body = body.to_string();
    }
    Ok(Some(stored))
}
