//! The port that reads, made out of the statements. Beside `ports`, which brings the names that it uses.

/// Implements [`Query`](causeway_core::ports::Query) for `Session`.
macro_rules! query_port {
    (connection: $connection:ty) => {
        #[async_trait]
        impl<C: DerefMut<Target = $connection> + Send> Query for Session<C> {
            fn keep(&mut self, timer: Timer) {
                drop(self.timer.replace(timer));
            }

            async fn walk(&mut self, tenant: &str, names: &[&str]) -> Result<Vec<Node>> {
                run!(self, nodes::walk(tenant, names))
            }

            async fn node(&mut self, id: Uuid) -> Result<Option<Node>> {
                run!(self, nodes::node(self.reach.tenant(), id))
            }

            async fn ancestry(&mut self, id: Uuid) -> Result<Vec<(Uuid, String)>> {
                run!(self, nodes::ancestry(self.reach.tenant(), id))
            }

            async fn child(&mut self, parent: Uuid, name: &str) -> Result<Option<Node>> {
                run!(self, nodes::child(self.reach.tenant(), parent, name))
            }

            async fn children(&mut self, parent: Uuid, after: Option<&str>, limit: u32) -> Result<Vec<Node>> {
                run!(self, nodes::children(self.reach.tenant(), parent, after, limit))
            }

            async fn has_children(&mut self, parent: Uuid) -> Result<bool> {
                run!(self, nodes::has_children(self.reach.tenant(), parent))
            }

            async fn upload(&mut self, id: Uuid) -> Result<Option<UploadRow>> {
                run!(self, uploads::upload(self.reach.tenant(), id))
            }

            async fn uploads_named(&mut self, parent: Uuid, name: &str) -> Result<Vec<UploadRow>> {
                run!(self, uploads::uploads_named(self.reach.tenant(), parent, name))
            }

            async fn uploads_within(&mut self, parent: Uuid, tenant: &str, identity: &str) -> Result<Vec<UploadRow>> {
                run!(self, uploads::uploads_within(parent, tenant, identity))
            }

            async fn uploads_of(&mut self, tenant: &str, identity: &str) -> Result<Vec<UploadRow>> {
                run!(self, uploads::uploads_of(tenant, identity))
            }

            async fn file_counts(&mut self, tenant: &str) -> Result<Vec<(String, u64)>> {
                run!(self, objects::file_counts(tenant))
            }

            async fn usage(&mut self, tenant: &str, identity: Option<&str>) -> Result<u64> {
                run!(self, uploads::usage(tenant, identity))
            }

            async fn signing_keys(&mut self) -> Result<Vec<SigningKeyRow>> {
                run!(self, tokens::signing_keys())
            }

            async fn revoked_grants(&mut self, since: Micros, now: Micros) -> Result<Vec<RevokedGrant>> {
                run!(self, tokens::revoked_grants(since, now))
            }

            async fn issuer_keys(&mut self, issuer: &str) -> Result<Option<IssuerKeys>> {
                run!(self, tokens::issuer_keys(issuer))
            }

            async fn events(
                &mut self,
                tenant: &str,
                after: i64,
                kinds: &[String],
                limit: u32,
            ) -> Result<Vec<StoredEvent>> {
                run!(self, events::events(tenant, after, kinds, limit))
            }

            async fn latest_events(&mut self, tenant: &str, before: i64, limit: u32) -> Result<Vec<StoredEvent>> {
                run!(self, events::latest_events(tenant, before, limit))
            }

            async fn event_tenants(&mut self) -> Result<Vec<(String, i64)>> {
                run!(self, events::event_tenants())
            }

            async fn event_position(&mut self, id: Uuid) -> Result<Option<i64>> {
                run!(self, events::event_position(self.reach.tenant(), id))
            }

            async fn last_position(&mut self) -> Result<i64> {
                run!(self, events::last_position())
            }

            async fn audit(&mut self, chain: &str, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
                run!(self, audit::audit(chain, filter, limit))
            }

            async fn chains(&mut self) -> Result<Vec<String>> {
                run!(self, audit::chains())
            }

            async fn seals(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<(Seal, Option<AuditRecord>)>> {
                run!(self, audit::seals(chain, after, limit))
            }

            async fn audit_heads(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<AuditHead>> {
                run!(self, audit::audit_heads(chain, after, limit))
            }

            async fn audit_cuts(&mut self, chain: &str) -> Result<Vec<AuditHead>> {
                run!(self, audit::audit_cuts(chain))
            }

            async fn lost_guards(&mut self) -> Result<Vec<String>> {
                run!(self, audit::lost_guards())
            }

            async fn sink_places(&mut self, sink: &str) -> Result<Vec<(String, i64)>> {
                run!(self, audit::sink_places(sink))
            }

            async fn unsealed_counts(&mut self, chain: &str) -> Result<(u64, u64)> {
                run!(self, audit::unsealed_counts(chain))
            }

            async fn pending_deliveries(&mut self, webhook: &str, limit: u32) -> Result<Vec<(Delivery, EventRecord)>> {
                run!(self, events::pending_deliveries(webhook, limit))
            }

            async fn webhook_health(&mut self, webhook: &str) -> Result<Option<WebhookHealth>> {
                run!(self, webhooks::webhook_health(self.reach.tenant(), webhook))
            }

            async fn webhook_healths(&mut self, tenant: Option<&str>) -> Result<Vec<WebhookHealth>> {
                run!(self, webhooks::webhook_healths(tenant))
            }

            async fn deliveries(
                &mut self,
                webhook: &str,
                state: Option<DeliveryState>,
                before: i64,
                limit: u32,
            ) -> Result<Vec<(Delivery, EventRecord)>> {
                run!(self, webhooks::deliveries(self.reach.tenant(), webhook, state, before, limit))
            }

            async fn events_since(
                &mut self,
                tenant: &str,
                since: Micros,
                after: i64,
                limit: u32,
            ) -> Result<Vec<StoredEvent>> {
                run!(self, webhooks::events_since(tenant, since, after, limit))
            }

            async fn doomed_blobs(&mut self, before: Micros, limit: u32) -> Result<Vec<BlobRow>> {
                run!(self, blobs::doomed_blobs(before, limit))
            }

            async fn blob(&mut self, key: Uuid) -> Result<Option<BlobRow>> {
                run!(self, blobs::blob(key))
            }

            async fn expired_uploads(&mut self, before: Micros, limit: u32) -> Result<Vec<UploadRow>> {
                run!(self, uploads::expired_uploads(before, limit))
            }

            async fn uploads_held_by(&mut self, incarnation: Uuid, limit: u32) -> Result<Vec<UploadRow>> {
                run!(self, uploads::uploads_held_by(incarnation, limit))
            }

            async fn incarnations(&mut self) -> Result<Vec<Incarnation>> {
                run!(self, leases::incarnations())
            }

            async fn key_uses(&mut self, tenant: &str) -> Result<Vec<KeyUse>> {
                run!(self, keys::key_uses(tenant))
            }

            async fn objects(&mut self) -> Result<Vec<StoredObject>> {
                run!(self, objects::objects())
            }

            async fn object_generation(&mut self) -> Result<i64> {
                run!(self, objects::object_generation())
            }

            async fn sessions(&mut self, search: &SessionSearch, limit: u32) -> Result<Vec<SessionRow>> {
                run!(self, sessions::sessions(search, limit))
            }

            async fn sessions_to_end(&mut self, incarnation: Uuid) -> Result<Vec<Uuid>> {
                run!(self, sessions::sessions_to_end(incarnation))
            }

            async fn session_count(&mut self, incarnation: Uuid) -> Result<u64> {
                run!(self, sessions::session_count(incarnation)).map(|count| u64::try_from(count).unwrap_or(0))
            }

            async fn sign_in(&mut self, hash: &[u8; 32]) -> Result<Option<SignIn>> {
                run!(self, oauth::sign_in(hash))
            }

            async fn grant_of_code(&mut self, tenant: &str, hash: &[u8; 32]) -> Result<Option<Grant>> {
                run!(self, oauth::grant_of_code(tenant, hash))
            }

            async fn grant(&mut self, tenant: &str, id: Uuid) -> Result<Option<Grant>> {
                run!(self, oauth::grant(tenant, id))
            }

            async fn refresh_token(&mut self, tenant: &str, hash: &[u8; 32]) -> Result<Option<RefreshToken>> {
                run!(self, oauth::refresh_token(tenant, hash))
            }

            async fn live_grants(&mut self, after: Uuid, now: Micros, limit: u32) -> Result<Vec<Grant>> {
                run!(self, oauth::live_grants(after, now, limit))
            }

            async fn job(&mut self, id: Uuid) -> Result<Option<Job>> {
                run!(self, jobs::job(self.reach.tenant(), id))
            }

            async fn jobs(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<Job>> {
                run!(self, jobs::jobs(tenant, before, limit))
            }

            async fn job_items(
                &mut self,
                job: Uuid,
                after: i64,
                state: Option<ItemState>,
                limit: u32,
            ) -> Result<Vec<JobItem>> {
                run!(self, jobs::job_items(self.reach.tenant(), job, after, state, limit))
            }

            async fn backlog(&mut self, most: u32) -> Result<Backlog> {
                run!(self, backlog::backlog(most))
            }

            async fn next_job_due(&mut self) -> Result<Option<Micros>> {
                run!(self, jobs::next_job_due())
            }

            async fn unfinished_jobs(&mut self, owner: (&str, &str), most: u32) -> Result<u64> {
                run!(self, jobs::unfinished_jobs(owner, most))
            }

            async fn known_request(
                &mut self,
                owner: (&str, &str),
                key: &str,
                since: Micros,
            ) -> Result<Option<([u8; 32], Uuid)>> {
                run!(self, jobs::known_request(owner, key, since))
            }

            async fn uploads_under_way(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<UploadRow>> {
                run!(self, uploads::uploads_under_way(tenant, before, limit))
            }

            async fn transfer_ends(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<EventRecord>> {
                run!(self, events::transfer_ends(tenant, before, limit))
            }
        }
    };
}

pub(crate) use query_port;
