//! Whether the client certificate of a session that is open still stands: it may have been revoked since the login.

use std::time::Duration;

use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind};
use tokio::time::Instant;

use super::Conversation;

/// How long an answer counts. Examining a certificate costs about what a small command does.
const COUNTS: Duration = Duration::from_secs(2);

/// When the certificate was last examined.
#[derive(Debug)]
pub(crate) struct Examined(Instant);

impl Examined {
    /// Just now.
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

impl Conversation {
    /// Whether the session must end, as its certificate stands no more; that is put on record. What is under way comes to its
    /// end: it is asked at each command.
    pub(crate) async fn has_lost_its_certificate(&mut self) -> bool {
        let Some(certificate) = self.certificate().cloned() else { return false };
        let (gateway, peer) = (self.gateway(), self.as_peer());
        let Ok(inside) = self.inside() else { return false };
        if inside.examined.0.elapsed() < COUNTS {
            return false;
        }
        inside.examined = Examined::now();
        let session = inside.session.clone();
        if gateway.still_knows(&session, &certificate, &peer).await {
            return false;
        }
        let why = "the client certificate of the session does not stand any more";
        self.refuse(Operation::Login, "", &Error::new(ErrorKind::Unauthenticated, why)).await;
        true
    }
}
