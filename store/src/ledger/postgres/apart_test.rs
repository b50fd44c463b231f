//! The second wall: what row-level security shows and takes, whatever the statements' own conditions say. Every method of the ports
//! runs here as a transaction of another tenant would run it whose conditions had all been forgotten.

use std::collections::BTreeSet;

use causeway_core::ports::{Lock, Query as _, Tx as _, transact};
use causeway_core::records::{
    AuditFilter, Backlog, Delivery, EventRecord, Grant, HeadKind, Incarnation, IssuerKeys, ItemKind, ItemState, Job,
    Node, ObjectKey, ObjectKind, Seal, SessionRow, SessionSearch, StoredObject, TransferState, UploadRow, UploadState,
    WebhookHealth,
};
use sqlx::Executor as _;

use super::tests::on_a_new_database;
use super::*;
use crate::ledger::contract::{self, T0};

/// The names of a trait's methods, as core's text has them.
fn methods(of: &str) -> BTreeSet<&'static str> {
    let text = include_str!("../../../../core/src/ports.rs");
    let (_, text) = text.split_once(of).unwrap();
    let (text, _) = text.split_once("\n}\n").unwrap();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("async fn "));
    names.map(|line| line.split_once('(').unwrap().0).collect()
}

/// What is in the ledger, of `acme`.
struct Rows {
    root: Node,
    file: Node,
    upload: UploadRow,
    job: Job,
    entry: Uuid,
    sealed: Uuid,
    events: [Uuid; 2],
    incarnation: Uuid,
    session: Uuid,
    grant: Uuid,
    blob: Uuid,
    doomed: Uuid,
}

/// The event that ends a transfer.
fn event() -> EventRecord {
    EventRecord { transfer: Some(Uuid::now_v7()), ..contract::event("acme", "transfer.completed") }
}

/// A login of `acme`.
fn object(id: &str, version: i64) -> StoredObject {
    let key = ObjectKey::new("acme", ObjectKind::Login, id);
    StoredObject { key, version, body: "{}".into(), created_at: T0, changed_at: T0 }
}

/// A session of `acme`.
fn session(id: Uuid, incarnation: Uuid) -> SessionRow {
    SessionRow {
        id,
        tenant: "acme".into(),
        identity: "i".into(),
        login: "l".into(),
        protocol: "sftp".into(),
        client_ip: "192.0.2.1".into(),
        client_version: None,
        auth_method: "password".into(),
        node: "gw-1".into(),
        incarnation,
        started_at: T0,
        end_asked: Some(T0),
    }
}

fn issuer_keys(keys: &str) -> IssuerKeys {
    IssuerKeys { issuer: "https://issuer.example".into(), keys: keys.into(), fetched_at: T0 }
}

