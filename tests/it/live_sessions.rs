//! The live sessions: listed with what is known of them, on every node, and ended by an administrator on any.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::Value;

use crate::harness::openssh::OpenSsh;
use crate::harness::plan::postgres_url;
use crate::harness::rest::encode;
use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, Rest, Sftp, eventually, has_tool, on_both_ledgers};

on_both_ledgers!(
    are_listed_with_what_is_known,
    end_with_the_words_of_their_protocol,
    an_upload_under_way_is_left_to_be_resumed,
    requests_are_cut,
    a_commit_under_way_is_not_torn,
);

/// How soon anything here is to be seen.
const SOON: Duration = Duration::from_secs(20);
const WORDS: &str = "an administrator has ended this session";

/// With an operator of the whole gateway.
fn plan(ledger: Ledger) -> Plan {
    Plan::new(ledger).keyed("operator", &["admin:gateway"], "[]")
}

/// Every session that an administrator is told of, but for the request itself.
pub async fn sessions(rest: &Rest, filter: &str) -> Vec<Value> {
    let all = rest.pages(&format!("/sessions?limit=100{filter}"), "sessions").await;
    all.into_iter().filter(|session| session["login"] != "ops" && session["login"] != "operator").collect()
}

/// All events of a kind.
pub async fn told(rest: &Rest, kind: &str) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    loop {
        let after = out.last().map(|event| format!("&after={}", event["id"].as_str().unwrap())).unwrap_or_default();
        let page = rest.get(&format!("/events?type={kind}&limit=200{after}")).await.ok();
        let page = page["events"].as_array().unwrap().clone();
        if page.is_empty() {
            return out;
        }
        out.extend(page);
    }
}

/// The entries of the trail that match.
async fn trail(rest: &Rest, query: &str) -> Vec<Value> {
    rest.pages(&format!("/audit?{query}&limit=200"), "entries").await
}

/// The one session of a login, once it is there.
pub async fn session_of(rest: &Rest, login: &str) -> Value {
    eventually(&format!("a session of {login}"), SOON, || async {
        let mut found = sessions(rest, &format!("&login={login}")).await;
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    })
    .await
}

async fn end(rest: &Rest, session: &Value) -> u16 {
    rest.delete(&format!("/sessions/{}", session["session_id"].as_str().unwrap())).await.status
}

