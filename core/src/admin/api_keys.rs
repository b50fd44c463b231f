//! API keys: made, shown once, rotated, ended. Of a key only its SHA-256 and its first letters are kept.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Administered, ManagedBy, Refusal, Spec, Wish};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::spec::{ApiKeySpec, Fault, KeyTextSpec, PreviousKeySpec};
use crate::identity::{Directory, KeyMatch, Scope, ScopeSet, Session, SignatureRule, generate_key};
use crate::ports::Reach;
use crate::records::{KeyUse, ObjectKey, ObjectKind, instant};

/// How long the old key of a rotation counts where nothing else is said.
const GRACE: Duration = Duration::from_hours(24);
/// The longest that may be asked for: a key that was replaced is not to stay for ever.
const MAX_GRACE: Duration = Duration::from_hours(30 * 24);
/// What it is called in what is said of it.
const KEY: &str = "API key";

/// A key that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewApiKey {
    /// Its id, unique over the gateway; none: a new UUIDv7.
    pub id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The identity's id.
    pub identity: String,
    /// Narrows the identity's scopes; empty: all of them.
    pub scopes: Vec<String>,
    /// From then on it is refused.
    pub expires: Option<OffsetDateTime>,
    /// Networks that it may come from; empty: all.
    pub allow_from: Vec<String>,
    /// Which signature its requests must have.
    pub require_signature: SignatureRule,
    /// The secret of `hmac-sha256` and `X-Signature`.
    pub signing_secret: Option<SecretString>,
    /// The public keys of the other algorithms.
    pub signature_keys: Vec<String>,
}

/// What becomes of something that a key may have or not.
#[derive(Clone, Debug, Default)]
pub enum Amendment<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// The key has it no more.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T: Clone> Amendment<T> {
    pub(super) fn of(&self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

/// What of a key becomes another; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// What people call it.
    pub name: Amendment<String>,
    /// Its scopes.
    pub scopes: Option<Vec<String>>,
    /// Its end.
    pub expires: Amendment<OffsetDateTime>,
    /// Its networks.
    pub allow_from: Option<Vec<String>>,
    /// Which signature its requests must have.
    pub require_signature: Option<SignatureRule>,
    /// The secret that they are signed with.
    pub signing_secret: Amendment<SecretString>,
    /// The public keys for them.
    pub signature_keys: Option<Vec<String>>,
}

/// How a key is replaced.
#[derive(Clone, Debug, Default)]
pub struct KeyRotation {
    /// How long the old one goes on; none: a day. At most thirty days; zero: not at all.
    pub grace: Option<Duration>,
    /// The key's end from now on; none: it stays.
    pub expires: Option<OffsetDateTime>,
}

/// How a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It lets in.
    Active,
    /// It lets in, and so does the one before it.
    Rotating,
    /// It is over: by its own end, or too old.
    Expired,
    /// It does not count: see [`Administered::left_out`].
    Unusable,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Rotating, Self::Expired, Self::Unusable];

    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotating => "rotating",
            Self::Expired => "expired",
            Self::Unusable => "unusable",
        }
    }
}

/// A key, as administrators see it.
#[derive(Clone, Debug)]
pub struct ShownApiKey {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Its first letters; none of a key that was never seen here.
    pub prefix: Option<String>,
    /// The identity's id.
    pub identity: String,
    /// Narrows the identity's scopes; empty: all of them.
    pub scopes: ScopeSet,
    /// When it was made, as far as that is known.
    pub created_at: Option<OffsetDateTime>,
    /// Its own end.
    pub expires_at: Option<OffsetDateTime>,
    /// When it is refused, by whatever comes first.
    pub ends_at: Option<OffsetDateTime>,
    /// When it, or the one before it, last let somebody in.
    pub last_used_at: Option<OffsetDateTime>,
    /// Networks that it may come from; empty: all.
    pub allow_from: Vec<IpNet>,
    /// Which signature its requests must have.
    pub require_signature: SignatureRule,
    /// Whether there is a secret that they are signed with.
    pub has_signing_secret: bool,
    /// The public keys for them.
    pub signature_keys: Vec<String>,
    /// The first letters of the one before it, while that counts.
    pub previous_prefix: Option<String>,
    /// Until when that counts.
    pub previous_ends_at: Option<OffsetDateTime>,
    /// Where it was declared.
    pub managed_by: ManagedBy,
    /// How it is.
    pub state: KeyState,
    /// Why it does not count; none: it does.
    pub left_out: Option<String>,
    /// See [`Administered::version`].
    pub version: Option<i64>,
    /// See [`Administered::tag`].
    pub tag: String,
}

impl Spec for ApiKeySpec {
    const KIND: ObjectKind = ObjectKind::ApiKey;

    fn declared(record: &crate::identity::TenantRecord) -> Vec<(String, Self)> {
        record.api_keys.iter().map(|key| (key.id.to_string(), Self::of(key))).collect()
    }