async fn fill(ledger: &contract::Subject) -> Rows {
    let root = contract::root(ledger).await;
    let file = contract::file(root.id, "file");
    contract::insert(ledger, &file).await;
    let mut upload = contract::upload(root.id, "upload");
    (upload.state, upload.reserved) = (UploadState::Detached, 7);
    let job = contract::job("acme", "i", 0);
    let (pending, sealed) = (contract::entry("acme", 1), contract::entry("acme", 2));
    let events = [event(), event()];
    let incarnation = Incarnation {
        id: upload.incarnation,
        node: "gw-1".into(),
        installation: Uuid::new_v4(),
        heartbeat: T0,
        oldest_read: T0,
    };
    let (blob, doomed) = (contract::blob(), contract::blob());
    let grant = Grant { code_spent_at: Some(T0), ..contract::grant(1) };
    let rows = Rows {
        root,
        upload: upload.clone(),
        job: job.clone(),
        entry: pending.id,
        sealed: sealed.id,
        events: [events[0].id, events[1].id],
        incarnation: incarnation.id,
        session: Uuid::now_v7(),
        grant: grant.id,
        blob: blob.key,
        doomed: doomed.key,
        file,
    };
    let content = rows.file.content.clone().unwrap();
    transact(&**ledger, Reach::Tenant("acme".into()), Durability::Disk, move |tx| {
        let (upload, job, entries) = (upload.clone(), job.clone(), [sealed.clone(), pending.clone()]);
        let (events, blob, doomed, content) = (events.clone(), blob.clone(), doomed.clone(), content.clone());
        Box::pin(async move {
            tx.insert_upload(&upload).await?;
            tx.add_usage("acme", "i", 5).await?;
            tx.use_code("acme", "l", 1, T0).await?;
            tx.use_signature(("acme", "k"), &[1; 32], T0).await?;
            tx.meet_key("acme", "k", &[1; 32], T0).await?;
            tx.warn_of_key("acme", "k", &[1; 32], T0, T0).await?;
            tx.insert_job(&job).await?;
            tx.insert_job_items(job.id, &[contract::item(1, ItemKind::File)]).await?;
            tx.remember_request(("acme", "i"), "key", (&[1; 32], job.id), T0).await?;
            for entry in &entries {
                tx.append_audit(entry).await?;
            }
            tx.append_events(&events).await?;
            tx.insert_blob(&blob, content.version).await?;
            tx.insert_blob(&doomed, job.id).await?;
            tx.release_blobs(job.id, &[], T0).await
        })
    })
    .await
    .unwrap();
    let (entry, position, live) = (rows.sealed, rows.events[0], session(rows.session, rows.incarnation));
    transact(&**ledger, Reach::Gateway, Durability::Disk, move |tx| {
        let (incarnation, live, grant) = (incarnation.clone(), live.clone(), grant.clone());
        Box::pin(async move {
            tx.insert_seals(&[Seal { chain: "acme".into(), seq: 1, entry, hash: [1; 32] }]).await?;
            tx.position_events(&[(position, 1)], &[contract::delivery("acme/w", (position, 1))]).await?;
            // What is no tenant's has an empty name for one.
            tx.append_audit(&contract::entry("", 3)).await?;
            tx.append_events(&[contract::event("", "auth.failed")]).await?;
            tx.insert_audit_head(&contract::head(HeadKind::Head, "acme", 1, [1; 32])).await?;
            tx.insert_audit_head(&contract::head(HeadKind::Cut, "acme", 1, [1; 32])).await?;
            tx.put_sink_place("s", "acme", 1).await?;
            tx.insert_sign_in(&contract::sign_in(1)).await?;
            tx.insert_grant(&grant).await?;
            tx.insert_refresh_token(&contract::token(1, grant.id)).await?;
            tx.insert_signing_key(&contract::signing_key("one", T0)).await?;
            tx.revoke_grant(grant.id, T0 + 9, T0).await?;
            tx.put_issuer_keys(&issuer_keys("{}")).await?;
            tx.insert_sessions(std::slice::from_ref(&live)).await?;
            tx.put_object(&object("l", 1), None).await?;
            tx.put_webhook_health(&WebhookHealth::new("acme/w")).await?;
            tx.put_incarnation(&incarnation).await?;
            tx.take_lease("a", incarnation.id, T0 + 1, T0).await.map(drop)
        })
    })
    .await
    .unwrap();
    rows
}

/// Everything that is in the tables.
async fn dump(url: &SecretString) -> Vec<(String, String)> {
    let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
    connection.execute("SET causeway.tenant = '*'").await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let rows = format!("SELECT COALESCE(json_agg(t ORDER BY t::text), '[]')::text FROM \"{table}\" t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut connection).await.unwrap();
        all.push((table, rows));
    }
    all
}

macro_rules! asks {
    ($query:ident, $($name:ident($($argument:expr),*) => $nothing:expr;)*) => {{
        let mut asked = BTreeSet::new();
        $(
            let answer = $query.$name($($argument),*).await.unwrap();
            assert_eq!(format!("{answer:?}"), $nothing, "{} shows another tenant's rows", stringify!($name));
            asked.insert(stringify!($name));
        )*
        asked
    }};
}

/// What is no tenant's, and so is bound by no policy.
const NOBODYS: [&str; 1] = ["_sqlx_migrations"];

#[tokio::test]
async fn every_table_has_its_wall() {
    on_a_new_database(|url| async move {
        PostgresLedger::connect(&url).await.unwrap().close().await;
        let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
             AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*'))",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(open, NOBODYS, "a table without a policy of row-level security");
        let bypasses = bypasses_walls(&mut connection).await.unwrap();
        assert!(!bypasses, "the role of these tests is not bound by the policies, so that they would show nothing");
    })
    .await;
}

