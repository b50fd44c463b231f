//! Logins over FTPS: a second step by ACCT, what FTPS cannot ask for, too many sessions, and what failures cost.

use std::time::{Duration, SystemTime};

use hmac::{KeyInit as _, Mac as _};
use reqwest::Method;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::harness::ftps::code;
use crate::harness::plan::PASSWORD;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Rest, Sftp, eventually};

/// The secret of RFC 6238 appendix B, "12345678901234567890".
pub const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The code of now (RFC 4226 section 5.3, RFC 6238 section 4).
pub fn code_of_now() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(b"12345678901234567890").unwrap();
    mac.update(&(now / 30).to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

async fn secured(gateway: &Gateway) -> Ftps {
    let mut client = Ftps::connect(gateway, &rustls::version::TLS13).await;
    client.secure().await;
    client
}

#[tokio::test]
async fn a_code_comes_by_acct() {
    let lines = "require = \"password+totp\"\ntotp_secret = \"env:CODE01_SECRET\"";
    let mut plan = Plan::new(Ledger::Sqlite).partner_login("code01", lines);
    plan.env.push(("CODE01_SECRET".to_owned(), SECRET.to_owned()));
    let gateway = plan.start().await;
    let mut client = secured(&gateway).await;
    let password = format!("PASS {PASSWORD}");
    assert_eq!(client.code("ACCT 123456").await, 503, "no login is under way");
    // The password alone is not enough, and says so; nothing else can be done now.
    assert_eq!(client.code("USER code01").await, 331);
    assert_eq!(client.code("ACCT 123456").await, 503);
    assert_eq!(client.code(&password).await, 332);
    assert_eq!(client.code("PWD").await, 530);
    assert_eq!(client.code(&password).await, 503);
    // A wrong code ends it: USER begins again, and what was proven before does not count.
    let right = code_of_now();
    let wrong = if right == "000000" { "000001" } else { "000000" };
    assert_eq!(client.code(&format!("ACCT {wrong}")).await, 530);
    assert_eq!(client.code(&format!("ACCT {right}")).await, 503);
    assert_eq!(client.code("USER code01").await, 331);
    assert_eq!(client.code("PASS wrong").await, 530);
    assert_eq!(client.code("USER code01").await, 331);
    assert_eq!(client.code(&password).await, 332);
    // Another name, and back: the password is asked for again.
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code("USER code01").await, 331);
    assert_eq!(client.code(&format!("ACCT {}", code_of_now())).await, 503);
    assert_eq!(client.code(&password).await, 332);
    assert_eq!(client.code(&format!("ACCT {}", code_of_now())).await, 230);
    assert_eq!(client.code("PWD").await, 257);
    let logins = gateway.rest("orders").pages("/audit?operation=login&limit=200", "entries").await;
    let inside: Vec<_> = logins.iter().filter(|entry| entry["outcome"] == "ok").collect();
    assert_eq!(inside.len(), 1, "{logins:?}");
    assert_eq!(inside[0]["auth_method"], "password+totp", "{logins:?}");
}

/// The client hears what it hears for every login that is not right; the operator is told at the start, and the trail says why.
#[tokio::test]
async fn a_name_of_two_tenants_is_told_to_the_operator() {
    let rule = |identity: &str, username: &str| {
        format!(
            "[[tenant.mapping]]\nid = \"branches\"\nusername = \"{username}\"\nidentity = \"{identity}\"\n\
             protocols = [\"sftp\", \"ftps\"]\nauthorized_keys_file = \"keys\"\n"
        )
    };
    let plan =
        Plan::new(Ledger::Sqlite).acme(&rule("edi-partner", "branch-[0-9]{3}")).other(&rule("other-app", "[a-z]+-0.."));
    let gateway = plan.start().await;
    assert!(gateway.log().contains("know the same names, like `branch-0"), "{}", gateway.log());
    let mut client = secured(&gateway).await;
    let mut said = Vec::new();
    for name in ["branch-001", "nobody"] {
        assert_eq!(client.code(&format!("USER {name}")).await, 331);
        said.push(client.say(&format!("PASS {PASSWORD}")).await);
    }
    assert_eq!(said[0], said[1], "the client learns nothing of it");
    let ledger = rusqlite::Connection::open(gateway.data().join("causeway.db")).unwrap();
    let reason = |login: &str| -> String {
        let sql = "SELECT CAST(body AS TEXT) FROM audit_entries WHERE login = ?1 AND outcome <> 'ok'";
        ledger.query_row(sql, (login,), |row| row.get(0)).unwrap()
    };
    assert!(reason("branch-001").contains("one of several tenants (`acme`, `other`)"), "{}", reason("branch-001"));
    assert!(!reason("nobody").contains("several"), "{}", reason("nobody"));
}

