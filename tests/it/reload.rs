//! The configuration is read again while the gateway runs: who is gone or changed ends, all others go on, and what is wrong changes
//! nothing.

use std::fs;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use secrecy::SecretString;
use serde_json::Value;

use crate::certificates::Ssh;
use crate::harness::openssh::OpenSsh;
use crate::harness::pki::Authority;
use crate::harness::plan::{PASSWORD, Secrets, api_key};
use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{
    Ftps, Gateway, Ledger, Plan, Random, Receiver, Sftp, eventually, has_tool, on_both_ledgers, sha256,
};
use crate::live_sessions::{Kept, ended, told};

on_both_ledgers!(a_login_that_is_gone_ends_and_others_go_on, an_unchanged_login_is_not_disturbed);

const SOON: Duration = Duration::from_secs(20);

async fn log_has(gateway: &Gateway, text: &str) {
    eventually(&format!("the log has `{text}`"), SOON, || async { gateway.log().contains(text).then_some(()) }).await;
}

/// How often the configuration was taken anew.
fn taken(gateway: &Gateway) -> usize {
    gateway.log().matches("the configuration is taken anew").count()
}

/// Changes the file and waits until that counts.
async fn change(gateway: &Gateway, change: impl FnOnce(String) -> String) {
    let before = taken(gateway);
    gateway.edit(change);
    eventually("the configuration is taken anew", SOON, || async { (taken(gateway) > before).then_some(()) }).await;
}

/// The table of a login in the text of a configuration.
fn login_table(text: &str, username: &str) -> String {
    let begin = text.find(&format!("[[tenant.login]]\nusername = \"{username}\"")).unwrap();
    let end = text[begin + 2..].find("\n[[").map_or(text.len(), |end| begin + 2 + end + 1);
    text[begin..end].to_owned()
}

