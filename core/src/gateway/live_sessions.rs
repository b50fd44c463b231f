//! The live sessions of all nodes: looked up, and ended by an administrator. Those of this process are in its memory; of the
//! others' the ledger tells (`crate::jobs`, "sessions"), which is where their end is asked for.

use std::collections::HashMap;

use uuid::Uuid;

use super::inner::{Inner, held};
use crate::audit::canonical::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::identity::{EndReason, Protocol, Scope, Session};
use crate::ports::{Durability, Reach};
use crate::records::{Micros, SessionRow, SessionSearch, now};

/// Which live sessions are looked for.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Of this tenant; none: of the caller's own. Another one's needs `admin:gateway`.
    pub tenant: Option<String>,
    /// Only those that came by this protocol.
    pub protocol: Option<Protocol>,
    /// Only those of this identity.
    pub identity: Option<String>,
    /// Only those of this login or API key.
    pub login: Option<String>,
    /// Only those with ids below this one.
    pub before: Option<Uuid>,
}

/// A session that is live, or an API request that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Its id, which its events have, too.
    pub id: Uuid,
    /// The tenant's id.
    pub tenant: String,
    /// The identity's id.
    pub identity: String,
    /// The login or API key id.
    pub login: String,
    /// The protocol that it came by.
    pub protocol: String,
    /// The client's address.
    pub client_ip: String,
    /// The client's software.
    pub client_version: Option<String>,
    /// How it was authenticated.
    pub auth_method: String,
    /// The node that has it.
    pub node: String,
    /// When it began.
    pub started_at: Micros,
    /// Bytes of content that came and went; only of this node's own.
    pub moved: Option<(u64, u64)>,
    /// What it is at, where it moves content; only of this node's own.
    pub operation: Option<Operation>,
}

/// A page of live sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The newest first.
    pub sessions: Vec<LiveSession>,
    /// The `before` of the next page; none: this was the last one.
    pub next: Option<Uuid>,
}

impl LiveSession {
    fn of_row(row: SessionRow) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant,
            identity: row.identity,
            login: row.login,
            protocol: row.protocol,
            client_ip: row.client_ip,
            client_version: row.client_version,
            auth_method: row.auth_method,
            node: row.node,
            started_at: row.started_at,
            moved: None,
            operation: None,
        }
    }

    /// What is put on record of it where it is ended.
    fn told(&self) -> Value {
        Value::Object(vec![
            ("identity", self.identity.as_str().into()),
            ("login", self.login.as_str().into()),
            ("protocol", self.protocol.as_str().into()),
            ("client_ip", self.client_ip.as_str().into()),
            ("node", self.node.as_str().into()),
        ])
    }
}

impl Inner {
    /// What the others are told of a session.
    pub(crate) fn session_row(&self, session: &Session) -> SessionRow {
        SessionRow {
            id: session.id,
            tenant: session.tenant.id.to_string(),
            identity: session.identity.id.to_string(),
            login: session.login.to_string(),
            protocol: session.protocol.as_str().to_owned(),
            client_ip: session.client_ip.to_string(),
            client_version: session.client_version.as_deref().map(|version| version.replace('\0', "\u{fffd}")),
            auth_method: session.auth_method.as_str().to_owned(),
            node: self.settings.node.clone(),
            incarnation: self.incarnation,
            started_at: session.life.started_at,
            end_asked: None,
        }
    }

    fn own_session(&self, session: &Session, operation: Option<Operation>) -> LiveSession {
        let moved = Some(session.life.moved());
        LiveSession { moved, operation, ..LiveSession::of_row(self.session_row(session)) }
    }

    /// What the sessions of this process that move content are at.
    fn under_way(&self) -> HashMap<Uuid, Operation> {
        let mut at = HashMap::new();
        let downloads: Vec<_> = held(&self.downloads).values().filter_map(std::sync::Weak::upgrade).collect();
        at.extend(downloads.iter().map(|core| (core.session().id, Operation::Download)));
        let uploads: Vec<_> = held(&self.uploads).values().filter_map(std::sync::Weak::upgrade).collect();
        at.extend(uploads.iter().map(|core| (core.session.id, Operation::Upload)));
        at
    }

