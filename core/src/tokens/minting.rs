//! Making the gateway's own tokens, and keeping up with what all nodes share of them: the keys, and what is revoked.
//!
//! Nobody polls: whoever makes or looks at a token asks the ledger first, unless that was done a moment ago. So what one node does, every
//! other one knows in half a second, and a gateway without tokens asks nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::keys::{self, Key, KeyRing};
use super::revoked::Revoked;
use super::vault::Vault;
use super::{AccessClaims, TOKEN_LIFE, TokenSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, held};
use crate::identity::Scope;
use crate::ports::{Durability, Lock, Reach};
use crate::records::{Micros, now};

/// What is known of keys and revocations may be this old.
pub(super) const FOLLOW: Duration = Duration::from_millis(500);
/// Where the ledger does not answer, what is known may be this old. Then no token is believed any more: it may have been revoked.
const STALE: Duration = Duration::from_secs(30);
/// How long the ledger is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this process knows of keys and revocations.
pub(crate) struct Mint {
    vault: Arc<Vault>,
    known: Mutex<Known>,
    /// One asks the ledger at a time.
    following: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    ring: Arc<KeyRing>,
    revoked: Revoked,
    /// When the ledger was last asked and answered: the moment of the question.
    followed: Option<Instant>,
    /// When it was last asked, answered or not.
    asked: Option<Instant>,
}

impl Mint {
    pub(crate) fn new(settings: &TokenSettings) -> Self {
        Self {
            vault: Arc::new(Vault::new(settings.encryption_key.as_ref())),
            known: Mutex::default(),
            following: tokio::sync::Mutex::default(),
        }
    }

    /// The key with this id, where it is to be believed now.
    pub(super) fn key(&self, kid: &str, now: Micros) -> Option<Arc<Key>> {
        held(&self.known).ring.find(kid, now).cloned()
    }

    pub(super) fn ring(&self) -> Arc<KeyRing> {
        held(&self.known).ring.clone()
    }

    /// Whether a grant is revoked, as far as is known.
    pub(super) fn is_revoked(&self, grant: Uuid) -> bool {
        held(&self.known).revoked.has(grant)
    }

    /// Whether what is known is at most this old, or was asked for in vain that short ago.
    fn is_recent(&self, most: Duration) -> bool {
        let known = held(&self.known);
        [known.followed, known.asked].into_iter().flatten().any(|at| at.elapsed() <= most)
    }

    /// Whether what is known may still be gone by.
    fn holds(&self) -> bool {
        held(&self.known).followed.is_some_and(|at| at.elapsed() <= STALE)
    }
}

