//! Beginning an upload: permission, quota, the ledger's row, the blob's row. One transaction.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::detach::{BETWEEN_REQUESTS, give_up_row, replaced};
use super::upload::{Upload, UploadCore};
use super::work::{Work, quota_exceeded, quota_room};
use super::{Disposition, Pacer, UploadOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Place, enduring, held, locate_place, place_of};
use crate::identity::{Permission, Session};
use crate::namespace::{Entry, Target, Viewer, ensure_folder, find, refuse_reserved};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Reach, Tx};
use crate::records::{BlobId, Node, UploadConditions, UploadPlan, UploadRow, UploadState, micros, now};

/// Quota that is reserved before the first byte, where it fits: small files then need no step of their own.
const FIRST_SLAB: u64 = 256 * 1024;

#[derive(Clone)]
pub(super) struct Beginning {
    session: Arc<Session>,
    node: Arc<str>,
    place: Place,
    options: UploadOptions,
    id: Uuid,
    incarnation: Uuid,
    blob: BlobId,
    expiry: i64,
    /// What is announced of an upload in chunks: it is held by nobody between its requests.
    plan: Option<UploadPlan>,
}

pub(super) struct Begun {
    pub(super) row: UploadRow,
    visible: Option<Node>,
    plain: bool,
    credit: u64,
}

/// What of the quota a version that is changed in place already takes of the same identity's.
pub(super) fn credit(row: &UploadRow, visible: Option<&Node>) -> u64 {
    visible
        .filter(|node| row.compare_base && node.created_by.identity == row.identity)
        .and_then(|node| node.content.as_ref())
        .filter(|content| Some(content.version) == row.base_version)
        .map_or(0, |content| content.size)
}

impl Beginning {
    async fn run(self, tx: &mut dyn Tx) -> Result<Begun> {
        let viewer = Viewer::of(&self.session);
        let (parent_path, name) = self.place.split()?;
        let found = match find(&mut *tx, &viewer.tenant, &self.place).await {
            Err(error) if error.kind() == ErrorKind::NoSuchFolder && self.options.make_folders => {
                self.make_folders(&mut *tx, &parent_path).await?;
                find(&mut *tx, &viewer.tenant, &self.place).await?
            }
            other => other?,
        };
        let parent = found.parent.ok_or_else(Error::no_such_folder)?;
        tx.lock(&[Lock::Name(parent.id, name.clone())]).await?;
        // Under the lock, look again.
        let visible = tx.child(parent.id, &name).await?;
        if visible.as_ref().is_some_and(Node::is_folder) {
            return Err(Error::new(ErrorKind::IsFolder, "a folder has that name; give a file's name"));
        }
        self.check_permission(visible.as_ref())?;
        let uploads = tx.uploads_named(parent.id, &name).await?;
        refuse_reserved(&uploads, None)?;
        let mut own = uploads.into_iter().filter(|row| viewer.owns(row) && row.state == UploadState::Detached);
        match self.options.disposition {
            Disposition::Modify { create } => {
                if let Some(row) = own.next() {
                    return self.resume(&mut *tx, row, visible).await;
                }
                if visible.is_none() && !create {
                    return Err(Error::not_found());
                }
                self.begin_new(&mut *tx, parent.id, name, visible.clone(), visible).await
            }
            Disposition::Truncate if visible.is_none() => Err(Error::not_found()),
            Disposition::Create { .. } if visible.is_some() => Err(Error::already_exists()),
            Disposition::Replace | Disposition::Create { .. } | Disposition::Truncate => {
                for row in own {
                    give_up_row(&mut *tx, row, &self.node, &replaced()).await?;
                }
                self.begin_new(&mut *tx, parent.id, name, None, visible).await
            }
        }
    }

    fn check_permission(&self, visible: Option<&Node>) -> Result<()> {
        let needed = match (visible, self.options.disposition) {
            (None, _) | (Some(_), Disposition::Create { .. }) => Permission::Upload,
            (Some(_), _) => Permission::Overwrite,
        };
        policy::require(self.place.permissions, needed)?;
        if let Some(plan) = &self.plan {
            require_conditions(&plan.conditions, visible)?;
        }
        require_match(self.options.if_match.as_deref(), visible)
    }