    /// `admin`, or `admin:gateway`, which reaches other tenants too. A refusal is on record.
    async fn require_admin(&self, session: &Session, tenant: Option<&str>) -> Result<()> {
        let gateway = session.scopes.has(Scope::AdminGateway);
        let own = tenant.is_none_or(|tenant| *tenant == *session.tenant.id);
        let allowed = gateway || (own && session.scopes.has(Scope::Admin));
        if allowed {
            return Ok(());
        }
        let needed = if own { Scope::Admin } else { Scope::AdminGateway };
        let error = Error::new(
            ErrorKind::PermissionDenied,
            format!("permission denied: this needs the scope `{}`", needed.as_str()),
        );
        self.put_failure(self.facts(session, Operation::Admin), &error).await;
        Err(error)
    }

    /// See [`super::Gateway::sessions`].
    pub(crate) async fn sessions(&self, caller: &Session, filter: &SessionFilter, limit: u32) -> Result<SessionPage> {
        self.require_admin(caller, filter.tenant.as_deref()).await?;
        let tenant = filter.tenant.clone().unwrap_or_else(|| caller.tenant.id.to_string());
        let wanted = |session: &Session| {
            *session.tenant.id == *tenant
                && filter.before.is_none_or(|before| session.id < before)
                && filter.protocol.is_none_or(|protocol| session.protocol == protocol)
                && filter.identity.as_deref().is_none_or(|identity| *session.identity.id == *identity)
                && filter.login.as_deref().is_none_or(|login| *session.login == *login)
        };
        let at = self.under_way();
        let own = self.live.all();
        let own = own.iter().filter(|session| wanted(session));
        let mut found: Vec<LiveSession> =
            own.map(|session| self.own_session(session, at.get(&session.id).copied())).collect();
        // A text with NUL is nobody's, and PostgreSQL takes none.
        let named = [Some(&tenant), filter.identity.as_ref(), filter.login.as_ref()];
        if !self.settings.sole_owner && !named.into_iter().flatten().any(|text| text.contains('\0')) {
            let search = SessionSearch {
                tenant,
                before: filter.before,
                besides: self.incarnation,
                protocol: filter.protocol.map(|protocol| protocol.as_str().to_owned()),
                identity: filter.identity.clone(),
                login: filter.login.clone(),
            };
            let rows =
                self.ledger.read(Reach::of(&search.tenant)).await?.sessions(&search, limit.saturating_add(1)).await?;
            found.extend(rows.into_iter().map(LiveSession::of_row));
        }
        found.sort_unstable_by_key(|session| std::cmp::Reverse(session.id));
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|last| last.id);
        Ok(SessionPage { sessions: found, next })
    }

    /// See [`super::Gateway::end_session`].
    pub(crate) async fn end_session(&self, caller: &Session, id: Uuid) -> Result<()> {
        self.require_admin(caller, None).await?;
        let gateway = caller.scopes.has(Scope::AdminGateway);
        let unknown = || Error::new(ErrorKind::NotFound, "no such session; it may have ended by itself");
        if let Some(session) = self.live.get(id) {
            if !gateway && session.tenant.id != caller.tenant.id {
                return Err(unknown());
            }
            // On record first: what cannot be put there is not done.
            let facts = self.facts_of_end(caller, &self.own_session(&session, None));
            self.put(Durability::Disk, facts.audit(), vec![facts.event("admin.changed")]).await?;
            session.life.end(EndReason::Admin);
            return Ok(());
        }
        if self.settings.sole_owner {
            return Err(unknown());
        }
        let tenant = (!gateway).then(|| caller.tenant.id.to_string());
        let facts = self.facts(caller, Operation::Admin);
        let reach = if gateway { Reach::Gateway } else { caller.reach() };
        let asked = self
            .write(reach, Durability::Disk, move |tx| {
                let (tenant, facts) = (tenant.clone(), facts.clone());
                Box::pin(async move {
                    let row = tx.ask_session_end(id, tenant.as_deref(), now()).await?;
                    let Some(row) = row else { return Ok(false) };
                    let facts = of_end(facts, &LiveSession::of_row(row));
                    tx.append_audit(&facts.audit()).await?;
                    tx.append_events(&[facts.event("admin.changed")]).await?;
                    Ok(true)
                })
            })
            .await?;
        if asked { Ok(()) } else { Err(unknown()) }
    }

    fn facts_of_end(&self, caller: &Session, ended: &LiveSession) -> Facts {
        of_end(self.facts(caller, Operation::Admin), ended)
    }
}

/// The facts of an administrator's ending a session.
fn of_end(mut facts: Facts, ended: &LiveSession) -> Facts {
    facts.details = vec![
        ("object_kind", "session".into()),
        ("object_id", ended.id.to_string().into()),
        ("object_tenant", ended.tenant.as_str().into()),
        ("change", "ended".into()),
        ("before", ended.told()),
        ("after", Value::Null),
    ];
    facts
}
