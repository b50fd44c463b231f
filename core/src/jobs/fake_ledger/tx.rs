//! What the ledger in memory changes.

use super::*;

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
            if let Some(row) = row.filter(|row| row.attempts == delivery.attempts - 1) {
                *row = delivery.clone();
            }
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