    fn check(&self, key: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.api_key(&key.id).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn scopes(&self) -> ScopeSet {
        self.scopes.iter().filter_map(|scope| Scope::parse(scope)).collect()
    }
}

/// What of a key was sent, and is looked at.
#[derive(Clone, Copy)]
struct New {
    scopes: bool,
    end: bool,
}

/// What is wrong with a key beside its texts: more than its identity may, or an end that has come already.
fn faults(directory: &Directory, tenant: &str, spec: &ApiKeySpec, new: New) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(identity) = directory.identity(tenant, &spec.identity).filter(|_| new.scopes) {
        for (place, word) in spec.scopes.iter().enumerate() {
            let beyond = Scope::parse(word).is_some_and(|scope| !identity.scopes.allows(scope));
            if beyond {
                let detail = format!("the identity does not have `{word}`; a key narrows what its identity may");
                faults.push(Fault::new(format!("scopes[{place}]"), detail));
            }
        }
    }
    if new.end && spec.expires.is_some_and(|end| end <= OffsetDateTime::now_utc()) {
        faults.push(Fault::new("expires", "this moment has passed; write one to come"));
    }
    faults
}

impl Inner {
    /// See [`crate::Gateway::may_administer`].
    pub(crate) async fn may_administer(&self, session: &Session) -> Result<()> {
        let may = self.administers(session, ObjectKind::ApiKey, None).map(drop);
        if let Err(error) = &may {
            let object = ObjectKey::new(&session.tenant.id, ObjectKind::ApiKey, "");
            self.put_refused_change(session, &object, "changed", error).await;
        }
        may
    }

