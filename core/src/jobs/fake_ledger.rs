//! A ledger in memory, for the tests of the jobs: audit entries, events, deliveries and leases, and nothing else. A failed
//! transaction leaves nothing behind.

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

#[async_trait]
impl Tx for State {
    async fn advance_objects(&mut self, from: i64) -> Result<bool> {
        let moves = self.generation == from;
        self.generation += i64::from(moves);
        Ok(moves)
    }
    async fn put_object(&mut self, object: &StoredObject, expected: Option<i64>) -> Result<bool> {
        let is_as_expected = self.objects.get(&object.key).map(|there| there.version) == expected;
        if is_as_expected {
            self.objects.insert(object.key.clone(), object.clone());
        }
        Ok(is_as_expected)
    }
    async fn delete_object(&mut self, key: &ObjectKey, expected: i64) -> Result<bool> {
        let is_as_expected = self.objects.get(key).is_some_and(|there| there.version == expected);
        if is_as_expected {
            self.objects.remove(key);
        }
        Ok(is_as_expected)
    }
    async fn insert_sign_in(&mut self, _: &SignIn) -> Result<()> {
        off()
    }
    async fn take_sign_in(&mut self, _: &[u8; 32], _: Micros) -> Result<bool> {
        off()
    }
    async fn insert_grant(&mut self, _: &Grant) -> Result<()> {
        off()
    }
    async fn spend_authorization_code(&mut self, _: &str, _: &[u8; 32], _: Micros) -> Result<bool> {
        off()
    }
    async fn end_grant(&mut self, _: &str, _: Uuid, _: Micros) -> Result<bool> {
        off()
    }
    async fn insert_refresh_token(&mut self, _: &RefreshToken) -> Result<()> {
        off()
    }
    async fn spend_refresh_token(&mut self, _: &str, _: &[u8; 32], _: Micros) -> Result<bool> {
        off()
    }
    async fn purge_grants(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn insert_signing_key(&mut self, row: &SigningKeyRow) -> Result<()> {
        self.signing_keys.push(row.clone());
        Ok(())
    }
    async fn retire_signing_keys(&mut self, signs_from: Micros, at: Micros) -> Result<u64> {
        let due = |row: &&mut SigningKeyRow| row.retired_at.is_none() && row.signs_from <= signs_from;
        Ok(self.signing_keys.iter_mut().filter(due).map(|row| row.retired_at = Some(at)).count() as u64)
    }
    async fn revoke_grant(&mut self, grant: Uuid, until: Micros, now: Micros) -> Result<()> {
        self.revoked.push(RevokedGrant { grant, until, revoked_at: now });
        Ok(())
    }
    async fn put_issuer_keys(&mut self, keys: &IssuerKeys) -> Result<()> {
        self.issuer_keys.insert(keys.issuer.clone(), keys.clone());
        Ok(())
    }
    async fn purge_tokens(&mut self, now: Micros) -> Result<u64> {
        self.revoked.retain(|row| row.until > now);
        self.signing_keys.retain(|row| row.retired_at.is_none_or(|at| at > now));
        Ok(0)
    }
    async fn insert_job(&mut self, _: &Job) -> Result<()> {
        off()
    }
    async fn hold_job(&mut self, _: Uuid) -> Result<Option<Job>> {
        off()
    }
    async fn update_job(&mut self, _: &Job, _: i64) -> Result<bool> {
        off()
    }
    async fn claim_job(&mut self, _: Uuid, _: Micros, _: Micros) -> Result<Option<Job>> {
        off()
    }
    async fn renew_job(&mut self, _: Uuid, _: i64, _: Micros, _: u64) -> Result<bool> {
        off()
    }
    async fn release_jobs(&mut self, _: Uuid, _: Micros) -> Result<u64> {
        off()
    }
    async fn insert_job_items(&mut self, _: Uuid, _: &[JobItem]) -> Result<()> {
        off()
    }
    async fn delete_job_items(&mut self, _: Uuid) -> Result<()> {
        off()
    }
    async fn reset_job_items(&mut self, _: Uuid) -> Result<()> {
        off()
    }
    async fn settle_item(&mut self, _: Uuid, _: i64, _: &JobItem) -> Result<bool> {
        off()
    }
    async fn remember_request(
        &mut self,
        _: (&str, &str),
        _: &str,
        _: (&[u8; 32], Uuid),
        _: Micros,
    ) -> Result<Option<([u8; 32], Uuid)>> {
        off()
    }
    async fn purge_requests(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn purge_jobs(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn lock(&mut self, locks: &[Lock]) -> Result<()> {
        let _ = locks;
        Ok(())
    }
    async fn hold_folder(&mut self, _: Uuid) -> Result<Option<Node>> {
        off()
    }
    async fn hold_node(&mut self, _: Uuid) -> Result<Option<Node>> {
        off()
    }
    async fn ensure_root(&mut self, _: &str, _: Micros) -> Result<Node> {
        off()
    }
    async fn insert_node(&mut self, _: &Node) -> Result<()> {
        off()
    }
    async fn update_node(&mut self, _: &Node) -> Result<()> {
        off()
    }
    async fn delete_node(&mut self, _: Uuid) -> Result<()> {
        off()
    }
    async fn insert_upload(&mut self, _: &UploadRow) -> Result<()> {
        off()
    }
    async fn update_upload(&mut self, _: &UploadRow, _: &[UploadState], _: i64) -> Result<bool> {
        off()
    }
    async fn purge_uploads(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn add_usage(&mut self, _: &str, _: &str, _: i64) -> Result<()> {
        off()
    }
    async fn use_code(&mut self, _: &str, _: &str, _: i64, _: Micros) -> Result<bool> {
        off()
    }
    async fn purge_codes(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn meet_key(&mut self, _: &str, _: &str, _: &[u8; 32], _: Micros) -> Result<()> {
        off()
    }
    async fn note_key_use(&mut self, _: &str, _: &str, _: &[u8; 32], _: Micros) -> Result<()> {
        off()
    }
    async fn warn_of_key(&mut self, _: &str, _: &str, _: &[u8; 32], _: Micros, _: Micros) -> Result<bool> {
        off()
    }
    async fn insert_sessions(&mut self, _: &[SessionRow]) -> Result<()> {
        off()
    }
    async fn delete_sessions(&mut self, _: &[Uuid]) -> Result<()> {
        off()
    }
    async fn clear_sessions(&mut self, _: Uuid) -> Result<u64> {
        off()
    }
    async fn ask_session_end(&mut self, _: Uuid, _: Option<&str>, _: Micros) -> Result<Option<SessionRow>> {
        off()
    }
    async fn use_signature(&mut self, _: (&str, &str), _: &[u8; 32], _: Micros) -> Result<bool> {
        off()
    }
    async fn purge_signatures(&mut self, _: Micros) -> Result<u64> {
        off()
    }
    async fn insert_blob(&mut self, _: &BlobId, _: Uuid) -> Result<()> {
        off()
    }
    async fn reference_blob(&mut self, _: Uuid, _: Uuid) -> Result<()> {
        off()
    }
    async fn release_blobs(&mut self, _: Uuid, _: &[Uuid], _: Micros) -> Result<()> {
        off()
    }
    async fn mark_deleting(&mut self, _: Uuid) -> Result<bool> {
        off()
    }
    async fn delete_blob(&mut self, _: Uuid) -> Result<()> {
        off()
    }
    async fn append_audit(&mut self, record: &AuditRecord) -> Result<()> {
        self.waiting.push(record.id);
        self.entries.push(record.clone());
        Ok(())
    }
    async fn append_events(&mut self, events: &[EventRecord]) -> Result<()> {
        self.events.extend_from_slice(events);
        Ok(())
    }
    async fn unsealed(&mut self, limit: u32) -> Result<Vec<(Uuid, String, Vec<u8>)>> {
        let waiting = self.entries.iter().filter(|e| self.waiting.contains(&e.id)).take(limit as usize);
        Ok(waiting.map(|e| (e.id, e.chain.clone(), e.body.clone())).collect())
    }
    async fn last_seal(&mut self, chain: &str) -> Result<Option<Seal>> {
        Ok(self.seals.iter().rev().find(|s| s.chain == chain).cloned())
    }
    async fn insert_seals(&mut self, seals: &[Seal]) -> Result<()> {
        self.waiting.retain(|id| !seals.iter().any(|s| s.entry == *id));
        self.seals.extend_from_slice(seals);
        Ok(())
    }
    async fn insert_audit_head(&mut self, head: &AuditHead) -> Result<()> {
        self.heads.push(head.clone());
        Ok(())
    }
    async fn put_sink_place(&mut self, sink: &str, chain: &str, seq: i64) -> Result<()> {
        self.places.insert((sink.to_owned(), chain.to_owned()), seq);
        Ok(())
    }
    async fn cut_audit(&mut self, chain: &str, upto: i64) -> Result<u64> {
        let before = self.entries.len();
        let gone = |seal: &Seal| seal.chain == chain && seal.seq <= upto;
        let entries: Vec<Uuid> = self.seals.iter().filter(|seal| gone(seal)).map(|seal| seal.entry).collect();
        self.entries.retain(|entry| !entries.contains(&entry.id));
        self.seals.retain(|seal| !gone(seal));
        self.heads.retain(|head| head.chain != chain || head.seq >= upto);
        Ok((before - self.entries.len()) as u64)
    }
    async fn unpositioned(&mut self, limit: u32) -> Result<Vec<EventRecord>> {
        Ok(self
            .events
            .iter()
            .filter(|e| !self.positions.iter().any(|p| p.0 == e.id))
            .take(limit as usize)
            .cloned()
            .collect())
    }
    async fn position_events(&mut self, positions: &[(Uuid, i64)], deliveries: &[Delivery]) -> Result<()> {
        self.positions.extend_from_slice(positions);
        self.deliveries.extend_from_slice(deliveries);
        Ok(())
    }
    async fn update_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()> {
        for delivery in deliveries {
            let row = self.deliveries.iter_mut().find(|d| d.event == delivery.event && d.webhook == delivery.webhook);
            *row.unwrap() = delivery.clone();
        }
        Ok(())
    }
    async fn put_webhook_health(&mut self, health: &WebhookHealth) -> Result<()> {
        self.health.insert(health.webhook.clone(), health.clone());
        Ok(())
    }
    async fn queue_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()> {
        for one in deliveries {
            self.deliveries.retain(|d| d.event != one.event || d.webhook != one.webhook);
            self.deliveries.push(one.clone());
        }
        Ok(())
    }
    async fn requeue_delivery(&mut self, webhook: &str, event: Uuid, now: Micros) -> Result<bool> {
        let row = self.deliveries.iter_mut().find(|d| d.event == event && d.webhook == webhook);
        let found = row.map(|d| (d.state, d.attempts, d.next_at) = (DeliveryState::Pending, 0, now));
        Ok(found.is_some())
    }
    async fn bury_deliveries(&mut self, webhook: &str, result: &str) -> Result<u64> {
        let waits = |d: &&mut Delivery| d.webhook == webhook && d.state == DeliveryState::Pending;
        let buried = self.deliveries.iter_mut().filter(waits).map(|d| {
            (d.state, d.last_result) = (DeliveryState::Dead, Some(result.to_owned()));
        });
        Ok(buried.count() as u64)
    }
    async fn forget_webhook(&mut self, webhook: &str) -> Result<u64> {
        self.health.remove(webhook);
        let before = self.deliveries.len();
        self.deliveries.retain(|d| d.webhook != webhook);
        Ok((before - self.deliveries.len()) as u64)
    }
    async fn take_lease(&mut self, name: &str, holder: Uuid, until: Micros, now: Micros) -> Result<bool> {
        match self.leases.get(name) {
            Some((other, end)) if *other != holder && *end > now => Ok(false),
            _ => {
                self.leases.insert(name.to_owned(), (holder, until));
                Ok(true)
            }
        }
    }
    async fn put_incarnation(&mut self, _: &Incarnation) -> Result<()> {
        off()
    }
    async fn delete_incarnation(&mut self, _: Uuid) -> Result<()> {
        off()
    }
}