#[tokio::test]
async fn every_query_of_another_tenant_finds_nothing() {
    on_a_new_database(|url| async move {
        let ledger = Arc::new(PostgresLedger::connect(&url).await.unwrap());
        let rows = fill(&(ledger.clone() as contract::Subject)).await;
        for tenant in ["globex", ""] {
            let mut transaction = ledger.writers.begin().await.unwrap();
            let set = format!("SET LOCAL causeway.tenant = '{tenant}'");
            transaction.execute(AssertSqlSafe(set)).await.unwrap();
            // The statements' own conditions let everything through.
            let mut query = Session::new(&mut *transaction, Reach::Gateway);
            let all = AuditFilter::default();
            let search = SessionSearch { tenant: "acme".into(), ..SessionSearch::default() };
            let (latest, seen) = (Uuid::max(), T0 + 1_000_000);
            let asked = asks! { query,
                walk("acme", &["file"]) => "[]";
                node(rows.file.id) => "None";
                ancestry(rows.file.id) => "[]";
                child(rows.root.id, "file") => "None";
                children(rows.root.id, None, 9) => "[]";
                has_children(rows.root.id) => "false";
                upload(rows.upload.id) => "None";
                uploads_named(rows.root.id, "upload") => "[]";
                uploads_within(rows.root.id, "acme", "i") => "[]";
                uploads_of("acme", "i") => "[]";
                usage("acme", None) => "0";
                events("acme", 0, &[], 9) => "[]";
                latest_events("acme", 9, 9) => "[]";
                event_tenants() => "[]";
                event_position(rows.events[0]) => "None";
                last_position() => "0";
                audit("acme", &all, 9) => "[]";
                chains() => "[]";
                seals("acme", 0, 9) => "[]";
                audit_heads("acme", 0, 9) => "[]";
                audit_cuts("acme") => "[]";
                lost_guards() => "[]";
                sink_places("s") => "[]";
                unsealed_counts("acme") => "(0, 0)";
                pending_deliveries("acme/w", 9) => "[]";
                webhook_health("acme/w") => "None";
                webhook_healths(Some("acme")) => "[]";
                deliveries("acme/w", None, 9, 9) => "[]";
                events_since("acme", 0, 0, 9) => "[]";
                doomed_blobs(seen, 9) => "[]";
                blob(rows.blob) => "None";
                expired_uploads(seen, 9) => "[]";
                uploads_held_by(rows.incarnation, 9) => "[]";
                incarnations() => "[]";
                signing_keys() => "[]";
                revoked_grants(0, 0) => "[]";
                issuer_keys("https://issuer.example") => "None";
                sign_in(&[1; 32]) => "None";
                grant_of_code("acme", &[1; 32]) => "None";
                grant("acme", rows.grant) => "None";
                refresh_token("acme", &[1; 32]) => "None";
                live_grants(Uuid::nil(), T0, 9) => "[]";
                sessions(&search, 9) => "[]";
                sessions_to_end(rows.incarnation) => "[]";
                session_count(rows.incarnation) => "0";
                file_counts("acme") => "[]";
                key_uses("acme") => "[]";
                objects() => "[]";
                object_generation() => "0";
                job(rows.job.id) => "None";
                jobs("acme", latest, 9) => "[]";
                job_items(rows.job.id, -1, None, 9) => "[]";
                backlog(9) => format!("{:?}", Backlog::default());
                next_job_due() => "None";
                unfinished_jobs(("acme", "i"), 9) => "0";
                known_request(("acme", "i"), "key", 0) => "None";
                uploads_under_way("acme", latest, 9) => "[]";
                transfer_ends("acme", latest, 9) => "[]";
            };
            assert_eq!(asked, methods("pub trait Query"), "each query of the port has its line here");
            // What transactions ask on their way.
            asks! { query,
                hold_folder(rows.root.id) => "None";
                hold_node(rows.file.id) => "None";
                unsealed(9) => "[]";
                last_seal("acme") => "None";
                unpositioned(9) => "[]";
                hold_job(rows.job.id) => "None";
                claim_job(rows.incarnation, seen, seen) => "None";
            };
            drop(query);
            transaction.rollback().await.unwrap();
        }
        ledger.close().await;
    })
    .await;
}