    /// See [`crate::Gateway::api_keys`].
    pub(crate) async fn api_keys(&self, session: &Session, tenant: Option<&str>) -> Result<Vec<ShownApiKey>> {
        let all = self.administered::<ApiKeySpec>(session, tenant).await?;
        let Some(tenant) = all.first().map(|one| one.key.tenant.clone()) else { return Ok(Vec::new()) };
        // When they were used is not worth an answer that is missing: of a new key it is the only one.
        let read = async { self.ledger.read(Reach::of(&tenant)).await?.key_uses(&tenant).await };
        let uses = read.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "when API keys were last used cannot be read");
            Vec::new()
        });
        let uses: HashMap<[u8; 32], KeyUse> = uses.into_iter().map(|one| (one.digest, one)).collect();
        let directory = self.directory();
        Ok(all.into_iter().filter_map(|one| self.shown_key(&directory, &uses, one)).collect())
    }

    /// See [`crate::Gateway::api_key`].
    pub(crate) async fn api_key(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<ShownApiKey> {
        let all = self.api_keys(session, tenant).await?;
        all.into_iter().find(|key| key.id == id).ok_or_else(no_key)
    }

    /// A key as it is shown; none where the record of it cannot be read.
    fn shown_key(
        &self,
        directory: &Directory,
        uses: &HashMap<[u8; 32], KeyUse>,
        one: Administered<ApiKeySpec>,
    ) -> Option<ShownApiKey> {
        let Administered { key, managed_by, version, tag, left_out, spec, .. } = one;
        let (spec, now) = (spec?, OffsetDateTime::now_utc());
        let made = spec.api_key(&key.id).ok();
        let found = directory.api_key(&key.tenant, &key.id).filter(|_| left_out.is_none());
        let previous = spec.previous.filter(|previous| previous.ends_at > now);
        let end = found.as_ref().and_then(|found| self.end_of_key(found)).map(|end| end.at);
        let digests = made.iter().flat_map(|made| {
            std::iter::once(made.key_hash).chain(made.previous.as_ref().map(|previous| previous.key_hash))
        });
        let last_used = digests
            .filter_map(|digest| self.key_book.last_used(&digest).max(uses.get(&digest).and_then(|one| one.last_used)));
        let created = |found: &KeyMatch| found.created(self.key_book.first_seen(&found.digest));
        let state = match (&found, end) {
            (None, _) => KeyState::Unusable,
            (Some(_), Some(end)) if end <= now => KeyState::Expired,
            (Some(_), _) if previous.is_some() => KeyState::Rotating,
            (Some(_), _) => KeyState::Active,
        };
        Some(ShownApiKey {
            last_used_at: last_used.max().and_then(instant),
            created_at: found.as_ref().and_then(created).or(spec.text.made_at),
            id: key.id,
            name: spec.name,
            prefix: spec.text.prefix,
            identity: spec.identity,
            scopes: made.as_ref().map(|made| made.scopes).unwrap_or_default(),
            expires_at: spec.expires,
            ends_at: end,
            allow_from: made.map(|made| made.allow_from).unwrap_or_default(),
            require_signature: spec.require_signature,
            has_signing_secret: spec.signing_secret.is_some(),
            signature_keys: spec.signature_keys,
            previous_ends_at: previous.as_ref().map(|previous| previous.ends_at),
            previous_prefix: previous.and_then(|previous| previous.text.prefix),
            managed_by,
            state,
            left_out,
            version,
            tag,
        })
    }

    /// See [`crate::Gateway::make_api_key`].
    pub(crate) async fn make_api_key(
        &self,
        session: &Session,
        tenant: Option<&str>,
        new: NewApiKey,
    ) -> Result<(ShownApiKey, SecretString), Refusal> {
        let id = new.id.unwrap_or_else(|| Uuid::now_v7().to_string());
        let key = generate_key()?;
        let spec = ApiKeySpec {
            identity: new.identity,
            name: new.name,
            scopes: new.scopes,
            expires: new.expires,
            allow_from: new.allow_from,
            require_signature: new.require_signature,
            signing_secret: new.signing_secret,
            signature_keys: new.signature_keys,
            text: KeyTextSpec::of(&key, OffsetDateTime::now_utc()),
            previous: None,
        };
        // Who may not do it at all hears that first.
        if let Ok(owner) = self.administers(session, ObjectKind::ApiKey, tenant) {
            let directory = self.directory();
            let mut wrong = spec.api_key(&id).err().unwrap_or_default();
            wrong.extend(faults(&directory, &owner, &spec, New { scopes: true, end: true }));
            if !wrong.is_empty() {
                return Err(Refusal::Wrong(wrong));
            }
            if directory.takes_key_id(&id) {
                let object = ObjectKey::new(&owner, ObjectKind::ApiKey, &id);
                self.put_refused_change(session, &object, "created", &Refusal::Taken.error()).await;
                return Err(Refusal::Taken);
            }
        }
        self.change_object(session, tenant, &id, Wish::Make(spec)).await?;
        Ok((self.api_key(session, tenant, &id).await?, key))
    }

    /// See [`crate::Gateway::rotate_api_key`].
    pub(crate) async fn rotate_api_key(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        rotation: KeyRotation,
        expected: Option<i64>,
    ) -> Result<(ShownApiKey, SecretString), Refusal> {
        let grace = rotation.grace.unwrap_or(GRACE);
        if grace > MAX_GRACE {
            return Err(Refusal::Wrong(vec![Fault::new("grace", "the old key may go on for \"30d\" at most")]));
        }
        let key = generate_key()?;
        let now = OffsetDateTime::now_utc();
        let rotated = |spec: ApiKeySpec| ApiKeySpec {
            previous: (!grace.is_zero())
                .then(|| PreviousKeySpec { text: spec.text.clone(), ends_at: now.saturating_add(longer(grace)) }),
            text: KeyTextSpec::of(&key, now),
            expires: rotation.expires.or(spec.expires),
            ..spec
        };
        let new = New { scopes: false, end: rotation.expires.is_some() };
        self.change_api_key_by(session, (tenant, id), new, expected, rotated).await?;
        Ok((self.api_key(session, tenant, id).await?, key))
    }

    /// See [`crate::Gateway::change_api_key`].
    pub(crate) async fn change_api_key(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        change: ApiKeyChange,
        expected: Option<i64>,
    ) -> Result<ShownApiKey, Refusal> {
        let new = New { scopes: change.scopes.is_some(), end: matches!(change.expires, Amendment::Set(_)) };
        let changed = |spec: ApiKeySpec| ApiKeySpec {
            name: change.name.of(spec.name),
            scopes: change.scopes.clone().unwrap_or(spec.scopes),
            expires: change.expires.of(spec.expires),
            allow_from: change.allow_from.clone().unwrap_or(spec.allow_from),
            require_signature: change.require_signature.unwrap_or(spec.require_signature),
            signing_secret: change.signing_secret.of(spec.signing_secret),
            signature_keys: change.signature_keys.clone().unwrap_or(spec.signature_keys),
            ..spec
        };
        self.change_api_key_by(session, (tenant, id), new, expected, changed).await?;
        Ok(self.api_key(session, tenant, id).await?)
    }

    /// Makes another one of a key as it is when that is done. `expected`: its version; none: any.
    async fn change_api_key_by(
        &self,
        session: &Session,
        named: (Option<&str>, &str),
        new: New,
        expected: Option<i64>,
        change: impl Fn(ApiKeySpec) -> ApiKeySpec,
    ) -> Result<(), Refusal> {
        self.change_by(session, named, expected, KEY, |now: &Administered<ApiKeySpec>| {
            let next = change(now.spec.clone().ok_or_else(unreadable)?);
            let wrong = faults(&self.directory(), &now.key.tenant, &next, new);
            if wrong.is_empty() || now.managed_by == ManagedBy::Config {
                Ok(Some(next))
            } else {
                Err(Refusal::Wrong(wrong))
            }
        })
        .await
    }

    /// See [`crate::Gateway::revoke_api_key`].
    pub(crate) async fn revoke_api_key(
        &self,
        session: &Session,
        named: (Option<&str>, &str),
        expected: Option<i64>,
    ) -> Result<(), Refusal> {
        self.change_by::<ApiKeySpec>(session, named, expected, KEY, |_| Ok(None)).await
    }
}

fn longer(grace: Duration) -> time::Duration {
    time::Duration::try_from(grace).unwrap_or(time::Duration::ZERO)
}

fn no_key() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such API key")
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Conflict, "the record of this key cannot be read by this version; remove it")
}
