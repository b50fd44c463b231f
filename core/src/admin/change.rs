//! One change of an object. It is decided on what this node knows, and done only where nobody has changed anything since: the
//! generation of the objects says so in the transaction, on every node. Otherwise it is decided anew.

use std::sync::Arc;

use super::{Administered, Refusal, Spec, guard, of_object};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, ObjectChange, Operation, Status, key_of};
use crate::gateway::Inner;
use crate::identity::spec::{Fault, masked};
use crate::identity::{Directory, Session};
use crate::ports::{Durability, Reach, Tx};
use crate::records::{ObjectKey, ObjectKind, StoredObject, now};

/// How often a change is decided anew because others were faster.
const TRIES: u32 = 20;
/// The same of what is decided on an object of a version, for a client that named none.
const FRESH_TRIES: u32 = 5;

/// What an administrator wants of an object.
#[derive(Clone, Debug)]
pub(crate) enum Wish<S> {
    /// That it is there.
    Make(S),
    /// That the one of this version becomes another; none: of a version that nobody has.
    Replace(Option<i64>, S),
    /// That the one of this version is gone; the same.
    Remove(Option<i64>),
}

impl<S> Wish<S> {
    /// The word in events and audit entries.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Make(_) => "created",
            Self::Replace(..) => "changed",
            Self::Remove(_) => "removed",
        }
    }

    const fn spec(&self) -> Option<&S> {
        match self {
            Self::Make(spec) | Self::Replace(_, spec) => Some(spec),
            Self::Remove(_) => None,
        }
    }
}

/// What a change comes to.
struct Step {
    before: Option<StoredObject>,
    after: Option<StoredObject>,
}

