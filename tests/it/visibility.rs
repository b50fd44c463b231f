//! SEMANTICS, "What each sees of a name with a detached upload": the table, cell by cell.

use crate::harness::proxy::Proxy;
use crate::harness::sftp::{self, Attrs, CREATE, NO_SUCH_FILE, TRUNCATE, W};
use crate::harness::{Gateway, Ledger, Plan, Sftp, eventually, on_both_ledgers, sha256};

on_both_ledgers!(
    owner_sees_the_partial,
    owner_reads,
    owner_renames,
    owner_removes,
    owner_sets_attributes,
    others_and_rest,
    folder_of_a_detached_upload_can_go,
    open_shows_as_detached_to_its_own_session_only,
    begun_anew_replaces_the_detached_one,
);

const OLD: &[u8] = b"the visible version, which is the longer one";
const PART: &[u8] = b"the partial";

/// A gateway with a detached upload of `edi-partner` at `/inbound/FOLDER/x`, with or without a visible version.
struct Case {
    gateway: Gateway,
    owner: Sftp,
    visible: bool,
}

impl Case {
    const PATH: &'static str = "/inbound/f/x";

    async fn new(ledger: Ledger, visible: bool) -> Self {
        let gateway = Plan::new(ledger).start().await;
        let mut owner = gateway.sftp("edi01").await;
        owner.mkdir("/inbound/f").await.unwrap();
        if visible {
            // By somebody else, so that ownership is not what shows it.
            gateway.rest("orders").put(Self::PATH, OLD).await.ok();
        }
        let case = Self { gateway, owner, visible };
        case.detach(Self::PATH, PART).await;
        case
    }

    /// Leaves a detached upload at a path.
    async fn detach(&self, path: &str, content: &[u8]) {
        let proxy = Proxy::to(self.gateway.sftp).await;
        let mut session = Sftp::connect(proxy.address, "edi01").await.unwrap();
        let handle = session.open(path, W | CREATE | TRUNCATE).await.unwrap();
        session.write(&handle, 0, content).await.unwrap();
        proxy.cut();
        eventually("the upload is detached", std::time::Duration::from_secs(20), || async {
            let size = self.gateway.sftp("edi01").await.stat(path).await.ok().and_then(|a| a.size);
            (size == Some(content.len() as u64)).then_some(())
        })
        .await;
    }

    async fn partial_is_at(&mut self, path: &str) {
        assert_eq!(self.owner.stat(path).await.unwrap().size, Some(PART.len() as u64), "the partial at {path}");
    }

    /// The owner goes on with the upload at a path and commits it.
    async fn resume(&mut self, path: &str) {
        let handle = self.owner.open(path, W).await.unwrap();
        self.owner.write(&handle, PART.len() as u64, b" is whole").await.unwrap();
        self.owner.close(&handle).await.unwrap();
        assert_eq!(self.owner.get(path).await.unwrap(), [PART, b" is whole"].concat());
    }
}

async fn owner_sees_the_partial(ledger: Ledger) {
    for visible in [false, true] {
        let mut case = Case::new(ledger, visible).await;
        case.partial_is_at(Case::PATH).await;
        assert_eq!(case.owner.lstat(Case::PATH).await.unwrap().size, Some(PART.len() as u64));
        let listed = case.owner.list("/inbound/f").await.unwrap();
        assert_eq!(listed.len(), 1, "once: {listed:?}");
        assert_eq!((listed[0].0.as_str(), listed[0].1.size), ("x", Some(PART.len() as u64)), "visible: {visible}");
        case.resume(Case::PATH).await;
    }
}

async fn owner_reads(ledger: Ledger) {
    let mut case = Case::new(ledger, false).await;
    assert_eq!(case.owner.open(Case::PATH, sftp::R).await.unwrap_err().code, NO_SUCH_FILE);
    let mut case = Case::new(ledger, true).await;
    assert_eq!(case.owner.get(Case::PATH).await.unwrap(), OLD, "the visible version");
}

async fn owner_renames(ledger: Ledger) {
    for visible in [false, true] {
        let mut case = Case::new(ledger, visible).await;
        case.owner.rename(Case::PATH, "/inbound/f/y").await.unwrap();
        case.partial_is_at("/inbound/f/y").await;
        assert_eq!(case.owner.names("/inbound/f").await.unwrap(), ["y"]);
        let rest = case.gateway.rest("orders");
        let seen = rest.entry("/inbound/f", "y").await.map(|e| e["hash"].as_str().unwrap().to_owned());
        assert_eq!(seen, visible.then(|| sha256(OLD)), "the visible version moves with it: {visible}");
        assert!(rest.entry("/inbound/f", "x").await.is_none());
        case.resume("/inbound/f/y").await;
    }
}

async fn owner_removes(ledger: Ledger) {
    for visible in [false, true] {
        let mut case = Case::new(ledger, visible).await;
        case.owner.remove(Case::PATH).await.unwrap();
        assert_eq!(case.owner.stat(Case::PATH).await.unwrap_err().code, NO_SUCH_FILE, "version and upload are gone");
        assert!(case.owner.names("/inbound/f").await.unwrap().is_empty());
        assert!(case.gateway.rest("orders").list("/inbound/f").await.is_empty());
        assert_eq!(
            case.owner.open(Case::PATH, W).await.unwrap_err().code,
            NO_SUCH_FILE,
            "nothing to resume: {visible}"
        );
    }
}