    /// Makes the missing folders on the way; each needs `mkdir` where it is.
    async fn make_folders(&self, tx: &mut dyn Tx, parent: &VirtualPath) -> Result<()> {
        let names: Vec<&str> = parent.parts().collect();
        let found = tx.walk(&self.session.tenant.id, &names).await?;
        let mut at = found.last().map(|node| node.id).ok_or_else(Error::no_such_folder)?;
        for (depth, name) in names.iter().enumerate().skip(found.len().saturating_sub(1)) {
            let path = VirtualPath::parse(&names.get(..=depth).unwrap_or_default().join("/"))?;
            let place = place_of(&self.session, &path).ok_or_else(Error::no_such_folder)?;
            policy::require(place.permissions, Permission::Mkdir)?;
            let (folder, made) =
                ensure_folder(&mut *tx, &self.session.tenant.id, at, name, &Inner::actor(&self.session)).await?;
            at = folder;
            if !made {
                continue;
            }
            let mut facts = crate::events::Facts::of_session(&self.session, &self.node, Operation::Mkdir);
            facts.path = Some(place.path.as_str().to_owned());
            facts.view_path = Some(place.view_path.as_str().to_owned());
            facts.file_id = Some(folder);
            tx.append_audit(&facts.audit()).await?;
            tx.append_events(&[facts.event("folder.created")]).await?;
        }
        Ok(())
    }

    /// A new upload: empty, or standing on the visible version (`base`), which is then changed in place.
    async fn begin_new(
        self,
        tx: &mut dyn Tx,
        parent: Uuid,
        name: String,
        base: Option<Node>,
        visible: Option<Node>,
    ) -> Result<Begun> {
        let content = base.as_ref().and_then(|node| node.content.as_ref());
        let now = now();
        let mut row = UploadRow {
            id: self.id,
            tenant: self.session.tenant.id.to_string(),
            identity: self.session.identity.id.to_string(),
            login: self.session.login.to_string(),
            protocol: self.session.protocol.as_str().to_owned(),
            // What a job copies is nobody's to resume.
            session: if self.session.errand.is_some() { Uuid::nil() } else { self.session.id },
            parent,
            name,
            state: if self.plan.is_some() { UploadState::Detached } else { UploadState::Open },
            generation: 1,
            incarnation: if self.plan.is_some() { BETWEEN_REQUESTS } else { self.incarnation },
            exclusive: self.options.disposition == Disposition::Create { reserve: true },
            base_version: content.map(|c| c.version),
            compare_base: content.is_some(),
            size: content.map_or(0, |c| c.size),
            prefix: content.map_or(0, |c| c.size),
            reserved: 0,
            segments: content.map(|c| c.segments.clone()).unwrap_or_default(),
            hash_state: None,
            hashed: 0,
            attributes: self.options.attributes.clone(),
            storage: self.blob.storage.to_string(),
            prefix_path: self.blob.prefix.to_string(),
            created_at: now,
            updated_at: now,
            expires_at: now.saturating_add(self.expiry),
            plan: self.plan.clone(),
        };
        let credit = credit(&row, visible.as_ref());
        row.reserved = self.first_reservation(&mut *tx, row.size.saturating_sub(credit)).await?;
        if self.plan.is_none() {
            tx.insert_blob(&self.blob, row.id).await?;
        }
        for blob in super::segments::Segments::new(row.segments.clone()).blobs() {
            tx.reference_blob(blob.key, row.id).await?;
        }
        tx.insert_upload(&row).await?;
        Ok(Begun { plain: base.is_none(), row, visible, credit })
    }

    async fn first_reservation(&self, tx: &mut dyn Tx, base: u64) -> Result<u64> {
        let (tenant, identity) = (&self.session.tenant, &self.session.identity);
        let (tenant_quota, identity_quota) = self.session.quotas();
        if tenant_quota.is_none() && identity_quota.is_none() {
            return Ok(0);
        }
        tx.lock(&[Lock::Quota(tenant.id.to_string())]).await?;
        let room = quota_room(&mut *tx, (&tenant.id, tenant_quota), (&identity.id, identity_quota)).await?;
        match self.options.declared_size {
            Some(size) if size > room => Err(quota_exceeded()),
            Some(size) => Ok(size.max(base.min(room))),
            None => Ok(FIRST_SLAB.max(base).min(room)),
        }
    }

