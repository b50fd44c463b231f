//! The facade of administration: objects, API keys and codes. Each is one operation, with one decision and one trail, as files are.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Gateway, held};
use crate::admin::{Administered, ApiKeyChange, KeyRotation, NewApiKey, Refusal, ShownApiKey, Spec, Usage, Wish};
use crate::error::{Error, Result};
use crate::identity::Session;

impl Gateway {
    // ---- objects

    /// The objects of a kind, the configuration's and those that were declared through the API, by id: of the caller's tenant, or
    /// of the one that is named, which only who operates the gateway may do. Needs `admin`, for tenants `admin:gateway`.
    pub async fn administered<S: Spec>(&self, session: &Session, tenant: Option<&str>) -> Result<Vec<Administered<S>>> {
        self.inner.administered(session, tenant).await
    }

    /// One of them. `NotFound`.
    pub async fn administered_one<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
    ) -> Result<Administered<S>> {
        self.inner.administered_one(session, tenant, id).await
    }

    /// Declares an object. When this returns it counts on this node; on every other it does within a second.
    pub async fn make_object<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        spec: S,
    ) -> Result<Administered<S>, Refusal> {
        let made = self.inner.change_object(session, tenant, id, Wish::Make(spec)).await?;
        made.ok_or_else(|| Error::internal("an object was made and is not there").into())
    }

    /// Declares an object anew that has this version; none: the version that its caller knows is none that it has, which is a
    /// failed precondition. As [`Gateway::make_object`].
    pub async fn replace_object<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        version: Option<i64>,
        spec: S,
    ) -> Result<Administered<S>, Refusal> {
        let made = self.inner.change_object(session, tenant, id, Wish::Replace(version, spec)).await?;
        made.ok_or_else(|| Error::internal("an object was changed and is not there").into())
    }

    /// Removes an object; the same.
    pub async fn remove_object<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        version: Option<i64>,
    ) -> Result<(), Refusal> {
        self.inner.change_object(session, tenant, id, Wish::<S>::Remove(version)).await.map(drop)
    }

    /// The configuration, as it was last shown: needs `admin:gateway`.
    pub async fn configuration(&self, session: &Session) -> Result<Arc<serde_json::Value>> {
        self.inner.may_operate(session).await?;
        Ok(held(&self.inner.configuration).clone())
    }

    /// What a tenant and its identities have used of their quotas: of the caller's, or as [`Gateway::administered`] of another
    /// one. Needs `admin`.
    pub async fn usage(&self, session: &Session, tenant: Option<&str>) -> Result<Usage> {
        self.inner.tenant_usage(session, tenant).await
    }

    /// The Argon2id hash of a password, made where and when that may be.
    pub async fn hash_password(&self, password: SecretString) -> Result<SecretString> {
        self.inner.verifier.hash(password).await
    }

    // ---- API keys and codes: as the objects above, where `tenant` is the caller's own if it is none

    /// Whether the caller may administer its tenant. A refusal is on record.
    pub async fn may_administer(&self, session: &Session) -> Result<()> {
        self.inner.may_administer(session).await
    }

    /// The API keys of a tenant, by id.
    pub async fn api_keys(&self, session: &Session, tenant: Option<&str>) -> Result<Vec<ShownApiKey>> {
        self.inner.api_keys(session, tenant).await
    }

    /// One of them. `NotFound`.
    pub async fn api_key(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<ShownApiKey> {
        self.inner.api_key(session, tenant, id).await
    }

    /// Makes a key: what is known of it, and its text, which nobody can tell again.
    pub async fn make_api_key(
        &self,
        session: &Session,
        tenant: Option<&str>,
        new: NewApiKey,
    ) -> Result<(ShownApiKey, SecretString), Refusal> {
        self.inner.make_api_key(session, tenant, new).await
    }

    /// Makes another key in the place of one, which goes on for a while; the one before that is over at once. `expected`: the
    /// key's version; none: any.
    pub async fn rotate_api_key(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        rotation: KeyRotation,
        expected: Option<i64>,
    ) -> Result<(ShownApiKey, SecretString), Refusal> {
        self.inner.rotate_api_key(session, (tenant, id), rotation, expected).await
    }

    /// Changes what is known of a key; the key itself stays.
    pub async fn change_api_key(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        change: ApiKeyChange,
        expected: Option<i64>,
    ) -> Result<ShownApiKey, Refusal> {
        self.inner.change_api_key(session, (tenant, id), change, expected).await
    }

    /// Ends a key: on this node when this returns, on every other within a second.
    pub async fn revoke_api_key(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), Refusal> {
        self.inner.revoke_api_key(session, (tenant, id), expected).await
    }

    /// Makes a secret for the time-based codes of a login, in force once [`Gateway::confirm_totp`] has seen a code of it.
    /// `require`: what the login has to prove from then on; none: what it has to now, and a code.
    pub async fn begin_totp(
        &self,
        session: &Session,
        tenant: Option<&str>,
        username: &str,
        require: Option<String>,
    ) -> Result<SecretString, Refusal> {
        self.inner.begin_totp(session, (tenant, username), require).await
    }

    /// Puts the codes of a login in force by one of them, which is used by that.
    pub async fn confirm_totp(
        &self,
        session: &Session,
        tenant: Option<&str>,
        username: &str,
        code: &SecretString,
    ) -> Result<(), Refusal> {
        self.inner.confirm_totp(session, (tenant, username), code).await
    }

    /// Takes the codes of a login away; it then proves what it had to before them.
    pub async fn remove_totp(&self, session: &Session, tenant: Option<&str>, username: &str) -> Result<(), Refusal> {
        self.inner.remove_totp(session, (tenant, username)).await
    }
}