impl Inner {
    /// Sees to it that this process knows what the ledger says of keys and revocations, as it was this long ago at the most.
    /// `Unavailable` where the ledger has not answered for long.
    pub(super) async fn follow_tokens(&self, most: Duration) -> Result<()> {
        if !self.mint.is_recent(most) {
            let _turn = self.mint.following.lock().await;
            if !self.mint.is_recent(most) {
                self.ask_for_tokens().await;
            }
        }
        if self.mint.holds() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "tokens cannot be looked at, as the database does not answer; try again",
        ))
    }

    async fn ask_for_tokens(&self) {
        let began = Instant::now();
        let read = async {
            let now = now();
            let since = held(&self.mint.known).revoked.since(now);
            let mut query = self.ledger.read(Reach::Gateway).await?;
            let rows = query.signing_keys().await?;
            let revoked = query.revoked_grants(since, now).await?;
            drop(query);
            // Private keys are opened here, not under the lock.
            let ring = Arc::new(KeyRing::of(&rows, &self.mint.vault));
            let mut known = held(&self.mint.known);
            known.ring = ring;
            known.revoked.follow(since, revoked, now);
            known.followed = Some(began);
            Ok::<(), Error>(())
        };
        match timeout(PATIENCE, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the keys and revocations of tokens cannot be read"),
            Err(_) => tracing::warn!("the database takes long to say which tokens are revoked"),
        }
        held(&self.mint.known).asked = Some(Instant::now());
    }

    /// Makes an access token (RFC 9068) that says this, and tells when it ends. Nobody is asked here whether he may have it.
    /// `Unauthenticated` where the grant is revoked, `Unavailable` where the ledger does not answer.
    pub(crate) async fn mint(&self, claims: &AccessClaims) -> Result<(SecretString, OffsetDateTime)> {
        self.require_open()?;
        let key = self.signer().await?;
        if self.mint.is_revoked(claims.grant) {
            return Err(Error::new(ErrorKind::Unauthenticated, "what was granted is revoked; ask for it anew"));
        }
        let made = OffsetDateTime::now_utc().replace_nanosecond(0).map_err(Error::internal)?;
        let end = made + TOKEN_LIFE;
        let issuer = &*self.settings.tokens.issuer;
        let scope: Vec<&str> = claims.scopes.words().map(Scope::as_str).collect();
        let mut payload = json!({
            "iss": issuer,
            "sub": &*claims.identity,
            "aud": issuer,
            "exp": end.unix_timestamp(),
            "nbf": made.unix_timestamp(),
            "iat": made.unix_timestamp(),
            "jti": Uuid::now_v7(),
            "client_id": &*claims.client,
            "scope": scope.join(" "),
            "tenant": &*claims.tenant,
            "login": &*claims.login,
            "via": claims.by.as_str(),
            "grant": claims.grant,
        });
        if let (Some(mark), Some(members)) = (&claims.key, payload.as_object_mut()) {
            members.insert("key".to_owned(), mark.as_str().into());
        }
        let header = json!({ "alg": key.algorithm, "kid": key.kid, "typ": "at+jwt" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
        Ok((format!("{signed}.{signature}").into(), end))
    }

    /// Takes note that a grant was revoked, once that is committed ([`crate::ports::Tx::revoke_grant`]): this process is to know it at
    /// once, the others find it.
    pub(crate) fn grant_is_revoked(&self, grant: Uuid, until: Micros) {
        held(&self.mint.known).revoked.add(grant, until);
    }

    /// Whether a grant is revoked, as far as that was read a moment ago.
    pub(crate) async fn is_revoked(&self, grant: Uuid) -> bool {
        // Where the ledger does not answer nobody else is let in; who is here goes on.
        let _ = self.follow_tokens(FOLLOW).await;
        self.mint.is_revoked(grant)
    }

    /// The set of the keys that tokens of this gateway's are verified by (RFC 7517 section 5): public parts alone.
    pub(crate) async fn published_keys(&self) -> Result<Value> {
        self.signer().await?;
        let keys: Vec<Value> = self.mint.ring().published(now()).map(|key| key.to_jwk()).collect();
        Ok(json!({ "keys": keys }))
    }

    /// The key that signs now; the first one is made where there is none.
    async fn signer(&self) -> Result<Arc<Key>> {
        self.follow_tokens(FOLLOW).await?;
        if let Some(key) = self.mint.ring().signer(now()) {
            return Ok(key.clone());
        }
        self.make_next_key().await?;
        let ring = self.mint.ring();
        ring.signer(now()).cloned().ok_or_else(|| Error::internal("a key was made, and there is none to sign by"))
    }

    /// Makes the next key where it is time to.
    pub(crate) async fn rotate_keys(&self) {
        // Where nobody has needed one, none is made.
        let due = match self.follow_tokens(FOLLOW).await {
            Ok(()) => {
                let ring = self.mint.ring();
                !ring.is_empty() && ring.next(now(), self.settings.tokens.key_rotation).is_some()
            }
            Err(_) => false,
        };
        if due && let Err(error) = self.make_next_key().await {
            tracing::warn!(%error, "the next key of tokens could not be made; it is tried again");
        }
    }

    /// Makes the next key, unless another node was first.
    async fn make_next_key(&self) -> Result<()> {
        let (vault, rotation) = (self.mint.vault.clone(), self.settings.tokens.key_rotation);
        let made = self
            .write(Reach::Gateway, Durability::Disk, move |tx| {
                let vault = vault.clone();
                Box::pin(async move {
                    tx.lock(&[Lock::Other("signing_keys".to_owned())]).await?;
                    let (rows, now) = (tx.signing_keys().await?, now());
                    let Some(signs_from) = KeyRing::of(&rows, &vault).next(now, rotation) else { return Ok(None) };
                    let replaces = signs_from == now && !rows.is_empty();
                    let row = keys::generate(now, signs_from, &vault)?;
                    tx.retire_signing_keys(signs_from, signs_from.saturating_add(keys::outlives())).await?;
                    tx.insert_signing_key(&row).await?;
                    Ok(Some((row.kid, replaces)))
                })
            })
            .await?;
        match made {
            Some((kid, true)) => tracing::warn!(
                kid,
                "the key that tokens are signed by cannot be used here (was `oauth.token_encryption_key` changed?); a new one signs \
                 from now on"
            ),
            Some((kid, false)) => tracing::info!(kid, "a new key of tokens was made"),
            None => {}
        }
        let _turn = self.mint.following.lock().await;
        self.ask_for_tokens().await;
        Ok(())
    }
}
