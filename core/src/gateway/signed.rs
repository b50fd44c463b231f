//! Requests that prove that nobody has changed them, or have to. What a signature is worth is in [`crate::identity`]; here are
//! whose it is, that it counts once, and what of it goes on record.

use std::sync::Arc;

use time::OffsetDateTime;

use super::inner::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Operation, Status};
use crate::identity::{BodyMac, Credential, KeyMatch, Peer, Session, SignedRequest, Signing, examine};
use crate::ports::Durability;

/// Why a request of the API does not let its caller in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// Its credential.
    Credential(Error),
    /// The credential is right; a signature is missing, or not.
    Signature(Error),
}

impl NotLetIn {
    /// The failure, whichever it is.
    pub fn into_error(self) -> Error {
        match self {
            Self::Credential(error) | Self::Signature(error) => error,
        }
    }
}

impl Inner {
    /// See [`super::Gateway::login_signed`].
    pub(crate) async fn login_signed(
        self: &Arc<Self>,
        credential: Credential,
        peer: &Peer,
        request: Option<&SignedRequest>,
    ) -> Result<(Arc<Session>, Option<BodyMac>), NotLetIn> {
        let session = self.login_alone(credential, peer).await.map_err(NotLetIn::Credential)?;
        let mac = self.judge(&session, request).await.map_err(NotLetIn::Signature)?;
        Ok((session, mac))
    }

    /// Fails where the session's key lets in signed requests alone: this caller has none to show.
    pub(super) async fn require_no_signature(&self, session: &Session) -> Result<()> {
        self.judge(session, None).await.map(drop)
    }

    /// The API key that a session stands on: one that came by a token of the key does, too.
    fn key_of(&self, session: &Session) -> Option<KeyMatch> {
        session.grounds.by.key().and_then(|found| self.directory().api_key(&session.tenant.id, &found.key.id))
    }

    async fn judge(&self, session: &Session, request: Option<&SignedRequest>) -> Result<Option<BodyMac>> {
        let judged = match (self.key_of(session), request) {
            (Some(found), request) => self.judge_key(&found.key.id, &found.key.signing, session, request).await,
            // Nothing of a key's is left where it went a moment ago.
            (None, _) if session.grounds.by.key().is_some() => {
                Err(Error::new(ErrorKind::Unauthenticated, "the API key is not valid here any more"))
            }
            (None, Some(_)) => Err(Error::new(
                ErrorKind::Unauthenticated,
                "a signature belongs to an API key; leave it out, or send `Authorization: Bearer` with the key",
            )),
            (None, None) => Ok(None),
        };
        if let Err(error) = &judged
            && error.kind() == ErrorKind::Unauthenticated
        {
            self.put_refused_request(session, error, if request.is_some() { "a signature" } else { "no signature" })
                .await;
        }
        judged
    }

    async fn judge_key(
        &self,
        key: &Arc<str>,
        signing: &Signing,
        session: &Session,
        request: Option<&SignedRequest>,
    ) -> Result<Option<BodyMac>> {
        let examined = examine(key, signing, request, OffsetDateTime::now_utc().unix_timestamp())?;
        if examined.signed.is_empty() || !request.is_some_and(|request| request.changes) {
            return Ok(examined.mac);
        }
        let (tenant, key, signed) = (session.tenant.id.clone(), key.clone(), examined.signed);
        // Before anything else is done for it, so that what is done can only be on stable storage if this is.
        let fresh = self
            .write(session.reach(), Durability::Process, move |tx| {
                let (tenant, key, signed) = (tenant.clone(), key.clone(), signed.clone());
                Box::pin(async move {
                    let mut fresh = true;
                    for (digest, lapses) in signed {
                        fresh &= tx.use_signature((&tenant, &key), &digest, lapses.saturating_mul(1_000_000)).await?;
                    }
                    Ok(fresh)
                })
            })
            .await?;
        if fresh {
            return Ok(examined.mac);
        }
        Err(Error::new(
            ErrorKind::Unauthenticated,
            "this signature was used before; sign every request anew, with a `nonce` where several are made in a second",
        ))
    }

    /// Puts on record that a request was refused for its signature. `what`: of what sort that is.
    pub(crate) async fn put_refused_request(&self, session: &Session, error: &Error, what: &str) {
        self.metrics.login(session.protocol, Err(error));
        // Once in a while: whoever has the key alone could fill the ledger otherwise.
        let counted = format!("{what} of {}@{}", session.login, session.tenant.id);
        if !self.is_first_refusal_of(Some(&counted), session.client_ip) {
            return;
        }
        let mut facts = self.facts(session, Operation::Login).failed(error);
        facts.status = Status::Denied;
        let audit = facts.audit();
        let events = vec![facts.event("auth.failed")];
        if let Err(failure) = self.put(Durability::Disk, audit, events).await {
            tracing::error!(error = %failure, "a refused request could not be put on record");
        }
    }
}
