//! A ledger in memory, for the tests of the jobs: audit entries, events, deliveries and leases, and nothing else. A failed
//! transaction leaves nothing behind.

mod tx;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::ports::{Durability, Ledger, Lock, Query, Reach, Tx, TxOp};
use crate::records::{
    AuditFilter, AuditHead, AuditRecord, AuditRow, Backlog, BlobId, BlobRow, Delivery, DeliveryState, EventRecord,
    Grant, HeadKind, Incarnation, IssuerKeys, ItemState, Job, JobItem, KeyUse, Micros, Node, ObjectKey, RefreshToken,
    RevokedGrant, Seal, SessionRow, SessionSearch, SignIn, SigningKeyRow, StoredEvent, StoredObject, UploadRow,
    UploadState, WebhookHealth,
};

/// What is in the ledger.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub entries: Vec<AuditRecord>,
    pub waiting: Vec<Uuid>,
    pub seals: Vec<Seal>,
    pub heads: Vec<AuditHead>,
    pub lost_guards: Vec<String>,
    pub places: BTreeMap<(String, String), i64>,
    pub events: Vec<EventRecord>,
    pub positions: Vec<(Uuid, i64)>,
    pub deliveries: Vec<Delivery>,
    pub health: BTreeMap<String, WebhookHealth>,
    pub leases: HashMap<String, (Uuid, Micros)>,
    pub objects: BTreeMap<ObjectKey, StoredObject>,
    pub generation: i64,
    pub signing_keys: Vec<SigningKeyRow>,
    pub revoked: Vec<RevokedGrant>,
    pub issuer_keys: HashMap<String, IssuerKeys>,
}

/// The ledger.
#[derive(Default)]
pub(crate) struct FakeLedger {
    state: Mutex<State>,
    /// One transaction at a time; none while a test holds this.
    pub writer: tokio::sync::Mutex<()>,
    /// Whether it does not answer at all.
    away: AtomicBool,
    /// How many of the next transactions fail.
    pub failures: Mutex<u32>,
}

impl FakeLedger {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// Takes it away, or brings it back.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn is_there(&self) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the ledger is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn write(&self, _: Reach, _: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        self.is_there()?;
        let _writer = self.writer.lock().await;
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(Error::new(ErrorKind::Unavailable, "the ledger is away"));
            }
        }
        let mut state = self.look(|state| state.clone());
        op.run(&mut state).await?;
        self.look(|now| *now = state);
        Ok(())
    }

    async fn read(&self, _: Reach) -> Result<Box<dyn Query>> {
        self.is_there()?;
        Ok(Box::new(self.look(|state| state.clone())))
    }

    fn has_room(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}
}

fn off<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not in this ledger"))
}