async fn owner_sets_attributes(ledger: Ledger) {
    for visible in [false, true] {
        let mut case = Case::new(ledger, visible).await;
        let attrs = Attrs { times: Some((1_000_000_000, 1_100_000_000)), ..Attrs::default() };
        case.owner.setstat(Case::PATH, &attrs).await.unwrap();
        let rest = case.gateway.rest("orders");
        if case.visible {
            let file = rest.entry("/inbound/f", "x").await.unwrap();
            assert!(file["modified_at"].as_str().unwrap().starts_with("2004-11-09T11:33:20"), "both: {file}");
        }
        case.resume(Case::PATH).await;
        let file = rest.entry("/inbound/f", "x").await.unwrap();
        assert!(
            file["modified_at"].as_str().unwrap().starts_with("2004-11-09T11:33:20"),
            "kept for its commit: {file}"
        );
    }
}

async fn others_and_rest(ledger: Ledger) {
    for visible in [false, true] {
        let mut case = Case::new(ledger, visible).await;
        let mut mill = case.gateway.sftp("mill01").await;
        let size = mill.stat("/f/x").await.map(|a| a.size.unwrap());
        let listed = mill.list("/f").await.unwrap();
        if visible {
            assert_eq!(size, Ok(OLD.len() as u64));
            assert_eq!(listed[0].1.size, Some(OLD.len() as u64));
            assert_eq!(mill.get("/f/x").await.unwrap(), OLD);
        } else {
            assert_eq!(size.unwrap_err().code, NO_SUCH_FILE);
            assert!(listed.is_empty(), "{listed:?}");
            for refused in [
                mill.open("/f/x", sftp::R).await.map(drop),
                mill.open("/f/x", W).await.map(drop),
                mill.remove("/f/x").await,
                mill.rename("/f/x", "/f/z").await,
                mill.setstat("/f/x", &Attrs { mode: Some(0o600), ..Attrs::default() }).await,
            ] {
                assert_eq!(refused.unwrap_err().code, NO_SUCH_FILE);
            }
        }
        // REST shows the visible version to everyone, the owner too.
        for key in ["edi", "orders"] {
            let rest = case.gateway.rest(key);
            let entry = rest.entry("/inbound/f", "x").await;
            assert_eq!(entry.map(|e| e["size"].as_u64().unwrap()), visible.then_some(OLD.len() as u64), "{key}");
            let read = rest.read(Case::PATH).await;
            assert_eq!(read.status, if visible { 200 } else { 404 }, "{key}: {read:?}");
        }
        // Another one's upload to the same name is its own.
        mill.put("/f/x", b"by mill").await.unwrap();
        assert_eq!(case.gateway.rest("orders").read(Case::PATH).await.body, &b"by mill"[..]);
        case.partial_is_at(Case::PATH).await;
        case.resume(Case::PATH).await;
    }
}

async fn folder_of_a_detached_upload_can_go(ledger: Ledger) {
    let mut case = Case::new(ledger, false).await;
    let mut mill = case.gateway.sftp("mill01").await;
    // Resumed before its folder goes, committed after.
    let handle = case.owner.open(Case::PATH, W).await.unwrap();
    case.owner.write(&handle, PART.len() as u64, b" more").await.unwrap();
    mill.rmdir("/f").await.unwrap();
    let refused = case.owner.close(&handle).await.unwrap_err();
    assert_eq!(refused.code, NO_SUCH_FILE, "no such folder: {refused:?}");
    assert!(!mill.names("/").await.unwrap().contains(&"f".to_owned()));
}

async fn open_shows_as_detached_to_its_own_session_only(ledger: Ledger) {
    for visible in [false, true] {
        let gateway = Plan::new(ledger).start().await;
        let mut own = gateway.sftp("edi01").await;
        let mut same_identity = gateway.sftp("edi01").await;
        if visible {
            gateway.rest("orders").put("/inbound/o", OLD).await.ok();
        }
        let handle = own.open("/inbound/o", W | CREATE | TRUNCATE).await.unwrap();
        own.write(&handle, 0, PART).await.unwrap();
        assert_eq!(own.stat("/inbound/o").await.unwrap().size, Some(PART.len() as u64));
        assert_eq!(own.list("/inbound").await.unwrap()[0].1.size, Some(PART.len() as u64));
        let others = same_identity.stat("/inbound/o").await.map(|a| a.size.unwrap());
        assert_eq!(others.ok(), visible.then_some(OLD.len() as u64), "another session of the same identity");
        assert_eq!(same_identity.names("/inbound").await.unwrap().len(), usize::from(visible));
        own.close(&handle).await.unwrap();
        assert_eq!(same_identity.get("/inbound/o").await.unwrap(), PART);
    }
}

async fn begun_anew_replaces_the_detached_one(ledger: Ledger) {
    let mut case = Case::new(ledger, false).await;
    case.owner.put(Case::PATH, b"anew").await.unwrap();
    assert_eq!(case.owner.stat(Case::PATH).await.unwrap().size, Some(4), "one of them at most is left: the new one");
    assert_eq!(case.gateway.rest("orders").read(Case::PATH).await.body, &b"anew"[..]);
    // A detached upload survives a restart.
    case.detach(Case::PATH, PART).await;
    case.gateway.stop().await;
    case.gateway.start().await;
    case.owner = case.gateway.sftp("edi01").await;
    case.partial_is_at(Case::PATH).await;
    assert_eq!(case.gateway.rest("orders").read(Case::PATH).await.body, &b"anew"[..]);
    case.resume(Case::PATH).await;
}