/// What is on record in the gateway's own chain.
fn own_chain(gateway: &Gateway) -> Vec<Value> {
    let ledger = rusqlite::Connection::open(gateway.data().join("causeway.db")).unwrap();
    let sql = "SELECT CAST(body AS TEXT) FROM audit_entries WHERE chain = '' AND operation = 'admin' ORDER BY id";
    let mut query = ledger.prepare(sql).unwrap();
    let rows = query.query_map((), |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
}

async fn a_login_that_is_gone_ends_and_others_go_on(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(ledger).start().await;
    let orders = gateway.rest("orders");
    let (gone, mut stays) = (Kept::start(&gateway, "edi01"), Kept::start(&gateway, "mill01"));
    let mut ftps = Ftps::login(&gateway, "edi01").await;
    let mut other = Ftps::login(&gateway, "edi02").await;
    assert_eq!(ftps.code("PWD").await, 257);
    let mut half = gateway.sftp("edi01").await;
    let handle = half.open("/inbound/half", W | CREATE | TRUNCATE).await.unwrap();
    half.write_all(&handle, 0, &[1; 100_000]).await.unwrap();

    // One that is wrong: all of its errors are told, with their lines, and everybody stays who was known.
    let good = fs::read_to_string(gateway.config()).unwrap();
    let bad =
        good.replace(&login_table(&good, "edi01"), "").replace("quota = \"10 GiB\"", "quota = \"10 Gigs\"\nquoota = 1");
    fs::write(gateway.config(), &bad).unwrap();
    gateway.hang_up();
    log_has(&gateway, "the configuration is not taken; the one of before stays").await;
    let line = bad.lines().position(|line| line.starts_with("quota = \"10 Gigs\"")).unwrap() + 1;
    for (line, key) in [(line, "tenant.identity.quota"), (line + 1, "tenant.identity.quoota")] {
        assert!(gateway.log().contains(&format!("causeway.toml:{line}:")), "line {line}: {}", gateway.log());
        assert!(gateway.log().contains(key), "{key}: {}", gateway.log());
    }
    assert_eq!(ftps.code("PWD").await, 257, "it is as it was");
    gateway.sftp("edi01").await;

    change(&gateway, |_| good.replace(&login_table(&good, "edi01"), "")).await;
    log_has(&gateway, "tenant.acme.login.edi01").await;
    let words = "this session was ended: its login is not there any more";
    assert_eq!(ftps.reply().await, format!("421 {words}"));
    let said = gone.ended().await;
    assert!(said.contains(words), "{said}");
    assert!(Sftp::connect(gateway.sftp, "edi01").await.is_err());
    stays.answers().await;
    assert_eq!(other.code("PWD").await, 257);
    let closed = eventually("session.closed", SOON, || async {
        let all = told(&orders, "session.closed").await;
        let of_it: Vec<Value> = all.into_iter().filter(|e| e["data"]["error_code"] == "login_gone").collect();
        Some(of_it).filter(|all| all.len() == 3)
    })
    .await;
    assert!(closed.iter().all(|event| event["data"]["login"] == "edi01"), "{closed:?}");
    let incomplete = eventually("upload.incomplete", SOON, || async {
        Some(told(&orders, "upload.incomplete").await).filter(|all| !all.is_empty())
    })
    .await;
    assert_eq!(incomplete[0]["data"]["error_message"], words, "{incomplete:?}");
    // Another login of the same identity goes on with what it left.
    let mut again = gateway.sftp("edi02").await;
    assert_eq!(again.stat("/inbound/half").await.unwrap().size, Some(100_000));
    if ledger == Ledger::Sqlite {
        let chain = own_chain(&gateway);
        assert_eq!(chain.len(), 2, "{chain:?}");
        assert_eq!((&chain[0]["outcome"], &chain[0]["object_kind"]), (&"error".into(), &"configuration".into()));
        assert!(chain[0]["error_message"].as_str().unwrap().contains("tenant.identity.quoota"), "{}", chain[0]);
        assert_eq!((&chain[1]["outcome"], &chain[1]["changed"][0]), (&"ok".into(), &"tenant.acme.login.edi01".into()));
        assert_eq!(chain[1]["protocol"], "gateway");
    }
    stays.say("bye");
}

/// A large file goes both ways while the configuration is read again and again.
async fn an_unchanged_login_is_not_disturbed(ledger: Ledger) {
    const SIZE: usize = 200 << 20;
    let gateway = Plan::new(ledger).start().await;
    let content = Random::seeded("reload").bytes(SIZE);
    let mut sftp = gateway.sftp("edi01").await;
    let moving = async {
        sftp.put("/inbound/large", &content).await.unwrap();
        assert!(sftp.get("/inbound/large").await.unwrap() == content);
    };
    let mut changes = 0;
    let changing = async {
        loop {
            gateway.hang_up();
            change(&gateway, |text| match text.split_once("max_file_size = \"101 GiB\"\n") {
                Some((before, after)) => format!("{before}{after}"),
                None => text.replace("[limits]\n", "[limits]\nmax_file_size = \"101 GiB\"\n"),
            })
            .await;
            changes += 1;
        }
    };
    tokio::select! {
        () = moving => {}
        () = changing => {}
    }
    assert!(changes > 0, "it was read again meanwhile");
    let stat = sftp.stat("/inbound/large").await.unwrap();
    assert_eq!(stat.size, Some(SIZE as u64), "the session is still there");
    assert_eq!(gateway.rest("orders").entry("/inbound", "large").await.unwrap()["hash"], sha256(&content));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_stands_on_is_what_counts() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut by_password = Sftp::by_password(gateway.sftp, "edi01", None).await.unwrap();
    let mut by_key = gateway.sftp("edi01").await;
    let mut neighbour = Sftp::by_password(gateway.sftp, "edi02", None).await.unwrap();
    let mut mill = gateway.sftp("mill01").await;
    // Another password: who came by the old one is out, who came by his key stays.
    let another = causeway_core::identity::hash_password(&SecretString::from("another one")).unwrap();
    change(&gateway, |text| {
        let table = login_table(&text, "edi01");
        text.replace(&table, &table.replace(&Secrets::get().password_hash, &another))
    })
    .await;
    log_has(&gateway, "tenant.acme.login.edi01.password_hash").await;
    assert!(!gateway.log().contains(&another), "names, and never what they hold");
    ended(&mut by_password).await;
    by_key.stat("/").await.unwrap();
    neighbour.stat("/").await.unwrap();
    assert!(Sftp::by_password(gateway.sftp, "edi01", Some(PASSWORD)).await.is_err());
    by_password = Sftp::by_password(gateway.sftp, "edi01", Some("another one")).await.unwrap();
    // A key more is nobody's loss; the key taken away is.
    change(&gateway, |text| {
        let table = login_table(&text, "edi01");
        let key = &Secrets::get().public_key;
        text.replace(&table, &table.replace(&format!("[\"{key}\"]"), &format!("[\"{key}\", \"{OTHER_KEY}\"]")))
    })
    .await;
    by_key.stat("/").await.unwrap();
    change(&gateway, |text| text.replace(&format!("[\"{}\", \"{OTHER_KEY}\"]", Secrets::get().public_key), "[]")).await;
    ended(&mut by_key).await;
    by_password.stat("/").await.unwrap();
    // What the identity may do: all of its sessions end, and nobody else's.
    change(&gateway, |text| {
        text.replace(
            "{ at = \"/inbound\", path = \"/inbound\", permissions = [\"*\"] }",
            "{ at = \"/inbound\", path = \"/inbound\", permissions = [\"list\"] }",
        )
    })
    .await;
    ended(&mut by_password).await;
    ended(&mut neighbour).await;
    mill.stat("/").await.unwrap();
    let closed = eventually("they are told", SOON, || async {
        Some(told(&gateway.rest("orders"), "session.closed").await).filter(|all| all.len() == 4)
    })
    .await;
    assert!(closed.iter().all(|event| event["data"]["error_code"] == "login_changed"), "{closed:?}");
    // By another protocol, or from elsewhere.
    change(&gateway, |text| {
        let table = login_table(&text, "mill01");
        text.replace(&table, &table.replace("[\"sftp\", \"ftps\"]", "[\"ftps\"]"))
    })
    .await;
    ended(&mut mill).await;
    assert!(Sftp::connect(gateway.sftp, "mill01").await.is_err());
    // A key of the API.
    assert_eq!(gateway.rest("mill").get("/auth/validate").await.status, 200);
    change(&gateway, |text| text.replace(&sha256(api_key("mill").as_bytes()), &sha256(b"another"))).await;
    gateway.rest("mill").get("/auth/validate").await.problem(401, "unauthenticated");
}

const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtm7BgJU+yzE7+Amkoa9mmk9osBbrnMf52OanGYPXX3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_no_right_and_counts_at_once() {
    let gateway = Plan::new(Ledger::Sqlite).edi_quota("1 MiB").start().await;
    let mut sftp = gateway.sftp("edi01").await;
    sftp.put("/inbound/one", &[1; 900_000]).await.unwrap();
    assert!(sftp.put("/inbound/two", &[1; 900_000]).await.is_err(), "there is no room");
    change(&gateway, |text| text.replace("quota = \"1 MiB\"", "quota = \"4 MiB\"")).await;
    let began = Instant::now();
    while sftp.put("/inbound/two", &[1; 900_000]).await.is_err() {
        assert!(began.elapsed() < SOON, "there is room");
    }
    assert!(sftp.put("/inbound/three", &[1; 4_000_000]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_count_without_a_restart_and_what_needs_one_is_told() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    assert_eq!(rest.put("/inbound/a", &[0; 5_000]).await.status, 201);
    let listening = gateway.sftp;
    change(&gateway, |text| {
        let text = text.replace(
            "[limits]\n",
            "[limits]\nmax_file_size = \"1 KiB\"\nrequests_per_minute = 3\nsessions_per_login = 1\n",
        );
        text.replace(
            "[sftp]\nlisten = [\"127.0.0.1:0\"]",
            "[sftp]\nbanner = \"a new banner\"\nlisten = [\"127.0.0.1:1\"]",
        )
    })
    .await;
    log_has(&gateway, "needs a restart").await;
    let log = gateway.log();
    let told = log.lines().find(|line| line.contains("needs a restart")).unwrap();
    assert!(told.contains("sftp.listen") && !told.contains("banner"), "{told}");
    // The rest of the change counts.
    rest.put("/inbound/b", &[0; 5_000]).await.problem(413, "file_too_large");
    let mut last = rest.get("/auth/validate").await;
    for _ in 0..4 {
        last = rest.get("/auth/validate").await;
    }
    last.problem(429, "throttled");
    let _first = gateway.sftp("edi01").await;
    assert!(Sftp::connect(listening, "edi01").await.is_err(), "one session of a login, where it listened before");
    if has_tool("sftp") {
        let ran = OpenSsh::new(&gateway, "mill01").batch("ls\n").await;
        assert!(ran.output.contains("a new banner"), "{ran:?}");
    }
    let chain = own_chain(&gateway);
    let entry = chain.last().unwrap();
    assert_eq!(entry["needs_restart"], serde_json::json!(["sftp.listen"]), "{entry}");
    assert!(entry["changed"].as_array().unwrap().contains(&"limits.max_file_size".into()), "{entry}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_not_open_is_refused() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    gateway.edit(|text| {
        let text = text.replace("[[storage]]\n", "[[storage]]\nname = \"new\"\nkind = \"memory\"\n[[storage]]\n");
        text.replacen("storage = \"local\"", "storage = \"new\"", 1)
    });
    log_has(&gateway, "which is opened at a start alone").await;
    assert_eq!(gateway.rest("orders").put("/inbound/a", b"a").await.status, 201, "it goes on as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_come_and_go() {
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    let gateway = Plan::new(Ledger::Sqlite).webhook("hook", &first, &["file.uploaded"]).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/one", b"1").await.ok();
    first.until("the first", |posts| posts.len() == 1).await;
    change(&gateway, |text| text.replace(&first.url(), &second.url())).await;
    rest.put("/inbound/two", b"2").await.ok();
    second.until("the second", |posts| posts.len() == 1).await;
    change(&gateway, |text| text.replace("events = [\"file.uploaded\"]", "events = [\"file.deleted\"]")).await;
    rest.put("/inbound/three", b"3").await.ok();
    assert_eq!(
        rest.delete(&format!("/files/{}", rest.entry("/inbound", "two").await.unwrap()["file_id"].as_str().unwrap()))
            .await
            .status,
        204
    );
    let posts = second.until("what it wants to hear", |posts| posts.len() == 2).await;
    assert_eq!(posts[1].kind(), "file.deleted");
    assert_eq!(first.posts().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_it_refers_to_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let hash = folder.path().join("hash");
    fs::write(&hash, &Secrets::get().password_hash).unwrap();
    let lines = format!(
        "username = \"filed\"\nidentity = \"mill\"\nprotocols = [\"sftp\"]\npassword_hash = \"file:{}\"",
        hash.display()
    );
    let gateway = Plan::new(Ledger::Sqlite).whole_login(&lines).start().await;
    let mut filed = Sftp::by_password(gateway.sftp, "filed", None).await.unwrap();
    let another = causeway_core::identity::hash_password(&SecretString::from("another one")).unwrap();
    fs::write(folder.path().join("new"), &another).unwrap();
    fs::rename(folder.path().join("new"), &hash).unwrap();
    ended(&mut filed).await;
    Sftp::by_password(gateway.sftp, "filed", Some("another one")).await.unwrap();
    // Half a file, or none, changes nothing.
    fs::write(&hash, "$argon2id$half").unwrap();
    log_has(&gateway, "the configuration is not taken").await;
    Sftp::by_password(gateway.sftp, "filed", Some("another one")).await.unwrap();
    fs::remove_file(gateway.config()).unwrap();
    log_has(&gateway, "cannot be read").await;
    Sftp::by_password(gateway.sftp, "filed", Some("another one")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_is_shown_to_those_who_come() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new("a new CA");
    let of_server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    drop(ca.issue_as(folder.path(), "server", &["DNS:localhost", "IP:127.0.0.1"], of_server));
    drop(ca.issue_as(folder.path(), "other", &["DNS:localhost"], of_server));
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut open = Ftps::login(&gateway, "edi01").await;
    let before = open.server_certificate();
    let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    change(&gateway, |text| {
        text.replace("[tls]\n", &format!("[tls]\ncertificate = {chain:?}\nprivate_key = {key:?}\n"))
    })
    .await;
    fs::write(gateway.data().join("certs/ca.pem"), ca.pem()).unwrap();
    let after = eventually("the new certificate is shown", SOON, || async {
        let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
        if client.code("AUTH TLS").await != 234 {
            return None;
        }
        client.handshake().await.ok().map(|()| client.server_certificate())
    })
    .await;
    assert_ne!(before, after);
    assert_eq!(open.code("PWD").await, 257, "who was there stays");
    assert_eq!(gateway.rest("orders").get("/auth/validate").await.status, 200, "the API shows it, too");
    // One that does not go together is refused, and the one of before stays.
    gateway.edit(|text| {
        text.replace(&format!("private_key = {key:?}"), &format!("private_key = {:?}", folder.path().join("other.key")))
    });
    log_has(&gateway, "the configuration is not taken").await;
    assert_eq!(gateway.rest("orders").get("/auth/validate").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_ends_its_sessions() {
    let Some(ssh) = Ssh::new() else { return };
    let revoked = ssh.path("revoked");
    fs::write(&revoked, "").unwrap();
    let plan = Plan::new(Ledger::Sqlite).acme(&format!("revoked_keys = [{revoked:?}]"));
    let plan = plan.acme(&format!("trusted_user_ca_keys = [{:?}]", ssh.key("ca", &[])));
    let gateway = plan.login("cert01", "edi-partner", "").start().await;
    let certificate = ssh.sign("ca", "one", &["-n", "cert01", "-I", "one"]);
    let mut by_certificate = Kept::with(&gateway, "cert01", &certificate);
    by_certificate.answers().await;
    let mut by_key = gateway.sftp("edi01").await;
    let mut by_password = Sftp::by_password(gateway.sftp, "edi02", None).await.unwrap();
    let revoke = |text: &str| {
        fs::write(ssh.path("next"), text).unwrap();
        fs::rename(ssh.path("next"), &revoked).unwrap();
    };
    revoke(&format!("{}\n", ssh.public("one")));
    let said = by_certificate.ended().await;
    assert!(said.contains("is revoked"), "{said}");
    by_key.stat("/").await.unwrap();
    revoke(&format!("{}\n", Secrets::get().public_key));
    ended(&mut by_key).await;
    by_password.stat("/").await.unwrap();
    let closed = eventually("both are told", SOON, || async {
        Some(told(&gateway.rest("orders"), "session.closed").await).filter(|all| all.len() == 2)
    })
    .await;
    assert!(closed.iter().all(|event| event["data"]["error_code"] == "credential_revoked"), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_at_any_moment_are_safe() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    for _ in 0..50 {
        gateway.hang_up();
    }
    log_has(&gateway, "nothing has changed").await;
    let mut sftp = gateway.sftp("edi01").await;
    let handle = sftp.open("/inbound/a", W | CREATE | TRUNCATE).await.unwrap();
    gateway.hang_up();
    gateway.terminate();
    gateway.hang_up();
    log_has(&gateway, "stopping").await;
    gateway.hang_up();
    sftp.write(&handle, 0, b"a").await.unwrap();
    sftp.close(&handle).await.unwrap();
    let status = gateway.wait().await;
    assert!(status.success(), "{status}");
}