#[async_trait]
impl Query for State {
    async fn file_counts(&mut self, _: &str) -> Result<Vec<(String, u64)>> {
        off()
    }
    async fn key_uses(&mut self, _: &str) -> Result<Vec<KeyUse>> {
        off()
    }
    async fn objects(&mut self) -> Result<Vec<StoredObject>> {
        Ok(self.objects.values().cloned().collect())
    }
    async fn object_generation(&mut self) -> Result<i64> {
        Ok(self.generation)
    }
    async fn sign_in(&mut self, _: &[u8; 32]) -> Result<Option<SignIn>> {
        off()
    }
    async fn grant_of_code(&mut self, _: &str, _: &[u8; 32]) -> Result<Option<Grant>> {
        off()
    }
    async fn grant(&mut self, _: &str, _: Uuid) -> Result<Option<Grant>> {
        off()
    }
    async fn refresh_token(&mut self, _: &str, _: &[u8; 32]) -> Result<Option<RefreshToken>> {
        off()
    }
    async fn live_grants(&mut self, _: Uuid, _: Micros, _: u32) -> Result<Vec<Grant>> {
        off()
    }
    async fn signing_keys(&mut self) -> Result<Vec<SigningKeyRow>> {
        Ok(self.signing_keys.clone())
    }
    async fn revoked_grants(&mut self, since: Micros, now: Micros) -> Result<Vec<RevokedGrant>> {
        Ok(self.revoked.iter().filter(|row| row.revoked_at >= since && row.until > now).copied().collect())
    }
    async fn issuer_keys(&mut self, issuer: &str) -> Result<Option<IssuerKeys>> {
        Ok(self.issuer_keys.get(issuer).cloned())
    }
    async fn job(&mut self, _: Uuid) -> Result<Option<Job>> {
        off()
    }
    async fn jobs(&mut self, _: &str, _: Uuid, _: u32) -> Result<Vec<Job>> {
        off()
    }
    async fn job_items(&mut self, _: Uuid, _: i64, _: Option<ItemState>, _: u32) -> Result<Vec<JobItem>> {
        off()
    }
    async fn backlog(&mut self, _: u32) -> Result<Backlog> {
        Ok(Backlog::default())
    }
    async fn next_job_due(&mut self) -> Result<Option<Micros>> {
        off()
    }
    async fn unfinished_jobs(&mut self, _: (&str, &str), _: u32) -> Result<u64> {
        off()
    }
    async fn known_request(&mut self, _: (&str, &str), _: &str, _: Micros) -> Result<Option<([u8; 32], Uuid)>> {
        off()
    }
    async fn uploads_under_way(&mut self, _: &str, _: Uuid, _: u32) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn transfer_ends(&mut self, _: &str, _: Uuid, _: u32) -> Result<Vec<EventRecord>> {
        off()
    }
    async fn walk(&mut self, _: &str, _: &[&str]) -> Result<Vec<Node>> {
        off()
    }
    async fn node(&mut self, _: Uuid) -> Result<Option<Node>> {
        off()
    }
    async fn ancestry(&mut self, _: Uuid) -> Result<Vec<(Uuid, String)>> {
        off()
    }
    async fn child(&mut self, _: Uuid, _: &str) -> Result<Option<Node>> {
        off()
    }
    async fn children(&mut self, _: Uuid, _: Option<&str>, _: u32) -> Result<Vec<Node>> {
        off()
    }
    async fn has_children(&mut self, _: Uuid) -> Result<bool> {
        off()
    }
    async fn upload(&mut self, _: Uuid) -> Result<Option<UploadRow>> {
        off()
    }
    async fn uploads_named(&mut self, _: Uuid, _: &str) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn uploads_within(&mut self, _: Uuid, _: &str, _: &str) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn uploads_of(&mut self, _: &str, _: &str) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn usage(&mut self, _: &str, _: Option<&str>) -> Result<u64> {
        off()
    }
    async fn events(&mut self, tenant: &str, after: i64, _: &[String], limit: u32) -> Result<Vec<StoredEvent>> {
        self.events_since(tenant, Micros::MIN, after, limit).await
    }
    async fn event_tenants(&mut self) -> Result<Vec<(String, i64)>> {
        let tenant = |id: &Uuid| self.events.iter().find(|e| e.id == *id).map(|e| e.tenant.clone());
        let last = self.positions.iter().filter_map(|(id, position)| Some((tenant(id)?, *position)));
        Ok(last.collect::<BTreeMap<_, _>>().into_iter().collect())
    }
    async fn latest_events(&mut self, _: &str, _: i64, _: u32) -> Result<Vec<StoredEvent>> {
        off()
    }
    async fn event_position(&mut self, _: Uuid) -> Result<Option<i64>> {
        off()
    }
    async fn last_position(&mut self) -> Result<i64> {
        Ok(self.positions.last().map_or(0, |p| p.1))
    }
    async fn audit(&mut self, _: &str, _: &AuditFilter, _: u32) -> Result<Vec<AuditRow>> {
        off()
    }
    async fn chains(&mut self) -> Result<Vec<String>> {
        let chains: BTreeSet<String> = self.seals.iter().map(|seal| seal.chain.clone()).collect();
        Ok(chains.into_iter().collect())
    }
    async fn audit_heads(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<AuditHead>> {
        let of = |head: &&AuditHead| head.kind == HeadKind::Head && head.chain == chain && head.seq > after;
        Ok(self.heads.iter().filter(of).take(limit as usize).cloned().collect())
    }
    async fn lost_guards(&mut self) -> Result<Vec<String>> {
        Ok(self.lost_guards.clone())
    }
    async fn sink_places(&mut self, sink: &str) -> Result<Vec<(String, i64)>> {
        let of = self.places.iter().filter(|((name, _), _)| name == sink);
        Ok(of.map(|((_, chain), seq)| (chain.clone(), *seq)).collect())
    }
    async fn audit_cuts(&mut self, chain: &str) -> Result<Vec<AuditHead>> {
        Ok(self.heads.iter().filter(|head| head.kind == HeadKind::Cut && head.chain == chain).cloned().collect())
    }
    async fn seals(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<(Seal, Option<AuditRecord>)>> {
        Ok(self
            .seals
            .iter()
            .filter(|s| s.chain == chain && s.seq > after)
            .take(limit as usize)
            .map(|s| (s.clone(), self.entries.iter().find(|e| e.id == s.entry).cloned()))
            .collect())
    }
    async fn unsealed_counts(&mut self, chain: &str) -> Result<(u64, u64)> {
        Ok((
            self.waiting.iter().filter(|id| self.entries.iter().any(|e| e.id == **id && e.chain == chain)).count()
                as u64,
            0,
        ))
    }
    async fn pending_deliveries(&mut self, webhook: &str, limit: u32) -> Result<Vec<(Delivery, EventRecord)>> {
        let rows = self.deliveries.iter().filter(|d| d.webhook == webhook && d.state == DeliveryState::Pending);
        Ok(rows
            .take(limit as usize)
            .map(|d| (d.clone(), self.events.iter().find(|e| e.id == d.event).cloned().unwrap()))
            .collect())
    }
    async fn webhook_health(&mut self, webhook: &str) -> Result<Option<WebhookHealth>> {
        Ok(self.health.get(webhook).cloned())
    }
    async fn webhook_healths(&mut self, tenant: Option<&str>) -> Result<Vec<WebhookHealth>> {
        let of = |key: &str| tenant.is_none_or(|tenant| key.starts_with(&format!("{tenant}/")));
        Ok(self.health.values().filter(|health| of(&health.webhook)).cloned().collect())
    }
    async fn deliveries(
        &mut self,
        webhook: &str,
        state: Option<DeliveryState>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<(Delivery, EventRecord)>> {
        let wanted =
            |d: &&Delivery| d.webhook == webhook && d.position < before && state.is_none_or(|state| d.state == state);
        let rows = self.deliveries.iter().rev().filter(wanted).take(limit as usize);
        Ok(rows.map(|d| (d.clone(), self.events.iter().find(|e| e.id == d.event).cloned().unwrap())).collect())
    }
    async fn events_since(&mut self, tenant: &str, since: Micros, after: i64, limit: u32) -> Result<Vec<StoredEvent>> {
        let rows = self.positions.iter().filter(|(_, position)| *position > after).filter_map(|(id, position)| {
            let event = self.events.iter().find(|e| e.id == *id && e.tenant == tenant && e.at >= since)?;
            Some(StoredEvent { position: *position, event: event.clone() })
        });
        Ok(rows.take(limit as usize).collect())
    }
    async fn doomed_blobs(&mut self, _: Micros, _: u32) -> Result<Vec<BlobRow>> {
        off()
    }
    async fn blob(&mut self, _: Uuid) -> Result<Option<BlobRow>> {
        off()
    }
    async fn expired_uploads(&mut self, _: Micros, _: u32) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn uploads_held_by(&mut self, _: Uuid, _: u32) -> Result<Vec<UploadRow>> {
        off()
    }
    async fn incarnations(&mut self) -> Result<Vec<Incarnation>> {
        off()
    }
    async fn sessions(&mut self, _: &SessionSearch, _: u32) -> Result<Vec<SessionRow>> {
        off()
    }
    async fn sessions_to_end(&mut self, _: Uuid) -> Result<Vec<Uuid>> {
        off()
    }
    async fn session_count(&mut self, _: Uuid) -> Result<u64> {
        off()
    }
}
