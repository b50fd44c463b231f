//! Reading the trail: events and audit entries of the own tenant.

use serde_json::Value;
use uuid::Uuid;

use super::access::place_of;
use super::inner::Inner;
use crate::audit::Verification;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Scope, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::records::{AuditFilter, AuditRow, StoredEvent};

/// Events that are looked through at a time for those that a view shows.
const PAGE: u32 = 500;

impl Inner {
    /// See [`super::Gateway::events`].
    pub(crate) async fn events(
        &self,
        session: &Session,
        after: Option<Uuid>,
        kinds: &[String],
        limit: u32,
    ) -> Result<Vec<StoredEvent>> {
        policy::require_scope(session, Scope::EventsRead)?;
        let mut query = self.ledger.read(session.reach()).await?;
        let mut position = match after {
            None => 0,
            Some(id) => query.event_position(id).await?.ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    "`after` is not the id of an event; leave it out to begin at the first",
                )
            })?,
        };
        let mut out = Vec::new();
        while out.len() < limit as usize {
            let page = query.events(&session.tenant.id, position, kinds, PAGE).await?;
            let Some(last) = page.last() else { break };
            position = last.position;
            let full = page.len() == PAGE as usize;
            for stored in page {
                out.extend(shown(session, stored)?);
            }
            if !full {
                break;
            }
        }
        out.truncate(limit as usize);
        Ok(out)
    }

    /// See [`super::Gateway::audit`].
    pub(crate) async fn audit(&self, session: &Session, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
        policy::require_scope(session, Scope::AuditRead)?;
        self.ledger.read(session.reach()).await?.audit(&session.tenant.id, filter, limit).await
    }

    /// See [`super::Gateway::verify_audit`].
    pub(crate) async fn verify_audit(&self, session: &Session) -> Result<Verification> {
        policy::require_scope(session, Scope::AuditRead)?;
        self.heads.verify(&*self.ledger, &session.tenant.id).await
    }
}

/// An event as a caller may see it, if at all. Who manages the tenant sees all of its events; they hold no content. Others
/// see what lies in their view, and of what is about no file their own, or all of it where they may read the audit trail;
/// where a file came from is left out when that is none of their business.
fn shown(session: &Session, mut stored: StoredEvent) -> Result<Option<StoredEvent>> {
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
