//! Webhooks: declared, changed, their secrets rotated, and how their endpoints fare. Whoever has `webhooks:write` manages those of its
//! tenant; those of the configuration are shown, tested and enabled like the others, and cannot be changed here.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Administered, Amendment, ManagedBy, Refusal, Spec, Wish};
use crate::error::{Error, ErrorKind, Result};
use crate::events::key_of;
use crate::events::target::Targets;
use crate::gateway::Inner;
use crate::identity::spec::{Fault, PreviousSecretSpec, WebhookSpec, generate_webhook_secret};
use crate::identity::{ScopeSet, Session};
use crate::ports::Reach;
use crate::records::{Circuit, Micros, ObjectKey, ObjectKind, WebhookHealth, now};

/// How long the old secret of a rotation signs, too, where nothing else is said.
const GRACE: Duration = Duration::from_hours(24);
/// The longest that may be asked for.
const MAX_GRACE: Duration = Duration::from_hours(30 * 24);
/// What is administered here.
const WEBHOOK: &str = "webhook";

/// A webhook that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewWebhook {
    /// Its id; none: a new UUIDv7.
    pub id: Option<String>,
    /// Where to.
    pub url: String,
    /// Which kinds of events; none: all.
    pub events: Option<Vec<String>>,
    /// Only events about files under this glob.
    pub path: Option<String>,
    /// What its deliveries are signed with; none: one is made.
    pub secret: Option<SecretString>,
    /// Authorities that are believed beside the usual ones: PEM.
    pub ca: Option<String>,
    /// The client's certificate with its private key: PEM.
    pub client_identity: Option<SecretString>,
}

/// What of a webhook becomes another; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// Which kinds of events.
    pub events: Option<Vec<String>>,
    /// Only events about files under this glob.
    pub path: Amendment<String>,
    /// Authorities that are believed beside the usual ones.
    pub ca: Amendment<String>,
    /// The client's certificate with its private key.
    pub client_identity: Amendment<SecretString>,
}

/// How a secret is replaced.
#[derive(Clone, Debug, Default)]
pub struct SecretRotation {
    /// How long the old one signs, too; none: a day. At most thirty days; zero: not at all.
    pub grace: Option<Duration>,
    /// The new one; none: one is made.
    pub secret: Option<SecretString>,
}

/// A webhook, as administrators see it.
#[derive(Clone, Debug)]
pub struct ShownWebhook {
    /// Its id.
    pub id: String,
    /// Where to.
    pub url: String,
    /// Which kinds of events.
    pub events: Vec<String>,
    /// Only events about files under this glob.
    pub path: Option<String>,
    /// Until when the secret before a rotation signs, too.
    pub previous_ends_at: Option<OffsetDateTime>,
    /// Authorities that are believed beside the usual ones: PEM.
    pub ca: Option<String>,
    /// Whether it is shown a client certificate. (Of those of the configuration that is not said.)
    pub has_client_identity: bool,
    /// Where it was declared.
    pub managed_by: ManagedBy,
    /// When it was made; none where the configuration declares it.
    pub created_at: Option<Micros>,
    /// Why it does not count; none: it does.
    pub left_out: Option<String>,
    /// What goes to its endpoint.
    pub circuit: Circuit,
    /// How the endpoint fares.
    pub health: WebhookHealth,
    /// See [`Administered::version`].
    pub version: Option<i64>,
    /// See [`Administered::tag`].
    pub tag: String,
}

impl Spec for WebhookSpec {
    const KIND: ObjectKind = ObjectKind::Webhook;

    fn declared(record: &crate::identity::TenantRecord) -> Vec<(String, Self)> {
        record.webhooks.iter().map(|webhook| (webhook.id.to_string(), Self::of(webhook))).collect()
    }

    fn check(&self, key: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.webhook(&key.tenant, &key.id).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}

impl ShownWebhook {
    /// None where the record of it cannot be read.
    fn of(one: Administered<WebhookSpec>, health: Option<WebhookHealth>, now: Micros) -> Option<Self> {
        let Administered { key, managed_by, version, tag, created_at, left_out, spec, .. } = one;
        let spec = spec?;
        let health = health.unwrap_or_else(|| WebhookHealth::new(&key_of(&key.tenant, &key.id)));
        let today = OffsetDateTime::now_utc();
        Some(Self {
            id: key.id,
            url: spec.url,
            events: spec.events,
            path: spec.path,
            ca: spec.ca,
            has_client_identity: spec.client_identity.is_some(),
            previous_ends_at: spec.previous.map(|previous| previous.ends_at).filter(|at| *at > today),
            managed_by,
            created_at,
            left_out,
            circuit: health.circuit(now),
            health,
            version,
            tag,
        })
    }
}

impl Inner {
    /// See [`crate::Gateway::may_manage_webhooks`].
    pub(crate) async fn may_manage_webhooks(&self, session: &Session) -> Result<()> {
        let may = self.administers(session, ObjectKind::Webhook, None).map(drop);
        if let Err(error) = &may {
            let object = ObjectKey::new(&session.tenant.id, ObjectKind::Webhook, "");
            self.put_refused_change(session, &object, "changed", error).await;
        }
        may
    }

    /// See [`crate::Gateway::webhooks`].
    pub(crate) async fn webhooks(&self, session: &Session, tenant: Option<&str>) -> Result<Vec<ShownWebhook>> {
        let all = self.administered::<WebhookSpec>(session, tenant).await?;
        let Some(owner) = all.first().map(|one| one.key.tenant.clone()) else { return Ok(Vec::new()) };
        let known = self.ledger.read(Reach::of(&owner)).await?.webhook_healths(Some(&owner)).await?;
        let mut known: HashMap<String, WebhookHealth> =
            known.into_iter().map(|health| (health.webhook.clone(), health)).collect();
        let now = now();
        let shown = |one: Administered<WebhookSpec>| {
            let health = known.remove(&key_of(&one.key.tenant, &one.key.id));
            ShownWebhook::of(one, health, now)
        };
        Ok(all.into_iter().filter_map(shown).collect())
    }

