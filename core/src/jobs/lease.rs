//! Leases: one node does what is to be done once.

use std::time::Duration;

use futures::FutureExt as _;
use uuid::Uuid;

use crate::error::Result;
use crate::ports::{Durability, Ledger, Reach, transact};
use crate::records::{later, now};

/// Takes or keeps a lease for so long; zero gives it back. False where somebody else has it.
pub(super) async fn take(ledger: &dyn Ledger, name: String, holder: Uuid, length: Duration) -> Result<bool> {
    transact(ledger, Reach::Gateway, Durability::Process, move |tx| {
        let name = name.clone();
        async move {
            let now = now();
            tx.take_lease(&name, holder, later(now, length), now).await
        }
        .boxed()
    })
    .await
}