impl Inner {
    /// Does what an administrator wants of an object, or says why not; either is on record, but for a body that is wrong. What was
    /// made of the object; none: it is gone.
    pub(crate) async fn change_object<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        wish: Wish<S>,
    ) -> Result<Option<Administered<S>>, Refusal> {
        self.require_open()?;
        let named = match (S::KIND, tenant) {
            (ObjectKind::Tenant, _) => id,
            (ObjectKind::Setting, _) => "",
            (_, Some(tenant)) => tenant,
            (_, None) => &session.tenant.id,
        };
        let key = ObjectKey::new(named, S::KIND, id);
        let done = match self.administers(session, S::KIND, tenant) {
            Ok(_) => self.carry_change(session, &key, &wish).await,
            Err(error) => Err(error.into()),
        };
        if let Err(refusal) = &done {
            match refusal {
                Refusal::Wrong(_) => {}
                Refusal::Declared
                | Refusal::Taken
                | Refusal::InUse(_)
                | Refusal::HasFiles
                | Refusal::LastAdmin
                | Refusal::Failed(_) => {
                    self.put_refused_change(session, &key, wish.as_str(), &refusal.error()).await;
                }
            }
        }
        done
    }

    /// Makes of an object what is decided on it as it is when that is done: it is decided anew where another change came first.
    /// None: it is to be gone. `expected`: the version that it must have; none: any. `what` it is called in what is said of it.
    pub(super) async fn change_by<S: Spec>(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        expected: Option<i64>,
        what: &str,
        decide: impl Fn(&Administered<S>) -> Result<Option<S>, Refusal>,
    ) -> Result<(), Refusal> {
        for _ in 0..FRESH_TRIES {
            let now = self.administered_called::<S>(session, (tenant, id), what).await?;
            let version = expected.or(now.version);
            let wish = match decide(&now)? {
                Some(spec) => Wish::Replace(version, spec),
                None => Wish::Remove(version),
            };
            match self.change_object(session, tenant, id, wish).await {
                Err(Refusal::Failed(error)) if error.kind() == ErrorKind::PreconditionFailed && expected.is_none() => {}
                done => return done.map(drop),
            }
        }
        let sentence = format!("others are changing this {what} at the moment; try again");
        Err(Error::new(ErrorKind::Unavailable, sentence).into())
    }

    async fn carry_change<S: Spec>(
        &self,
        session: &Session,
        key: &ObjectKey,
        wish: &Wish<S>,
    ) -> Result<Option<Administered<S>>, Refusal> {
        let _one = self.changing.lock().await;
        for _ in 0..TRIES {
            self.follow().await?;
            let directory = self.directory();
            let step = plan(session, &directory, key, wish)?;
            if let Some(spec) = wish.spec() {
                self.check(&directory, key, spec)?;
            } else if S::KIND == ObjectKind::Tenant {
                self.require_empty(&key.id).await?;
            }
            let generation = directory.generation() + 1;
            let stored = with_step(&directory, &step);
            let next = self.directory_of(directory.declared().clone(), generation, stored).await?;
            if let Some(why) = next.why_left_out(key).filter(|_| step.after.is_some()) {
                return Err(Refusal::Wrong(vec![Fault::new("body", why)]));
            }
            guard::consequences(session, &directory, &next, key)?;
            if self.put_step(session, key, wish, &step, &directory).await? {
                self.put_in_place(next);
                return Ok(step.after.map(|object| of_object(&object, wish.spec().cloned())));
            }
        }
        let sentence = "others are changing objects at the moment; try again";
        Err(Error::new(ErrorKind::Unavailable, sentence).into())
    }

    fn check<S: Spec>(&self, directory: &Directory, key: &ObjectKey, spec: &S) -> Result<(), Refusal> {
        let mut faults = spec.check(key, &self.storage_names()).err().unwrap_or_default();
        if let Some(identity) = spec.identity()
            && directory.identity(&key.tenant, identity).is_none()
            && !faults.iter().any(|fault| fault.field == "identity")
        {
            faults.push(Fault::new("identity", "there is no identity of this id in the tenant; make it first"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Wrong(faults)) }
    }

    /// A tenant's tree outlives the tenant, and must not be another one's of the same name.
    async fn require_empty(&self, tenant: &str) -> Result<(), Refusal> {
        let mut query = self.ledger.read(Reach::of(tenant)).await?;
        let root = query.walk(tenant, &[]).await?.pop();
        let has_files = match root {
            Some(root) => query.has_children(root.id).await? || query.usage(tenant, None).await? > 0,
            None => false,
        };
        if has_files { Err(Refusal::HasFiles) } else { Ok(()) }
    }

    /// The transaction; false: others were faster.
    async fn put_step<S: Spec>(
        &self,
        session: &Session,
        key: &ObjectKey,
        wish: &Wish<S>,
        step: &Step,
        directory: &Directory,
    ) -> Result<bool> {
        let generation = directory.generation();
        // Nobody is to get what was meant for one that is gone, or be judged by how that one fared, should there be another of its name.
        // One that the configuration declares under it lives on, and its deliveries with it.
        let begins_or_ends = step.before.is_none() || step.after.is_none();
        let forgotten = (S::KIND == ObjectKind::Webhook && begins_or_ends && !directory.declares(key))
            .then(|| key_of(&key.tenant, &key.id));
        let earlier = step.before.as_ref().and_then(|object| serde_json::from_str(&object.body).ok());
        let mut facts = self.facts_of_change(session, key, wish.as_str());
        if let Some(change) = &mut facts.change {
            change.before = earlier.as_ref().map(|spec: &serde_json::Value| masked(spec, None));
            change.after = wish.spec().map(|spec| masked(spec, earlier.as_ref()));
        }
        let (audit, events) = (facts.audit(), vec![facts.event("admin.changed")]);
        let (key, before, after) = (key.clone(), step.before.as_ref().map(|object| object.version), step.after.clone());
        // The count of changes is the gateway's, whoever changes.
        self.write(Reach::Gateway, Durability::Disk, move |tx: &mut dyn Tx| {
            let (audit, events, key, after) = (audit.clone(), events.clone(), key.clone(), after.clone());
            let forgotten = forgotten.clone();
            Box::pin(async move {
                if !tx.advance_objects(generation).await? {
                    return Ok(false);
                }
                let done = match (&after, before) {
                    (Some(object), before) => tx.put_object(object, before).await?,
                    (None, Some(before)) => tx.delete_object(&key, before).await?,
                    (None, None) => false,
                };
                if !done {
                    // Somebody changes the table past the gateway.
                    return Err(Error::internal("an object has changed and its generation has not"));
                }
                if let Some(webhook) = &forgotten {
                    tx.forget_webhook(webhook).await?;
                }
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Puts on record that nothing came of a change.
    pub(crate) async fn put_refused_change(
        &self,
        session: &Session,
        key: &ObjectKey,
        change: &'static str,
        error: &Error,
    ) {
        let mut facts = self.facts_of_change(session, key, change).failed(error);
        let denied = error.kind().is_refusal();
        // A rule said no, also where it is no permission that is missing.
        if matches!(
            error.kind(),
            ErrorKind::Conflict | ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed | ErrorKind::NotFound
        ) {
            facts.status = Status::Denied;
        }
        let events = if denied { vec![facts.event("policy.violated")] } else { Vec::new() };
        if let Err(failure) = self.put(Durability::Disk, facts.audit(), events).await {
            tracing::error!(error = %failure, "a refused change could not be put on record");
        }
    }

    /// On the trail of the tenant that it is about, where that is one that there is; of tenants and settings on the caller's.
    pub(super) fn facts_of_change(&self, session: &Session, key: &ObjectKey, change: &'static str) -> Facts {
        let mut facts = self.facts(session, Operation::Admin);
        let mut made = ObjectChange { key: key.clone(), change, before: None, after: None, actor_tenant: None };
        let apart = ![ObjectKind::Tenant.as_str(), ObjectKind::Setting.as_str()].contains(&&*key.kind);
        let operates = session.scopes.allows(crate::identity::Scope::AdminGateway);
        if apart
            && operates
            && *key.tenant != *session.tenant.id
            && let Some(tenant) = self.directory().tenant(&key.tenant)
        {
            made.actor_tenant = facts.tenant.replace(tenant.id.clone());
        }
        facts.change = Some(Box::new(made));
        facts
    }
}

/// What becomes of an object, where that is allowed.
fn plan<S: Spec>(session: &Session, directory: &Directory, key: &ObjectKey, wish: &Wish<S>) -> Result<Step, Refusal> {
    let before = directory.objects().iter().find(|object| object.key == *key).cloned();
    let declared = directory.declares(key);
    match (wish, &before) {
        (Wish::Make(_), Some(_)) => return Err(Refusal::Taken),
        (Wish::Make(_), None) if declared => return Err(Refusal::Taken),
        (Wish::Make(_), None) => guard::room(directory, key)?,
        // One that the configuration declares, too, does not count; it can be removed all the same.
        (Wish::Remove(Some(expected)), Some(object)) if object.version == *expected => {}
        (Wish::Replace(..) | Wish::Remove(_), _) if declared => return Err(Refusal::Declared),
        (Wish::Replace(..) | Wish::Remove(_), None) => return Err(Error::not_found().into()),
        (Wish::Replace(expected, _) | Wish::Remove(expected), Some(object)) => {
            if *expected != Some(object.version) {
                let sentence = "somebody else has changed this meanwhile; read it again and decide anew";
                return Err(Error::new(ErrorKind::PreconditionFailed, sentence).into());
            }
        }
    }
    let earlier: Option<S> = before.as_ref().and_then(|object| serde_json::from_str(&object.body).ok());
    guard::scopes(session, directory, key, earlier.as_ref())?;
    guard::scopes(session, directory, key, wish.spec())?;
    let after = match wish.spec() {
        None => None,
        Some(spec) => {
            let at = now();
            Some(StoredObject {
                key: key.clone(),
                version: directory.generation() + 1,
                body: serde_json::to_string(spec).map_err(Error::internal)?,
                created_at: before.as_ref().map_or(at, |object| object.created_at),
                changed_at: at,
            })
        }
    };
    Ok(Step { before, after })
}

/// The objects as they are after a change.
fn with_step(directory: &Directory, step: &Step) -> Arc<[StoredObject]> {
    let gone = step.before.as_ref().map(|object| &object.key);
    let stay = directory.objects().iter().filter(|object| Some(&object.key) != gone).cloned();
    let mut all: Vec<StoredObject> = stay.chain(step.after.clone()).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "change_test.rs"]
pub(super) mod tests;