    /// See [`crate::Gateway::webhook`].
    pub(crate) async fn webhook(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<ShownWebhook> {
        let all = self.webhooks(session, tenant).await?;
        all.into_iter().find(|one| one.id == id).ok_or_else(no_webhook)
    }

    /// Whether a webhook may be sent to this URL.
    fn url_fault(&self, url: &str) -> Option<Fault> {
        let unfit = Targets::new(self.settings.private_webhooks).parse(url).err()?;
        Some(Fault::new("url", unfit.to_string()))
    }

    /// See [`crate::Gateway::make_webhook`].
    pub(crate) async fn make_webhook(
        &self,
        session: &Session,
        tenant: Option<&str>,
        new: NewWebhook,
    ) -> Result<(ShownWebhook, SecretString), Refusal> {
        let id = new.id.unwrap_or_else(|| Uuid::now_v7().to_string());
        let secret = match new.secret {
            Some(secret) => secret,
            None => generate_webhook_secret()?,
        };
        let spec = WebhookSpec {
            url: new.url,
            events: new.events.unwrap_or_else(|| vec!["*".to_owned()]),
            path: new.path.filter(|path| !path.is_empty()),
            secret: Some(secret.clone()),
            previous: None,
            ca: new.ca.filter(|text| !text.is_empty()),
            client_identity: new.client_identity,
        };
        // Who may not do it at all hears that first.
        if let Ok(owner) = self.administers(session, ObjectKind::Webhook, tenant) {
            let mut wrong = spec.webhook(&owner, &id).err().unwrap_or_default();
            if wrong.iter().all(|fault| fault.field != "url") {
                wrong.extend(self.url_fault(&spec.url));
            }
            if !wrong.is_empty() {
                return Err(Refusal::Wrong(wrong));
            }
        }
        self.change_object(session, tenant, &id, Wish::Make(spec)).await?;
        Ok((self.webhook(session, tenant, &id).await?, secret))
    }

    /// See [`crate::Gateway::change_webhook`].
    pub(crate) async fn change_webhook(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        change: WebhookChange,
        expected: Option<i64>,
    ) -> Result<ShownWebhook, Refusal> {
        // A URL that is not sent is not judged anew: what was right when it was saved may be changed in the rest.
        if let Some(fault) = change.url.as_deref().and_then(|url| self.url_fault(url)) {
            self.administers(session, ObjectKind::Webhook, tenant)?;
            return Err(Refusal::Wrong(vec![fault]));
        }
        let changed = |spec: WebhookSpec| WebhookSpec {
            url: change.url.clone().unwrap_or(spec.url),
            events: change.events.clone().unwrap_or(spec.events),
            path: change.path.of(spec.path).filter(|path| !path.is_empty()),
            ca: change.ca.of(spec.ca),
            client_identity: change.client_identity.of(spec.client_identity),
            ..spec
        };
        self.change_webhook_by(session, (tenant, id), expected, changed).await?;
        Ok(self.webhook(session, tenant, id).await?)
    }

    /// See [`crate::Gateway::rotate_webhook_secret`].
    pub(crate) async fn rotate_webhook_secret(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        rotation: SecretRotation,
        expected: Option<i64>,
    ) -> Result<(ShownWebhook, SecretString), Refusal> {
        let grace = rotation.grace.unwrap_or(GRACE);
        if grace > MAX_GRACE {
            return Err(Refusal::Wrong(vec![Fault::new("grace", "the old secret may go on for \"30d\" at most")]));
        }
        let secret = match rotation.secret {
            Some(secret) => secret,
            None => generate_webhook_secret()?,
        };
        let longer = time::Duration::try_from(grace).unwrap_or(time::Duration::ZERO);
        let ends_at = OffsetDateTime::now_utc().saturating_add(longer);
        let rotated = |spec: WebhookSpec| WebhookSpec {
            previous: (!grace.is_zero()).then(|| PreviousSecretSpec { secret: spec.secret.clone(), ends_at }),
            secret: Some(secret.clone()),
            ..spec
        };
        self.change_webhook_by(session, (tenant, id), expected, rotated).await?;
        Ok((self.webhook(session, tenant, id).await?, secret))
    }

    /// Makes another one of a webhook as it is when that is done. `expected`: its version; none: any.
    async fn change_webhook_by(
        &self,
        session: &Session,
        named: (Option<&str>, &str),
        expected: Option<i64>,
        change: impl Fn(WebhookSpec) -> WebhookSpec,
    ) -> Result<(), Refusal> {
        self.change_by(session, named, expected, WEBHOOK, |now: &Administered<WebhookSpec>| {
            Ok(Some(change(now.spec.clone().ok_or_else(unreadable)?)))
        })
        .await
    }

    /// See [`crate::Gateway::remove_webhook`].
    pub(crate) async fn remove_webhook(
        &self,
        session: &Session,
        named: (Option<&str>, &str),
        expected: Option<i64>,
    ) -> Result<(), Refusal> {
        self.change_by::<WebhookSpec>(session, named, expected, WEBHOOK, |_| Ok(None)).await
    }
}

pub(super) fn no_webhook() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such webhook")
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Conflict, "the record of this webhook cannot be read by this version; remove it")
}