    /// Goes on with the owner's detached upload: the generation is bumped, so that an old holder can write no more.
    async fn resume(self, tx: &mut dyn Tx, mut row: UploadRow, visible: Option<Node>) -> Result<Begun> {
        let (state, generation) = (row.state, row.generation);
        let now = now();
        row.state = UploadState::Open;
        row.generation += 1;
        row.incarnation = self.incarnation;
        row.session = self.session.id;
        row.exclusive = false;
        row.attributes = row.attributes.merged(&self.options.attributes);
        row.updated_at = now;
        row.expires_at = now.saturating_add(self.expiry);
        tx.insert_blob(&self.blob, row.id).await?;
        if !tx.update_upload(&row, &[state], generation).await? {
            return Err(super::work::taken_over());
        }
        Ok(Begun { credit: credit(&row, visible.as_ref()), row, visible, plain: false })
    }
}

/// `PreconditionFailed` unless the conditions hold of what is there. A folder is told as such elsewhere.
pub(super) fn require_conditions(conditions: &UploadConditions, visible: Option<&Node>) -> Result<()> {
    let content = visible.and_then(|node| node.content.as_ref());
    if visible.is_some_and(Node::is_folder) || conditions.hold(content.map(|content| &content.sha256)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PreconditionFailed,
        "the file is not as the conditions of the upload's first request say; read it again and decide anew",
    ))
}

/// `PreconditionFailed` unless the visible version has one of the digests, where any are given.
pub(crate) fn require_match(digests: Option<&[[u8; 32]]>, visible: Option<&Node>) -> Result<()> {
    require_digest(digests, visible.and_then(|node| node.content.as_ref()).map(|content| content.sha256))
}

/// The same for a digest; none: there is no content.
pub(crate) fn require_digest(digests: Option<&[[u8; 32]]>, current: Option<[u8; 32]>) -> Result<()> {
    let Some(digests) = digests else { return Ok(()) };
    if current.is_some_and(|current| digests.contains(&current)) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::PreconditionFailed, "the file is not the version that the condition names"))
    }
}

impl Inner {
    /// The bandwidth of a session, shared by all that it moves at a time.
    pub(crate) fn pacer(&self, session: &Session) -> Arc<Pacer> {
        let mut pacers = held(&self.pacers);
        if let Some(pacer) = pacers.get(&session.id).and_then(std::sync::Weak::upgrade) {
            return pacer;
        }
        pacers.retain(|_, pacer| pacer.strong_count() > 0);
        let limits = self.limits();
        let pacer = Arc::new(Pacer::new(limits.bandwidth_up, limits.bandwidth_down));
        pacers.insert(session.id, Arc::downgrade(&pacer));
        pacer
    }

    /// See [`crate::Gateway::begin_upload`].
    pub(crate) async fn begin_upload(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        options: UploadOptions,
    ) -> Result<Upload> {
        let result = self.begin_unrecorded(session, path, options).await;
        self.recorded(session, Operation::Upload, &Target::Path(path.clone()), result).await
    }

    /// The same; a failure is the caller's to put on record.
    pub(super) async fn begin_unrecorded(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        options: UploadOptions,
    ) -> Result<Upload> {
        // Enduring: a caller that goes away while the ledger writes must not leave an upload behind that is open and held
        // by nobody. The handle that nobody takes is dropped, and so detached.
        let (inner, held_session, to) = (self.clone(), session.clone(), path.clone());
        let begun = async move { inner.begin_upload_at(&held_session, &to, options).await };
        enduring(&self.tasks, "beginning an upload", begun).await.flatten()
    }