/// A restart does not give used codes back, and neither does the end of the process by force.
#[tokio::test]
async fn a_code_counts_once_over_restarts() {
    let lines = "require = \"password+totp\"\ntotp_secret = \"env:CODE01_SECRET\"";
    let mut plan = Plan::new(Ledger::Sqlite).partner_login("code01", lines);
    plan.env.push(("CODE01_SECRET".to_owned(), SECRET.to_owned()));
    let mut gateway = plan.start().await;
    let enter = async |gateway: &Gateway, code: &str| {
        let mut client = secured(gateway).await;
        assert_eq!(client.code("USER code01").await, 331);
        assert_eq!(client.code(&format!("PASS {PASSWORD}")).await, 332);
        client.code(&format!("ACCT {code}")).await
    };
    // It lasts for the next half minute in any case, so that what is refused is the second use.
    let code = code_of_now();
    assert_eq!(enter(&gateway, &code).await, 230);
    gateway.kill().await;
    gateway.start().await;
    assert_eq!(enter(&gateway, &code).await, 530, "used before the restart");
}

#[tokio::test]
async fn what_ftps_cannot_ask_for_is_refused() {
    let gateway = Plan::new(Ledger::Sqlite).partner_login("both01", "require = \"publickey+password\"").start().await;
    let mut client = secured(&gateway).await;
    assert_eq!(client.code("USER both01").await, 331);
    let said = client.say(&format!("PASS {PASSWORD}")).await;
    assert!(said.starts_with("530 ") && said.contains("publickey") && said.contains("SFTP"), "{said}");
    assert_eq!(client.code("PWD").await, 530);
    assert_eq!(client.code("ACCT x").await, 503);
}

#[tokio::test]
async fn one_session_too_many_hears_why() {
    let gateway = Plan::new(Ledger::Sqlite).limits("sessions_per_login = 2").start().await;
    let (mut one, _two) = (Ftps::login(&gateway, "edi01").await, Ftps::login(&gateway, "edi01").await);
    let mut third = secured(&gateway).await;
    assert_eq!(third.code("USER edi01").await, 331);
    let said = third.say(&format!("PASS {PASSWORD}")).await;
    assert!(said.starts_with("421 ") && said.contains("sessions"), "{said}");
    assert!(third.is_closed().await);
    // A place that is given back can be taken, by REIN too.
    assert_eq!(one.code("REIN").await, 220);
    Ftps::login(&gateway, "edi01").await;
}