macro_rules! changes {
    ($ledger:ident, $before:ident, $url:ident, $($name:ident($($argument:expr),*);)*) => {{
        let mut done = BTreeSet::new();
        $(
            let mut transaction = $ledger.writers.begin().await.unwrap();
            transaction.execute("SET LOCAL causeway.tenant = 'globex'").await.unwrap();
            let mut tx = Session::new(&mut *transaction, Reach::Gateway);
            let outcome = tx.$name($($argument),*).await.map(drop);
            drop(tx);
            if outcome.is_ok() {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            for (was, is) in $before.iter().zip(dump(&$url).await) {
                assert_eq!(*was, is, "{} reaches another tenant's rows", stringify!($name));
            }
            done.insert(stringify!($name));
        )*
        done
    }};
}

#[tokio::test]
async fn no_change_reaches_another_tenant() {
    on_a_new_database(|url| {
        Box::pin(async move {
            let ledger = Arc::new(PostgresLedger::connect(&url).await.unwrap());
            let rows = fill(&(ledger.clone() as contract::Subject)).await;
            let before = dump(&url).await;
            assert!(
                before.iter().all(|(table, rows)| rows != "[]" || table == "job_turns"),
                "an empty table shows nothing: {before:?}"
            );
            let (id, seen, seal) = (Uuid::now_v7(), T0 + 1_000_000_000, |entry| Seal {
                chain: "acme".into(),
                seq: 2,
                entry,
                hash: [2; 32],
            });
            let node = Node { name: "renamed".into(), ..rows.file.clone() };
            let upload = UploadRow { state: UploadState::Discarded, ..rows.upload.clone() };
            let job = Job { state: TransferState::Failed, ..rows.job.clone() };
            let item = causeway_core::records::JobItem { state: ItemState::Done, ..contract::item(1, ItemKind::File) };
            let incarnation =
                Incarnation { id, node: "x".into(), installation: id, heartbeat: seen, oldest_read: seen };
            let holder = rows.file.content.as_ref().unwrap().version;
            let done = changes! { ledger, before, url,
                lock(&[Lock::Tree("acme".into())]);
                hold_folder(rows.root.id);
                hold_node(rows.file.id);
                ensure_root("acme", T0);
                insert_node(&contract::folder(rows.root.id, "new"));
                update_node(&node);
                delete_node(rows.file.id);
                insert_upload(&contract::upload(rows.root.id, "new"));
                update_upload(&upload, &[UploadState::Detached], 1);
                purge_uploads(seen);
                add_usage("acme", "i", 1);
                use_code("acme", "l", 9, T0);
                purge_codes(seen);
                meet_key("acme", "k", &[2; 32], T0);
                note_key_use("acme", "k", &[1; 32], T0 + 1);
                warn_of_key("acme", "k", &[1; 32], T0 + 9, T0);
                insert_sessions(&[session(Uuid::now_v7(), rows.incarnation)]);
                delete_sessions(&[rows.session]);
                clear_sessions(rows.incarnation);
                ask_session_end(rows.session, None, T0);
                insert_sign_in(&contract::sign_in(2));
                take_sign_in(&[1; 32], T0);
                insert_grant(&contract::grant(2));
                spend_authorization_code("acme", &[1; 32], T0);
                end_grant("acme", rows.grant, T0);
                insert_refresh_token(&contract::token(2, rows.grant));
                spend_refresh_token("acme", &[1; 32], T0);
                purge_grants(seen);
                insert_signing_key(&contract::signing_key("two", T0));
                retire_signing_keys(seen, T0);
                revoke_grant(Uuid::now_v7(), seen, T0);
                put_issuer_keys(&issuer_keys("[]"));
                purge_tokens(seen);
                use_signature(("acme", "k"), &[2; 32], seen);
                purge_signatures(seen);
                advance_objects(0);
                put_object(&object("new", 1), None);
                put_object(&object("l", 2), Some(1));
                delete_object(&object("l", 1).key, 1);
                insert_blob(&causeway_core::records::BlobId { key: rows.blob, ..contract::blob() }, id);
                reference_blob(rows.blob, id);
                release_blobs(holder, &[], seen);
                mark_deleting(rows.doomed);
                delete_blob(rows.doomed);
                append_audit(&contract::entry("acme", 9));
                append_events(&[event()]);
                unsealed(9);
                last_seal("acme");
                insert_seals(&[seal(rows.entry)]);
                insert_audit_head(&contract::head(HeadKind::Head, "acme", 2, [2; 32]));
                cut_audit("acme", 1);
                put_sink_place("s", "acme", 9);
                unpositioned(9);
                position_events(&[(rows.events[1], 9)], &[contract::delivery("acme/w", (rows.events[1], 9))]);
                update_deliveries(&[Delivery { attempts: 1, ..contract::delivery("acme/w", (rows.events[0], 1)) }]);
                put_webhook_health(&WebhookHealth { failures: 9, ..WebhookHealth::new("acme/w") });
                queue_deliveries(&[contract::delivery("acme/w", (rows.events[1], 9))]);
                requeue_delivery("acme/w", rows.events[0], seen);
                bury_deliveries("acme/w", "x");
                forget_webhook("acme/w");
                take_lease("b", id, seen, T0);
                insert_job(&contract::job("acme", "i", 0));
                hold_job(rows.job.id);
                update_job(&job, 1);
                claim_job(id, seen, seen);
                renew_job(rows.job.id, 1, seen, 1);
                release_jobs(rows.job.holder, seen);
                insert_job_items(rows.job.id, &[contract::item(2, ItemKind::File)]);
                delete_job_items(rows.job.id);
                reset_job_items(rows.job.id);
                settle_item(rows.job.id, 1, &item);
                remember_request(("acme", "i"), "other", (&[2; 32], id), T0);
                purge_requests(seen);
                purge_jobs(seen);
                put_incarnation(&incarnation);
                delete_incarnation(rows.incarnation);
            };
            assert_eq!(done, methods("pub trait Tx"), "each change of the port has its line here");
            ledger.close().await;
        })
    })
    .await;
}
