//! Core's ports, made out of the statements. A `Session` is a connection, owned or borrowed, on which statements run.

/// Runs one statement on a session's connection and judges how it ended.
macro_rules! run {
    ($session:ident, $group:ident::$statement:ident($($argument:expr),*)) => {{
        let outcome = $group::$statement(&mut $session.connection, $($argument),*).await;
        $session.judged(outcome)
    }};
}

/// Makes the type `Session` and implements [`Query`](causeway_core::ports::Query) and [`Tx`](causeway_core::ports::Tx)
/// for it. The modules of the statements stand beside the call, and so does `locks`, whose `take` takes locks.
macro_rules! ports {
    (connection: $connection:ty) => {
        use std::ops::DerefMut;

        use async_trait::async_trait;
        use causeway_core::metrics::Timer;
        use causeway_core::ports::{Lock, Query, Reach, Tx};
        use causeway_core::records::{
            AuditFilter, AuditHead, AuditRecord, AuditRow, Backlog, BlobId, BlobRow, Delivery, DeliveryState,
            EventRecord, Grant, Incarnation, IssuerKeys, ItemState, Job, JobItem, KeyUse, Micros, Node, ObjectKey,
            RefreshToken, RevokedGrant, Seal, SessionRow, SessionSearch, SignIn, SigningKeyRow, StoredEvent,
            StoredObject, UploadRow, UploadState, WebhookHealth,
        };
        use causeway_core::{Error, Result};
        use uuid::Uuid;

        use super::{
            audit, backlog, blobs, codes, events, jobs, keys, leases, locks, nodes, oauth, objects, sessions,
            signatures, tokens, uploads, webhooks,
        };
        use crate::ledger::driver::Outcome;
        use crate::ledger::fault::{Failure, gone, judge, reserved};
        use crate::ledger::statements::run;

        crate::ledger::statements::session_type! {}

        crate::ledger::statements::query_port! { connection: $connection }

        #[async_trait]
        impl<C: DerefMut<Target = $connection> + Send> Tx for Session<C> {
            async fn lock(&mut self, locks: &[Lock]) -> Result<()> {
                run!(self, locks::take(locks))
            }

            async fn hold_folder(&mut self, id: Uuid) -> Result<Option<Node>> {
                run!(self, nodes::hold_folder(self.reach.tenant(), id))
            }

            async fn hold_node(&mut self, id: Uuid) -> Result<Option<Node>> {
                run!(self, nodes::hold_node(self.reach.tenant(), id))
            }

            async fn ensure_root(&mut self, tenant: &str, now: Micros) -> Result<Node> {
                run!(self, nodes::ensure_root(tenant, now))?
                    .ok_or_else(|| Error::internal("the root of a tenant was removed"))
            }

            async fn insert_node(&mut self, node: &Node) -> Result<()> {
                run!(self, nodes::insert_node(node))
            }

            async fn update_node(&mut self, node: &Node) -> Result<()> {
                if run!(self, nodes::update_node(node))? { Ok(()) } else { Err(Error::not_found()) }
            }

            async fn delete_node(&mut self, id: Uuid) -> Result<()> {
                if run!(self, nodes::delete_node(self.reach.tenant(), id))? { Ok(()) } else { Err(Error::not_found()) }
            }

            async fn insert_upload(&mut self, row: &UploadRow) -> Result<()> {
                run!(self, uploads::insert_upload(row)).map_err(reserved)
            }

            async fn update_upload(
                &mut self,
                row: &UploadRow,
                states: &[UploadState],
                generation: i64,
            ) -> Result<bool> {
                run!(self, uploads::update_upload(row, states, generation)).map_err(reserved)
            }

            async fn purge_uploads(&mut self, before: Micros) -> Result<u64> {
                run!(self, uploads::purge_uploads(before))
            }

            async fn add_usage(&mut self, tenant: &str, identity: &str, delta: i64) -> Result<()> {
                run!(self, uploads::add_usage(tenant, identity, delta))
            }

            async fn use_code(&mut self, tenant: &str, login: &str, step: i64, now: Micros) -> Result<bool> {
                run!(self, codes::use_code(tenant, login, step, now))
            }

            async fn purge_codes(&mut self, before: Micros) -> Result<u64> {
                run!(self, codes::purge_codes(before))
            }

            async fn meet_key(&mut self, tenant: &str, key: &str, digest: &[u8; 32], now: Micros) -> Result<()> {
                run!(self, keys::meet_key(tenant, key, digest, now))
            }

            async fn note_key_use(&mut self, tenant: &str, key: &str, digest: &[u8; 32], at: Micros) -> Result<()> {
                run!(self, keys::note_key_use(tenant, key, digest, at))
            }

            async fn warn_of_key(
                &mut self,
                tenant: &str,
                key: &str,
                digest: &[u8; 32],
                ends_at: Micros,
                now: Micros,
            ) -> Result<bool> {
                run!(self, keys::warn_of_key(tenant, key, digest, ends_at, now))
            }

            async fn advance_objects(&mut self, from: i64) -> Result<bool> {
                run!(self, objects::advance_objects(from))
            }

            async fn put_object(&mut self, object: &StoredObject, expected: Option<i64>) -> Result<bool> {
                match expected {
                    None => run!(self, objects::insert_object(object)),
                    Some(version) => run!(self, objects::update_object(object, version)),
                }
            }

            async fn delete_object(&mut self, key: &ObjectKey, expected: i64) -> Result<bool> {
                run!(self, objects::delete_object(key, expected))
            }

            async fn insert_sessions(&mut self, rows: &[SessionRow]) -> Result<()> {
                run!(self, sessions::insert_sessions(rows))
            }

            async fn delete_sessions(&mut self, ids: &[Uuid]) -> Result<()> {
                run!(self, sessions::delete_sessions(ids))
            }

            async fn clear_sessions(&mut self, incarnation: Uuid) -> Result<u64> {
                run!(self, sessions::clear_sessions(incarnation))
            }

            async fn ask_session_end(
                &mut self,
                id: Uuid,
                tenant: Option<&str>,
                now: Micros,
            ) -> Result<Option<SessionRow>> {
                run!(self, sessions::ask_session_end(id, tenant, now))
            }

            async fn insert_sign_in(&mut self, row: &SignIn) -> Result<()> {
                run!(self, oauth::insert_sign_in(row))
            }

            async fn take_sign_in(&mut self, hash: &[u8; 32], now: Micros) -> Result<bool> {
                run!(self, oauth::take_sign_in(hash, now))
            }

            async fn insert_grant(&mut self, grant: &Grant) -> Result<()> {
                run!(self, oauth::insert_grant(grant))
            }

            async fn spend_authorization_code(&mut self, tenant: &str, hash: &[u8; 32], now: Micros) -> Result<bool> {
                run!(self, oauth::spend_authorization_code(tenant, hash, now))
            }

            async fn end_grant(&mut self, tenant: &str, id: Uuid, now: Micros) -> Result<bool> {
                run!(self, oauth::end_grant(tenant, id, now))
            }

            async fn insert_refresh_token(&mut self, row: &RefreshToken) -> Result<()> {
                run!(self, oauth::insert_refresh_token(row))
            }

            async fn spend_refresh_token(&mut self, tenant: &str, hash: &[u8; 32], now: Micros) -> Result<bool> {
                run!(self, oauth::spend_refresh_token(tenant, hash, now))
            }

            async fn purge_grants(&mut self, before: Micros) -> Result<u64> {
                run!(self, oauth::purge_grants(before))
            }

            async fn insert_signing_key(&mut self, row: &SigningKeyRow) -> Result<()> {
                run!(self, tokens::insert_signing_key(row))
            }

            async fn retire_signing_keys(&mut self, signs_from: Micros, at: Micros) -> Result<u64> {
                run!(self, tokens::retire_signing_keys(signs_from, at))
            }

            async fn revoke_grant(&mut self, grant: Uuid, until: Micros, now: Micros) -> Result<()> {
                run!(self, tokens::revoke_grant(grant, until, now))
            }

            async fn put_issuer_keys(&mut self, keys: &IssuerKeys) -> Result<()> {
                run!(self, tokens::put_issuer_keys(keys))
            }

            async fn purge_tokens(&mut self, now: Micros) -> Result<u64> {
                run!(self, tokens::purge_tokens(now))
            }

            async fn use_signature(&mut self, key: (&str, &str), digest: &[u8; 32], lapses: Micros) -> Result<bool> {
                run!(self, signatures::use_signature(key, digest, lapses))
            }

            async fn purge_signatures(&mut self, before: Micros) -> Result<u64> {
                run!(self, signatures::purge_signatures(before))
            }

            async fn insert_blob(&mut self, id: &BlobId, holder: Uuid) -> Result<()> {
                run!(self, blobs::insert_blob(id, holder))
            }

            async fn reference_blob(&mut self, key: Uuid, holder: Uuid) -> Result<()> {
                if run!(self, blobs::reference_blob(key, holder))? { Ok(()) } else { Err(gone()) }
            }

            async fn release_blobs(&mut self, holder: Uuid, keep: &[Uuid], now: Micros) -> Result<()> {
                run!(self, blobs::release_blobs(holder, keep, now))
            }

            async fn mark_deleting(&mut self, key: Uuid) -> Result<bool> {
                run!(self, blobs::mark_deleting(key))
            }

            async fn delete_blob(&mut self, key: Uuid) -> Result<()> {
                run!(self, blobs::delete_blob(key))
            }

            async fn append_audit(&mut self, record: &AuditRecord) -> Result<()> {
                run!(self, audit::append_audit(record))
            }

            async fn append_events(&mut self, queued: &[EventRecord]) -> Result<()> {
                run!(self, events::append_events(queued))
            }

            async fn unsealed(&mut self, limit: u32) -> Result<Vec<(Uuid, String, Vec<u8>)>> {
                run!(self, audit::unsealed(limit))
            }

            async fn last_seal(&mut self, chain: &str) -> Result<Option<Seal>> {
                run!(self, audit::last_seal(chain))
            }

            async fn insert_seals(&mut self, seals: &[Seal]) -> Result<()> {
                run!(self, audit::insert_seals(seals))
            }

            async fn insert_audit_head(&mut self, head: &AuditHead) -> Result<()> {
                run!(self, audit::insert_audit_head(head))
            }

            async fn cut_audit(&mut self, chain: &str, upto: i64) -> Result<u64> {
                run!(self, audit::cut_audit(chain, upto))
            }

            async fn put_sink_place(&mut self, sink: &str, chain: &str, seq: i64) -> Result<()> {
                run!(self, audit::put_sink_place(sink, chain, seq))
            }

            async fn unpositioned(&mut self, limit: u32) -> Result<Vec<EventRecord>> {
                run!(self, events::unpositioned(limit))
            }

            async fn position_events(&mut self, positions: &[(Uuid, i64)], deliveries: &[Delivery]) -> Result<()> {
                run!(self, events::position_events(positions, deliveries))
            }

            async fn update_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()> {
                run!(self, events::update_deliveries(deliveries))
            }

            async fn put_webhook_health(&mut self, health: &WebhookHealth) -> Result<()> {
                run!(self, webhooks::put_webhook_health(health))
            }

            async fn queue_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()> {
                run!(self, webhooks::queue_deliveries(deliveries))
            }

            async fn requeue_delivery(&mut self, webhook: &str, event: Uuid, now: Micros) -> Result<bool> {
                run!(self, webhooks::requeue_delivery(self.reach.tenant(), webhook, event, now))
            }

            async fn bury_deliveries(&mut self, webhook: &str, result: &str) -> Result<u64> {
                run!(self, webhooks::bury_deliveries(self.reach.tenant(), webhook, result))
            }

            async fn forget_webhook(&mut self, webhook: &str) -> Result<u64> {
                run!(self, webhooks::forget_webhook(self.reach.tenant(), webhook))
            }

            async fn take_lease(&mut self, name: &str, holder: Uuid, until: Micros, now: Micros) -> Result<bool> {
                run!(self, leases::take_lease(name, holder, until, now))
            }

            async fn insert_job(&mut self, job: &Job) -> Result<()> {
                run!(self, jobs::insert_job(job))
            }

            async fn hold_job(&mut self, id: Uuid) -> Result<Option<Job>> {
                run!(self, jobs::hold_job(self.reach.tenant(), id))
            }

            async fn update_job(&mut self, job: &Job, generation: i64) -> Result<bool> {
                run!(self, jobs::update_job(job, generation))
            }

            async fn claim_job(&mut self, holder: Uuid, until: Micros, now: Micros) -> Result<Option<Job>> {
                run!(self, jobs::claim_job(holder, until, now))
            }

            async fn renew_job(&mut self, id: Uuid, generation: i64, until: Micros, partial: u64) -> Result<bool> {
                run!(self, jobs::renew_job(id, generation, until, partial))
            }

            async fn release_jobs(&mut self, holder: Uuid, now: Micros) -> Result<u64> {
                run!(self, jobs::release_jobs(holder, now))
            }

            async fn insert_job_items(&mut self, job: Uuid, items: &[JobItem]) -> Result<()> {
                run!(self, jobs::insert_job_items(job, items))
            }

            async fn delete_job_items(&mut self, job: Uuid) -> Result<()> {
                run!(self, jobs::delete_job_items(job))
            }

            async fn reset_job_items(&mut self, job: Uuid) -> Result<()> {
                run!(self, jobs::reset_job_items(job))
            }

            async fn settle_item(&mut self, job: Uuid, generation: i64, item: &JobItem) -> Result<bool> {
                run!(self, jobs::settle_item(self.reach.tenant(), job, generation, item))
            }

            async fn remember_request(
                &mut self,
                owner: (&str, &str),
                key: &str,
                request: (&[u8; 32], Uuid),
                now: Micros,
            ) -> Result<Option<([u8; 32], Uuid)>> {
                run!(self, jobs::remember_request(owner, key, request, now))
            }

            async fn purge_requests(&mut self, before: Micros) -> Result<u64> {
                run!(self, jobs::purge_requests(before))
            }

            async fn purge_jobs(&mut self, before: Micros) -> Result<u64> {
                run!(self, jobs::purge_jobs(before))
            }

            async fn put_incarnation(&mut self, incarnation: &Incarnation) -> Result<()> {
                run!(self, leases::put_incarnation(incarnation))
            }

            async fn delete_incarnation(&mut self, id: Uuid) -> Result<()> {
                run!(self, leases::delete_incarnation(id))
            }
        }
    };
}

pub(crate) use {ports, run};