/// What the listener says first.
async fn greeting(gateway: &Gateway) -> String {
    let mut stream = TcpStream::connect(gateway.ftps).await.unwrap();
    let mut buffer = [0; 200];
    let read = stream.read(&mut buffer).await.unwrap_or(0);
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn failures_close_the_door() {
    // Whatever was wrong with a login costs the same: one is for free here, two are not.
    let costly = "penalties = { noauth = \"0s\", invaliduser = \"8s\", min = \"10s\", max = \"1m\" }";
    let gateway = Plan::new(Ledger::Sqlite).limits(costly).start().await;
    // Those that log in pay nothing for what they did wrong before.
    for _ in 0..3 {
        let mut client = secured(&gateway).await;
        assert_eq!(client.code("USER nobody").await, 331);
        assert_eq!(client.code("PASS wrong").await, 530);
        client.enter("edi01").await;
        assert_eq!(client.code("QUIT").await, 221);
        assert!(client.is_closed().await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(greeting(&gateway).await.starts_with("220 "));
    for login in ["nobody", "edi01"] {
        let mut client = secured(&gateway).await;
        assert_eq!(client.code(&format!("USER {login}")).await, 331);
        assert_eq!(client.code("PASS wrong").await, 530);
    }
    eventually("a login that there is not costs", Duration::from_secs(10), async || {
        let said = greeting(&gateway).await;
        (code(&said) == 421).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_does_not_log_in_holds_no_place_for_long() {
    let gateway = Plan::new(Ledger::Sqlite).ftps("max_startups = \"2\"").start().await;
    let inside = Ftps::login(&gateway, "edi01").await;
    let (one, _two) = (secured(&gateway).await, secured(&gateway).await);
    assert_eq!(code(&greeting(&gateway).await), 421, "the two places are taken; who is inside takes none");
    drop(one);
    eventually("a place is given back", Duration::from_secs(10), async || {
        greeting(&gateway).await.starts_with("220 ").then_some(())
    })
    .await;
    drop(inside);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_ended_and_counted_with_the_other_protocols() {
    let plan = Plan::new(Ledger::Sqlite).limits("failed_logins = 5").limits("penalties = { enabled = false }");
    let gateway = plan.ftps("max_auth_tries = 3").start().await;
    let rest = gateway.rest("edi");
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    client.secure().await;
    for expected in [530, 530, 421] {
        assert_eq!(client.code("USER edi01").await, 331);
        assert_eq!(client.code("PASS wrong").await, expected);
    }
    assert!(client.is_closed().await);
    crate::ftps_attacks::refused_on_record(&rest, "unauthenticated").await;
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    client.secure().await;
    // A name that nobody has is answered like any other.
    assert_eq!(client.say("USER nobody").await, client.say("USER edi01").await);
    assert_eq!(client.code("PASS wrong").await, 530);
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code("PASS wrong").await, 530);
    // The fifth failure was the last: even the right password is refused now, and the connection ends.
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code(&format!("PASS {PASSWORD}")).await, 421);
    assert!(client.is_closed().await);
    let mut other = Ftps::login(&gateway, "mill01").await;
    assert_eq!(other.code("PWD").await, 257, "another login is let in");
    // So is it over SFTP, by whatever credential.
    assert!(Sftp::by_password(gateway.sftp, "edi01", None).await.is_err(), "the ban holds here too");
    assert!(Sftp::connect(gateway.sftp, "edi01").await.is_err(), "and for keys");
    assert!(Sftp::by_password(gateway.sftp, "mill01", None).await.is_ok());
    // Ten times as many from one address close it for every login, and for guesses at API keys.
    assert_eq!(gateway.rest("orders").get("/files?path=/inbound").await.status, 200);
    for connection in 0..17 {
        let mut client = secured(&gateway).await;
        for guess in 0..3 {
            assert_eq!(client.code(&format!("USER nobody{connection}{guess}")).await, 331);
            if client.code("PASS wrong").await == 421 {
                break;
            }
        }
    }
    let wrong = gateway.rest("orders").with_key("cwk_wrong");
    wrong.get("/files?path=/inbound").await.problem(429, "throttled");
    assert_eq!(gateway.rest("orders").get("/files?path=/inbound").await.status, 200, "a right key is no guess");
    assert!(Sftp::by_password(gateway.sftp, "mill01", None).await.is_err());
    let mut other = secured(&gateway).await;
    assert_eq!(other.code("USER mill01").await, 331);
    assert_eq!(other.code(&format!("PASS {PASSWORD}")).await, 421);
}

/// A source that has to wait waits at every door.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn penalties_close_every_door() {
    let costly = "penalties = { noauth = \"0s\", authfail = \"30s\", min = \"50s\", max = \"2m\" }";
    let gateway = Plan::new(Ledger::Sqlite).limits(costly).start().await;
    let (before, mut inside) = (gateway.rest("orders"), Ftps::login(&gateway, "edi02").await);
    let read = async |rest: &Rest| rest.try_send(rest.request(Method::GET, "/files?path=/inbound")).await;
    assert_eq!(read(&before).await.unwrap().status, 200);
    for _ in 0..2 {
        let mut client = secured(&gateway).await;
        assert_eq!(client.code("USER edi01").await, 331);
        assert_eq!(client.code("PASS wrong").await, 530);
    }
    eventually("the API is closed too", Duration::from_secs(10), async || read(&gateway.rest("orders")).await.err())
        .await;
    assert_eq!(code(&greeting(&gateway).await), 421);
    assert!(Sftp::connect(gateway.sftp, "edi01").await.is_err());
    // Who is inside stays.
    assert_eq!(read(&before).await.unwrap().status, 200);
    assert_eq!(inside.code("PWD").await, 257);
}

#[tokio::test]
async fn the_greeting_tells_no_version() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut said = greeting(&gateway).await;
    assert!(said.starts_with("220 "), "{said}");
    let mut client = secured(&gateway).await;
    for command in ["SYST", "HELP", "STAT"] {
        said += &client.say(command).await;
    }
    for word in [env!("CARGO_PKG_VERSION"), "causeway", "rust"] {
        assert!(!said.to_lowercase().contains(word), "{word}: {said}");
    }
}