    async fn begin_upload_at(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        options: UploadOptions,
    ) -> Result<Upload> {
        let beginning = self.beginning(session, path, options, None)?;
        let (place, options, blob) = (beginning.place.clone(), beginning.options.clone(), beginning.blob.clone());
        let store = self.storage(&blob.storage)?.clone();
        let Begun { row, visible, plain, credit } = self.run_beginning(beginning).await?;
        let visible = visible.map(|node| Entry::of_node(&node, path.clone(), false));
        let (id, resumed) = (row.id, row.generation > 1);
        let announced = row.plan.as_ref().and_then(UploadPlan::digest);
        let mut work = Work::new(row, blob, store, plain);
        work.expected = options.expected_sha256.or(announced);
        work.credit = credit;
        Ok(Upload::new(Arc::new(UploadCore {
            inner: self.clone(),
            session: session.clone(),
            place,
            path: path.clone(),
            options,
            id,
            resumed,
            completing: false,
            began: Instant::now(),
            visible,
            touched: AtomicI64::new(now()),
            work: Arc::new(Mutex::new(work)),
            pacer: self.pacer(session),
            span: session.span.child("upload"),
        })))
    }

    /// The transaction that begins an upload.
    pub(super) async fn run_beginning(&self, beginning: Beginning) -> Result<Begun> {
        self.write(beginning.session.reach(), Durability::Process, move |tx| {
            let beginning = beginning.clone();
            Box::pin(async move { beginning.run(tx).await })
        })
        .await
    }

    /// What can be refused without the ledger is refused here.
    pub(super) fn beginning(
        &self,
        session: &Arc<Session>,
        path: &VirtualPath,
        options: UploadOptions,
        plan: Option<UploadPlan>,
    ) -> Result<Beginning> {
        self.require_open()?;
        session.require_live()?;
        let place = locate_place(session, path)?;
        place.split()?;
        if place.mount_point {
            return Err(Error::new(ErrorKind::IsFolder, "a fixed folder of your view has that name"));
        }
        // Whoever may write nothing here at all learns no more than that.
        policy::require_either(place.permissions, Permission::Upload, Permission::Overwrite)?;
        self.ledger.has_room()?;
        if options.declared_size.is_some_and(|size| size > self.limits().max_file_size) {
            return Err(Error::too_large(self.limits().max_file_size));
        }
        let mount =
            session.tenant.mount_of(&place.path).ok_or_else(|| Error::internal("a tenant without a mount at /"))?;
        let blob =
            BlobId { key: Uuid::new_v4(), storage: mount.storage.as_str().into(), prefix: mount.path.as_str().into() };
        Ok(Beginning {
            session: session.clone(),
            node: self.settings.node.as_str().into(),
            place,
            options,
            id: Uuid::now_v7(),
            incarnation: self.incarnation,
            blob,
            expiry: micros(self.limits().incomplete_expiry),
            plan,
        })
    }

    /// Brings the row of an upload that a session of this process holds up to what was received by now.
    pub(crate) async fn bring_up_to_date(&self, row: &mut UploadRow) {
        if row.state != UploadState::Open {
            return;
        }
        let core = held(&self.uploads).get(&row.id).and_then(std::sync::Weak::upgrade);
        if let Some(core) = core {
            let work = core.work.lock().await;
            row.size = work.size;
            row.prefix = work.size;
            row.attributes = work.row.attributes.clone();
        }
    }

    /// Holds the working states of the uploads, of this process, that this viewer sees at a place, so that a change of
    /// their rows and of their holders' copies is one step.
    pub(crate) async fn hold_uploads(
        &self,
        viewer: &Viewer,
        place: &Place,
    ) -> Result<Vec<tokio::sync::OwnedMutexGuard<Work>>> {
        let mut cores: Vec<Arc<UploadCore>> = held(&self.uploads)
            .values()
            .filter_map(std::sync::Weak::upgrade)
            .filter(|core| core.session.tenant.id == viewer.tenant && core.session.identity.id == viewer.identity)
            .collect();
        if cores.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = self.ledger.read(Reach::Tenant(viewer.tenant.clone())).await?;
        let (parent, name) = match (find(&mut *query, &viewer.tenant, place).await, place.split()) {
            (Ok(found), Ok((_, name))) => match found.parent {
                Some(parent) => (parent.id, name),
                None => return Ok(Vec::new()),
            },
            _ => return Ok(Vec::new()),
        };
        let named = query.uploads_named(parent, &name).await?;
        drop(query);
        cores.retain(|core| named.iter().any(|row| row.id == core.id));
        cores.sort_by_key(|core| core.id);
        let mut guards = Vec::new();
        for core in cores {
            guards.push(core.work.clone().lock_owned().await);
        }
        Ok(guards)
    }
}
