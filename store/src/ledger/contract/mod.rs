//! What every ledger must do: one suite of tests. Each takes a new, empty ledger and panics where it does not hold; a
//! backend runs them all through [`for_each_case!`](crate::ledger_cases).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod backlog;
mod blobs;
mod codes;
mod heads;
mod jobs;
mod keys;
mod life;
mod oauth;
mod objects;
mod races;
mod sessions;
mod signatures;
#[cfg(test)]
mod tamper;
mod tokens;
mod trail;
mod tree;
mod uploads;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_core::ports::Ledger;
use causeway_core::records::{Actor, Attributes, BlobId, Content, Node, Segment, UploadRow, UploadState};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

pub use backlog::*;
pub use blobs::*;
pub use codes::*;
pub use heads::*;
pub use jobs::*;
pub use keys::*;
pub use life::*;
pub use oauth::*;
pub use objects::*;
pub use races::*;
pub use sessions::*;
pub use signatures::*;
#[cfg(test)]
pub(in crate::ledger) use tamper::*;
pub use tokens::*;
pub use trail::*;
pub use tree::*;
pub use uploads::*;
pub use webhooks::*;

/// A ledger to test.
pub type Subject = Arc<dyn Ledger>;

/// A moment to count from.
pub(in crate::ledger) const T0: i64 = 1_764_000_000_000_000;

/// Calls a macro with the names of all cases of the suite: `$with! { ($($extra)*) case, case, … }`.
#[macro_export]
macro_rules! ledger_cases {
    ($with:path, $($extra:tt)*) => {
        $with! { ($($extra)*)
            walks_along_names, finds_nodes_and_children, names_are_unique, lists_by_bytes, tells_ancestors,
            updates_every_field, changing_what_is_not_there, makes_a_root_once, another_tenants_rows_do_not_exist,
            uploads_keep_every_field, upload_updates_are_conditional, exclusive_uploads_reserve, lists_live_uploads,
            uploads_expire_and_are_purged, usage_counts_reservations,
            blobs_are_doomed_with_their_last_reference, doomed_blobs_take_no_reference, keeps_some_blobs,
audit_entries_are_sealed_in_order, audit_filters, foreign_entries_are_counted,
            audit_heads_are_kept, a_cut_lets_go_what_it_covers, the_guards_of_the_trail_are_there,
            sinks_have_their_places, events_get_positions,
            deliveries_wait_in_order, the_health_of_endpoints_is_kept, dead_letters_are_listed_and_queued_again,
            what_waits_is_buried_and_forgotten, leases_have_one_holder, incarnations_come_and_go,
            what_waits_is_counted,
            jobs_keep_every_field, jobs_are_listed_newest_first, jobs_are_claimed_in_turn,
            an_expired_lease_is_claimed_again, steps_are_settled_once, requests_are_remembered, ended_jobs_are_purged,
            other_transfers_are_found, two_workers_claim_two_jobs, a_step_and_a_cancel_exclude_each_other,
            sessions_come_and_go, the_end_of_a_session_is_asked_for,
            codes_count_once, one_of_two_uses_a_code,
            keys_are_met_once_and_their_use_goes_forward, an_end_is_told_once,
            objects_keep_every_field, object_changes_are_conditional, one_of_two_advances_the_objects,
            files_are_counted_by_their_makers,
            sign_ins_are_taken_once, authorization_codes_are_spent_once, refresh_tokens_are_spent_once,
            grants_end_once, grants_are_listed_and_purged, one_of_many_spends,
            signing_keys_follow_each_other, one_node_makes_the_first_key, revocations_are_read_since,
            issuer_keys_are_kept,
            signatures_count_once, one_of_two_uses_a_signature,
            failing_work_leaves_nothing, swallowed_errors_do_not_commit, a_panic_ends_nothing_else,
            work_goes_on_without_its_caller, closes_after_what_is_under_way,
            one_of_two_reserves, one_of_two_makes_a_name, no_orphan_in_a_removed_folder, references_race_with_release,
            last_references_race, counters_lose_nothing, moves_make_no_cycle
        }
    };
}

/// Runs work as a transaction at `Durability::Disk`; the names in brackets are cloned for each run.
macro_rules! write {
    ($ledger:expr, [$($captured:ident),*], |$tx:ident| $body:expr) => {{
        $(let $captured = $captured.clone();)*
        causeway_core::ports::transact($ledger.as_ref(), causeway_core::ports::Reach::Gateway, causeway_core::ports::Durability::Disk, move |$tx| {
            $(let $captured = $captured.clone();)*
            Box::pin(async move { $body })
        })
        .await
    }};
}
use write;

/// What comes of the same piece of work where four do it at the same time.
async fn at_once<T, F>(ledger: &Subject, work: impl Fn(Subject) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(4));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (start, work) = (start.clone(), work(ledger.clone()));
        tasks.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

/// A folder.
pub(in crate::ledger) fn folder(parent: Uuid, name: &str) -> Node {
    Node {
        id: Uuid::now_v7(),
        tenant: "acme".into(),
        parent,
        name: name.into(),
        content: None,
        created_at: T0,
        modified_at: T0,
        attributes: Attributes::default(),
        created_by: Actor { identity: "i".into(), login: "l".into(), protocol: "sftp".into() },
        classification: None,
        tags: BTreeMap::new(),
    }
}

/// A file with one segment.
pub(in crate::ledger) fn file(parent: Uuid, name: &str) -> Node {
    let content = Content {
        version: Uuid::now_v7(),
        size: 5,
        sha256: [7; 32],
        content_type: "text/plain".into(),
        segments: vec![Segment { start: 0, len: 5, blob: Some(blob()), offset: 0 }],
    };
    Node { content: Some(content), ..folder(parent, name) }
}

/// A new blob's id.
pub(in crate::ledger) fn blob() -> BlobId {
    BlobId { key: Uuid::new_v4(), storage: "local".into(), prefix: "acme".into() }
}

/// An open upload.
pub(in crate::ledger) fn upload(parent: Uuid, name: &str) -> UploadRow {
    UploadRow {
        id: Uuid::now_v7(),
        tenant: "acme".into(),
        identity: "i".into(),
        login: "l".into(),
        protocol: "sftp".into(),
        session: Uuid::now_v7(),
        parent,
        name: name.into(),
        state: UploadState::Open,
        generation: 1,
        incarnation: Uuid::now_v7(),
        exclusive: false,
        base_version: None,
        compare_base: false,
        size: 0,
        prefix: 0,
        reserved: 0,
        segments: Vec::new(),
        hash_state: None,
        hashed: 0,
        attributes: Attributes::default(),
        storage: "local".into(),
        prefix_path: "acme".into(),
        created_at: T0,
        updated_at: T0,
        expires_at: T0 + 1000,
        plan: None,
    }
}

/// Makes the root of `acme`.
pub(in crate::ledger) async fn root(ledger: &Subject) -> Node {
    write!(ledger, [], |tx| tx.ensure_root("acme", T0).await).unwrap()
}

/// Adds a node.
pub(in crate::ledger) async fn insert(ledger: &Subject, node: &Node) {
    write!(ledger, [node], |tx| tx.insert_node(&node).await).unwrap();
}
