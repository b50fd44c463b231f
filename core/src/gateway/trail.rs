//! Reading the trail: events and audit entries of the own tenant.

use uuid::Uuid;

use super::access::place_of;
use super::inner::Inner;
use crate::audit::{Verification, verify_chain};
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
        let mut query = self.ledger.read().await?;
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
            out.extend(page.into_iter().filter(|stored| shows(session, stored)));
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
        self.ledger.read().await?.audit(&session.tenant.id, filter, limit).await
    }

    /// See [`super::Gateway::verify_audit`].
    pub(crate) async fn verify_audit(&self, session: &Session) -> Result<Verification> {
        policy::require_scope(session, Scope::AuditRead)?;
        verify_chain(&*self.ledger, &session.tenant.id).await
    }
}

/// Whether an event lies in the caller's view. Who manages the tenant sees all of its events; they hold no content.
fn shows(session: &Session, stored: &StoredEvent) -> bool {
    let Some(path) = &stored.event.path else { return true };
    session.scopes.has(Scope::Admin) || VirtualPath::parse(path).is_ok_and(|path| place_of(session, &path).is_some())
}