/// Waits until a session's connection ends.
pub async fn ended(sftp: &mut Sftp) {
    let began = Instant::now();
    while sftp.stat("/").await.is_ok() {
        assert!(began.elapsed() < SOON, "the session does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// OpenSSH's `sftp`, which waits for commands until it is told no more.
pub struct Kept {
    client: OpenSsh,
    child: Child,
    commands: Option<File>,
}

impl Kept {
    pub fn start(gateway: &Gateway, login: &str) -> Self {
        Self::of(OpenSsh::new(gateway, login))
    }

    /// By this key, and the certificate beside it.
    pub fn with(gateway: &Gateway, login: &str, identity: &Path) -> Self {
        Self::of(OpenSsh::new(gateway, login).identity(identity))
    }

    fn of(client: OpenSsh) -> Self {
        let fifo = client.folder().join("commands");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        // Opened for both, so that neither side waits for the other one to open it.
        let commands = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let child = client.spawn_reading(&fifo);
        let mut kept = Self { client, child, commands: Some(commands) };
        kept.say("pwd");
        kept
    }

    pub fn say(&mut self, command: &str) {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Waits until it ends; what it printed.
    pub async fn ended(mut self) -> String {
        // It looks at its connection where it has something to say.
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() && began.elapsed() < SOON {
            self.say("ls");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = self.client.finish(self.child, SOON).await.output;
        drop(self.commands.take());
        said
    }

    /// Whether it is still there, and answers.
    pub async fn answers(&mut self) {
        let made = format!("made-{}", uuid::Uuid::now_v7().simple());
        self.say(&format!("lmkdir {made}\nls /inbound\nlmkdir {made}-too"));
        let path = self.client.folder().join(format!("{made}-too"));
        eventually("OpenSSH goes on", SOON, || async { path.exists().then_some(()) }).await;
        assert!(self.child.try_wait().unwrap().is_none());
    }
}

async fn are_listed_with_what_is_known(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let ops = gateway.rest("ops");
    let mut sftp = gateway.sftp("edi01").await;
    sftp.put("/inbound/listed.bin", &[7; 3000]).await.unwrap();
    sftp.get("/inbound/listed.bin").await.unwrap();
    let handle = sftp.open("/inbound/open.bin", W | CREATE | TRUNCATE).await.unwrap();
    sftp.write(&handle, 0, &[1; 1000]).await.unwrap();
    let mut ftps = Ftps::login(&gateway, "edi02").await;
    let _foreign = gateway.sftp("other01").await;

    let one = session_of(&ops, "edi01").await;
    for (field, wanted) in [
        ("tenant_id", "acme"),
        ("protocol", "sftp"),
        ("identity", "edi-partner"),
        ("login", "edi01"),
        ("client_ip", "127.0.0.1"),
        ("auth_method", "publickey"),
        ("operation", "upload"),
    ] {
        assert_eq!(one[field], wanted, "{one}");
    }
    assert!(one["client_version"].as_str().unwrap().starts_with("SSH-2.0-"), "{one}");
    assert!(one["started_at"].as_str().unwrap().ends_with('Z'), "{one}");
    assert_eq!((&one["bytes_up"], &one["bytes_down"]), (&Value::from(4000), &Value::from(3000)), "{one}");
    // What its events say.
    let uploaded = told(&gateway.rest("orders"), "file.uploaded").await;
    assert_eq!(uploaded[0]["data"]["session"], one["session_id"]);
    assert_eq!(uploaded[0]["data"]["node"], one["node"]);
    let two = session_of(&ops, "edi02").await;
    assert_eq!((&two["protocol"], &two["auth_method"]), (&"ftps".into(), &"password".into()), "{two}");
    assert_eq!(two["operation"], Value::Null);

    let logins = async |rest: &Rest, filter: &str| -> Vec<String> {
        let found = sessions(rest, filter).await;
        found.iter().map(|session| session["login"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(logins(&ops, "").await, ["edi02", "edi01"], "the newest first, the own tenant alone");
    assert_eq!(logins(&ops, "&protocol=sftp").await, ["edi01"]);
    assert_eq!(logins(&ops, "&identity=edi-partner&protocol=ftps").await, ["edi02"]);
    assert_eq!(logins(&ops, "&login=nobody").await, Vec::<String>::new());
    let page_by_page = ops.pages("/sessions?limit=1&identity=edi-partner", "sessions").await;
    assert_eq!(page_by_page.len(), 2, "{page_by_page:?}");
    // The request itself is one, too.
    let own = ops.pages("/sessions?protocol=api", "sessions").await;
    assert!(own.iter().any(|session| session["login"] == "ops" && session["auth_method"] == "api_key"), "{own:?}");

    let operator = gateway.rest("operator");
    assert_eq!(logins(&operator, "&tenant=other").await, ["other01"]);
    assert_eq!(logins(&operator, "").await, ["edi02", "edi01"]);
    ops.get("/sessions?tenant=other").await.problem(403, "permission_denied");
    gateway.rest("orders").get("/sessions").await.problem(403, "permission_denied");
    for wrong in ["protocol=scp", "tenant=", "cursor=x", "limit=0", "state=x"] {
        ops.get(&format!("/sessions?{wrong}")).await.problem(400, "invalid_argument");
    }

    assert_eq!(ftps.code("QUIT").await, 221);
    drop(sftp);
    eventually("they are gone", SOON, || async { sessions(&ops, "").await.is_empty().then_some(()) }).await;
}

async fn end_with_the_words_of_their_protocol(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let gateway = plan(ledger).start().await;
    let (ops, orders) = (gateway.rest("ops"), gateway.rest("orders"));
    let (kept, mut other) = (Kept::start(&gateway, "edi01"), Kept::start(&gateway, "mill01"));
    let mut ftps = Ftps::login(&gateway, "edi02").await;
    let foreign = gateway.sftp("other01").await;
    let ssh = session_of(&ops, "edi01").await;

    // Nobody else's business.
    assert_eq!(end(&orders, &ssh).await, 403);
    let theirs = session_of(&gateway.rest("operator"), "other01&tenant=other").await;
    assert_eq!(end(&ops, &theirs).await, 404);
    ops.delete("/sessions/nothing").await.problem(404, "not_found");

    assert_eq!(end(&ops, &ssh).await, 204);
    let said = kept.ended().await;
    assert!(said.contains(WORDS), "{said}");
    eventually("it is gone", SOON, || async { sessions(&ops, "&login=edi01").await.is_empty().then_some(()) }).await;
    assert_eq!(end(&ops, &ssh).await, 404, "it is over");
    other.answers().await;

    assert_eq!(ftps.code("PWD").await, 257);
    let tls = session_of(&ops, "edi02").await;
    assert_eq!(end(&ops, &tls).await, 204);
    let said = ftps.reply().await;
    assert_eq!(said, format!("421 {WORDS}"));
    assert!(ftps.is_closed().await);

    assert_eq!(end(&gateway.rest("operator"), &theirs).await, 204, "the operator reaches every tenant");
    drop(foreign);
    for (session, login) in [(&ssh, "edi01"), (&tls, "edi02")] {
        let closed = eventually("session.closed", SOON, || async {
            let all = told(&orders, "session.closed").await;
            all.into_iter().find(|event| event["data"]["session"] == session["session_id"])
        })
        .await;
        assert_eq!(closed["data"]["error_code"], "ended_by_admin", "{closed}");
        assert_eq!(closed["data"]["error_message"], WORDS, "{closed}");
        let changes = trail(&orders, "operation=admin&outcome=ok").await;
        let entry = changes.iter().find(|entry| entry["object_id"] == session["session_id"]);
        let entry = entry.unwrap_or_else(|| panic!("{login}: {changes:?}"));
        assert_eq!((&entry["login"], &entry["identity"]), (&"ops".into(), &"ops".into()), "who did it: {entry}");
        assert_eq!((&entry["object_kind"], &entry["change"]), (&"session".into(), &"ended".into()), "{entry}");
        assert_eq!(entry["before"]["login"], login, "whom: {entry}");
        let told = told(&orders, "admin.changed").await;
        assert!(told.iter().any(|event| event["data"]["object_id"] == session["session_id"]), "{told:?}");
    }
    let refused = trail(&orders, "operation=admin&outcome=denied").await;
    assert!(refused.iter().any(|entry| entry["login"] == "orders"), "{refused:?}");
    // Who was ended may come again: nothing was taken from him.
    gateway.sftp("edi01").await;
    other.say("bye");
}

async fn an_upload_under_way_is_left_to_be_resumed(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (ops, orders) = (gateway.rest("ops"), gateway.rest("orders"));
    let content = Random::seeded("ended").bytes(2 << 20);
    let half = 1 << 20;
    // SFTP.
    let mut sftp = gateway.sftp("edi01").await;
    let handle = sftp.open("/inbound/half.bin", W | CREATE | TRUNCATE).await.unwrap();
    sftp.write_all(&handle, 0, &content[..half]).await.unwrap();
    assert_eq!(end(&ops, &session_of(&ops, "edi01").await).await, 204);
    ended(&mut sftp).await;
    // FTPS.
    let mut ftps = Ftps::login(&gateway, "edi02").await;
    let (_, data) = ftps.open("STOR /inbound/half.ftps").await;
    let mut data = data.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut data, &content[..half]).await.unwrap();
    tokio::io::AsyncWriteExt::flush(&mut data).await.unwrap();
    let session = eventually("it has come", SOON, || async {
        Some(session_of(&ops, "edi02").await).filter(|session| session["bytes_up"] == half)
    })
    .await;
    assert_eq!(end(&ops, &session).await, 204);
    assert!(ftps.reply().await.starts_with("426"));
    assert_eq!(ftps.reply().await, format!("421 {WORDS}"));

    let incomplete = eventually("both are told", SOON, || async {
        Some(told(&orders, "upload.incomplete").await).filter(|all| all.len() == 2)
    })
    .await;
    for event in &incomplete {
        assert_eq!(event["data"]["error_message"], WORDS, "{event}");
    }
    for (path, login) in [("/inbound/half.bin", "edi01"), ("/inbound/half.ftps", "edi02")] {
        orders.read(path).await.problem(404, "not_found");
        let mut again = gateway.sftp(login).await;
        assert_eq!(again.stat(path).await.unwrap().size, Some(half as u64), "{path}: what came is there");
        let handle = again.open(path, W).await.unwrap();
        again.write_all(&handle, half as u64, &content[half..]).await.unwrap();
        again.close(&handle).await.unwrap();
        assert_eq!(orders.read(path).await.body, content, "{path}");
    }
}

async fn requests_are_cut(ledger: Ledger) {
    let gateway = plan(ledger).limits("bandwidth_down = \"1 MiB/s\"").start().await;
    let (ops, edi) = (gateway.rest("ops"), gateway.rest_http1("edi"));
    let content = Random::seeded("cut").bytes(40 << 20);
    assert_eq!(gateway.rest("orders").put("/inbound/big.bin", &content).await.status, 201);
    // A download ends short of its length.
    let request = edi.request(Method::GET, &format!("/files/content?path={}", encode("/inbound/big.bin")));
    let mut answer = request.send().await.unwrap().bytes_stream();
    answer.next().await.unwrap().unwrap();
    let session = eventually("it is under way", SOON, || async {
        Some(session_of(&ops, "edi").await).filter(|session| session["operation"] == "download")
    })
    .await;
    assert_eq!(session["protocol"], "api");
    assert_eq!(end(&ops, &session).await, 204);
    let mut broke = false;
    while let Some(piece) = answer.next().await {
        broke |= piece.is_err();
    }
    assert!(broke, "the download is not whole, and its client can tell");
    let downloads = eventually("it is told", SOON, || async {
        Some(told(&gateway.rest("orders"), "file.downloaded").await).filter(|all| !all.is_empty())
    })
    .await;
    assert_eq!(downloads[0]["data"]["complete"], false);
    assert_eq!(downloads[0]["data"]["error_message"], WORDS);
    // An upload is answered, and nothing of it is seen.
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    sender.unbounded_send(Ok(Bytes::from(vec![5; 300_000]))).unwrap();
    let body = reqwest::Body::wrap_stream(receiver);
    let request = edi.request(Method::PUT, "/files/content?path=/inbound/cut.bin").body(body);
    let sending = tokio::spawn(async move { edi.try_send(request).await });
    let session = eventually("it is under way", SOON, || async {
        Some(session_of(&ops, "edi").await).filter(|session| session["bytes_up"] == 300_000)
    })
    .await;
    assert_eq!(end(&ops, &session).await, 204);
    if let Ok(answer) = sending.await.unwrap() {
        assert!(answer.status >= 400, "{answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains(WORDS), "{answer:?}");
    }
    drop(sender);
    gateway.rest("orders").read("/inbound/cut.bin").await.problem(404, "not_found");
    let incomplete = eventually("it is told", SOON, || async {
        Some(told(&gateway.rest("orders"), "upload.incomplete").await).filter(|all| !all.is_empty())
    })
    .await;
    assert_eq!(incomplete[0]["data"]["error_message"], WORDS);
}

/// The end comes at any moment of a close: what was acknowledged is there, and what is there is whole.
async fn a_commit_under_way_is_not_torn(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (ops, orders) = (gateway.rest("ops"), gateway.rest("orders"));
    let content = Random::seeded("torn").bytes(300_000);
    let (mut kept, mut lost) = (0, 0);
    for n in 0..16_u32 {
        let path = format!("/inbound/torn-{n}");
        let mut sftp = gateway.sftp("edi01").await;
        let handle = sftp.open(&path, W | CREATE | TRUNCATE).await.unwrap();
        sftp.write_all(&handle, 0, &content).await.unwrap();
        let session = session_of(&ops, "edi01").await;
        let closing = async {
            tokio::time::sleep(Duration::from_micros(u64::from(n) * 150)).await;
            sftp.close(&handle).await
        };
        let (closed, status) = tokio::join!(closing, end(&ops, &session));
        assert_eq!(status, 204);
        eventually("it is gone", SOON, || async { sessions(&ops, "").await.is_empty().then_some(()) }).await;
        let read = orders.read(&path).await;
        match (closed, read.status) {
            (Ok(()), status) => {
                assert_eq!(status, 200, "{path} was acknowledged");
                kept += 1;
            }
            (Err(_), 200) => kept += 1,
            (Err(_), status) => {
                assert_eq!(status, 404);
                lost += 1;
            }
        }
        if read.status == 200 {
            assert!(read.body == content, "{path} is whole");
        }
    }
    assert_eq!(kept + lost, 16);
}

/// The nodes of a cluster.
async fn cluster() -> Option<(Gateway, Gateway)> {
    postgres_url()?;
    let one = plan(Ledger::Postgres).start().await;
    let two = one.beside(|plan| plan).await;
    Some((one, two))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_lists_and_ends_those_of_all() {
    let Some((mut one, two)) = cluster().await else { return };
    let (here, there) = (one.rest("ops"), two.rest("ops"));
    let mut sftp = one.sftp("edi01").await;
    let mut ftps = Ftps::login(&one, "edi02").await;
    let (mine, theirs) = (session_of(&here, "edi01").await, session_of(&there, "edi01").await);
    for field in [
        "session_id",
        "protocol",
        "identity",
        "login",
        "client_ip",
        "client_version",
        "auth_method",
        "node",
        "started_at",
    ] {
        assert_eq!(mine[field], theirs[field], "{field}: {mine} {theirs}");
    }
    assert_eq!((&mine["bytes_up"], &theirs["bytes_up"]), (&0.into(), &Value::Null), "what another node cannot know");
    session_of(&there, "edi02").await;
    assert_eq!(end(&two.rest("orders"), &theirs).await, 403);
    assert_eq!(end(&there, &theirs).await, 204);
    ended(&mut sftp).await;
    eventually("both know", SOON, || async {
        let none =
            sessions(&here, "&login=edi01").await.is_empty() && sessions(&there, "&login=edi01").await.is_empty();
        none.then_some(())
    })
    .await;
    let closed = eventually("session.closed", SOON, || async {
        told(&two.rest("orders"), "session.closed").await.into_iter().find(|e| e["data"]["login"] == "edi01")
    })
    .await;
    assert_eq!(closed["data"]["error_code"], "ended_by_admin", "{closed}");
    assert_eq!(ftps.code("PWD").await, 257, "others go on");
    // What a node had is nobody's once it has started again.
    one.kill().await;
    one.start().await;
    eventually("swept", SOON, || async { sessions(&there, "").await.is_empty().then_some(()) }).await;
}

/// A session that nobody ends in time cannot keep the place that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_gives_its_place_back() {
    let gateway = plan(Ledger::Sqlite).limits("sessions_per_login = 1").start().await;
    let ops = gateway.rest("ops");
    let _first = gateway.sftp("edi01").await;
    assert!(Sftp::connect(gateway.sftp, "edi01").await.is_err(), "it has all that it may have");
    assert_eq!(end(&ops, &session_of(&ops, "edi01").await).await, 204);
    eventually("there is room", SOON, || async { Sftp::connect(gateway.sftp, "edi01").await.ok() }).await;
}
