//! Client certificates over FTPS: by fingerprint and by name, alone and with more, revoked while the gateway serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use rustls::version::{TLS12, TLS13};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::harness::ftps::{tls_of, tls_of_thief};
use crate::harness::pki::{Authority, Issued, self_signed};
use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, eventually, has_tool, skip};

const DAY: time::Duration = time::Duration::days(1);

/// The CA of `acme` and a folder for its certificates.
pub struct Pki {
    folder: tempfile::TempDir,
    pub ca: Authority,
}

impl Pki {
    pub fn new() -> Self {
        let (folder, ca) = (tempfile::tempdir().unwrap(), Authority::new("acme CA"));
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self { folder, ca }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn issue(&self, name: &str, names: &[&str]) -> Issued {
        self.ca.issue(self.folder(), name, names)
    }

    /// Replaces the revocation list as administrators do.
    pub fn revoke(&self, lists: &[String]) {
        fs::write(self.path("crl.new"), lists.concat()).unwrap();
        fs::rename(self.path("crl.new"), self.path("crl.pem")).unwrap();
    }

    /// `acme` with this CA, and clients that may try as often as they like.
    pub fn plan(&self) -> Plan {
        Plan::new(Ledger::Sqlite)
            .limits("failed_logins = 1000")
            .limits("penalty_exempt = [\"127.0.0.1\"]")
            .acme(&format!("client_ca = {:?}", self.path("ca.pem")))
    }
}

/// A login of `edi-partner` over FTPS without a password.
pub fn login(username: &str, taken: &[&str], more: &str) -> String {
    format!(
        "username = \"{username}\"\nidentity = \"edi-partner\"\nprotocols = [\"ftps\"]\nclient_certificates = {taken:?}\n{more}"
    )
}

fn with_password(require: &str) -> String {
    format!("password_hash = {:?}\nrequire = \"{require}\"", Secrets::get().password_hash)
}

/// What USER is answered.
async fn user(gateway: &Gateway, login: &str, certificate: Option<&Issued>) -> u16 {
    Ftps::shows(gateway, &TLS13, certificate).await.code(&format!("USER {login}")).await
}

/// What USER and a right password are answered.
async fn password(gateway: &Gateway, login: &str, certificate: Option<&Issued>) -> (u16, u16) {
    let mut client = Ftps::shows(gateway, &TLS13, certificate).await;
    (client.code(&format!("USER {login}")).await, client.code(&format!("PASS {PASSWORD}")).await)
}

async fn logins(gateway: &Gateway, outcome: &str) -> Vec<serde_json::Value> {
    gateway.rest("orders").pages(&format!("/audit?operation=login&outcome={outcome}&limit=200"), "entries").await
}

#[tokio::test]
async fn a_certificate_lets_in_by_itself() {
    let pki = Pki::new();
    let pinned = self_signed(pki.folder(), "pinned", |_| {});
    let server = self_signed(pki.folder(), "server", |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let names = ["DNS:Edi01.partner.example", "email:Edi@Partner.example", "URI:urn:edi:01", "IP:192.0.2.7"];
    let named = pki.issue("named", &names);
    let below = pki.ca.below("acme sub CA").issue(pki.folder(), "below", &["DNS:edi01.partner.example"]);
    let mut plan = pki.plan();
    for (username, taken) in [
        ("pin01", &*pinned.fingerprint()),
        ("server01", &server.fingerprint()),
        ("signed01", &named.fingerprint()),
        ("dns01", "san:edi01.partner.example"),
        ("mail01", "san:Edi@partner.example"),
        ("uri01", "san:urn:edi:01"),
        ("ip01", "san:192.0.2.7"),
    ] {
        plan = plan.whole_login(&login(username, &["san:no.one", taken], ""));
    }
    let gateway = plan.start().await;
    let content = Random::seeded("client certificate").bytes(300_000);
    for (number, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        for (login, certificate) in [
            ("pin01", &pinned),
            ("server01", &server),
            ("signed01", &named),
            ("dns01", &named),
            ("dns01@acme", &below),
            ("mail01", &named),
            ("uri01", &named),
            ("ip01", &named),
        ] {
            let mut client = Ftps::shows(&gateway, version, Some(certificate)).await;
            assert_eq!(client.code(&format!("USER {login}")).await, 232, "{login}\n{}", gateway.log());
            assert_eq!(client.code("PASS whatever").await, 202, "it is not looked at");
            for command in ["PBSZ 0", "PROT P", "TYPE I"] {
                assert_eq!(client.code(command).await, 200, "{command}");
            }
            // Data connections resume the session, which the certificate belongs to.
            let path = format!("/inbound/{number}-{login}");
            assert!(client.put(&format!("STOR {path}"), &content).await.starts_with("226"), "{login}");
            let (back, said) = client.get(&format!("RETR {path}")).await;
            assert!(said.starts_with("226") && back == content, "{login}: {said}");
            // Another login on the same connection: the certificate is asked for again.
            assert_eq!(client.code("REIN").await, 220);
            assert_eq!(client.code("PWD").await, 530);
            assert_eq!(client.code(&format!("USER {login}")).await, 232);
            assert_eq!(client.code("USER edi01").await, 331);
            assert_eq!(client.code("PWD").await, 530);
        }
    }
    let inside = logins(&gateway, "ok").await;
    assert_eq!(inside.iter().filter(|entry| entry["auth_method"] == "certificate").count(), 32, "{inside:?}");
    assert!(inside.iter().any(|entry| entry["login"] == "pin01" && entry["identity"] == "edi-partner"), "{inside:?}");
    assert!(logins(&gateway, "denied").await.is_empty(), "what the other logins do not take is no failure");
}

#[tokio::test]
async fn certificates_that_do_not_let_in() {
    let pki = Pki::new();
    let (name, folder) = (["DNS:edi01.partner.example"], pki.folder());
    let good = pki.issue("good", &name);
    let old = self_signed(folder, "old", |p| p.not_after = OffsetDateTime::now_utc() - time::Duration::minutes(1));
    // Another CA of the same name.
    let stranger = Authority::new("acme CA");
    let theirs = Authority::new("other CA");
    fs::write(pki.path("other.pem"), theirs.pem()).unwrap();
    let hour = time::Duration::hours(1);
    let mut wrong = vec![
        ("pinned but expired", old.clone()),
        ("expired", pki.ca.issue_as(folder, "expired", &name, |p| p.not_after = OffsetDateTime::now_utc() - hour / 60)),
        ("not yet", pki.ca.issue_as(folder, "not-yet", &name, |p| p.not_before = OffsetDateTime::now_utc() + hour / 2)),
        ("no CA", self_signed(folder, "alone", |_| {})),
        ("a CA of the same name", stranger.issue(folder, "stranger", &name)),
        ("the other tenant's CA", theirs.issue(folder, "theirs", &name)),
        ("another name", pki.issue("other-name", &["DNS:edi02.partner.example"])),
        ("a wildcard", pki.issue("wildcard", &["DNS:*.partner.example"])),
        ("no name", pki.issue("no-name", &[])),
        ("of another kind", pki.issue("kind", &["URI:edi01.partner.example", "email:edi01@partner.example"])),
    ];
    wrong.push((
        "for servers alone",
        pki.ca.issue_as(folder, "server", &name, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ));
    wrong.push((
        "in the common name alone",
        pki.ca.issue_as(folder, "common", &[], |p| {
            p.distinguished_name.push(DnType::CommonName, "edi01.partner.example");
        }),
    ));
    let taken = ["san:edi01.partner.example", &*old.fingerprint()];
    let gateway = pki
        .plan()
        .other(&format!("client_ca = {:?}", pki.path("other.pem")))
        .whole_login(&login("edi11", &taken, ""))
        .whole_login(&login("far01", &taken, "allow_from = [\"192.0.2.0/24\"]"))
        .whole_login(&login("sftp01", &taken, "").replace("[\"ftps\"]", "[\"sftp\"]"))
        .start()
        .await;
    for (what, certificate) in &wrong {
        assert_eq!(password(&gateway, "edi11", Some(certificate)).await, (331, 530), "{what}");
        // Who has a password is not kept out by it.
        assert_eq!(password(&gateway, "edi01", Some(certificate)).await, (331, 230), "{what}");
    }
    for login in ["edi01", "other01", "nobody", "far01", "sftp01", "edi11@other"] {
        assert_eq!(user(&gateway, login, Some(&good)).await, 331, "{login}");
    }
    assert_eq!(password(&gateway, "edi11", None).await, (331, 530), "no certificate");
    assert_eq!(user(&gateway, "edi11", Some(&good)).await, 232, "{}", gateway.log());
    // Certificates are no secrets: who shows one without its key does not come through the handshake.
    for version in [&TLS12, &TLS13] {
        let mut thief = Ftps::connect(&gateway, version).await;
        thief.tls = tls_of_thief(&gateway, version, &good, &wrong[3].1);
        assert_eq!(thief.code("AUTH TLS").await, 234);
        assert!(thief.handshake().await.is_err() || thief.is_closed().await, "{version:?}");
    }
    let log = gateway.log();
    for why in ["has expired", "not valid yet", "no CA of the tenant", "names neither the certificate's fingerprint"] {
        assert!(log.contains(why), "the operator reads why ({why}): {log}");
    }
    let denied = logins(&gateway, "denied").await;
    let of_login = |login: &str, method: &str| {
        denied.iter().filter(|entry| entry["login"] == login && entry["auth_method"] == method).count()
    };
    assert_eq!(of_login("edi11", "certificate"), 1, "once in a while, not each time: {denied:?}");
    assert_eq!(of_login("edi01", "certificate"), 0, "a login that takes none is not troubled: {denied:?}");
}

#[tokio::test]
async fn a_certificate_and_more() {
    let pki = Pki::new();
    let (good, wrong) = (self_signed(pki.folder(), "good", |_| {}), self_signed(pki.folder(), "wrong", |_| {}));
    let taken = [&*good.fingerprint()];
    let mut plan = pki
        .plan()
        .whole_login(&login("both01", &taken, &with_password("certificate+password")))
        .whole_login(&login("either01", &taken, &with_password("any")))
        .whole_login(&login("code01", &taken, "require = \"certificate+totp\"\ntotp_secret = \"env:CODE01_SECRET\""));
    plan.env.push(("CODE01_SECRET".to_owned(), super::ftps_logins::SECRET.to_owned()));
    let gateway = plan.start().await;
    assert_eq!(password(&gateway, "both01", Some(&good)).await, (331, 230), "{}", gateway.log());
    assert_eq!(password(&gateway, "both01", Some(&wrong)).await, (331, 530));
    assert_eq!(password(&gateway, "both01", None).await, (331, 530));
    // One answer, whatever it was that was wrong: nobody learns that a password is right without the certificate.
    let mut said = Vec::new();
    for (certificate, password) in [(None, PASSWORD), (None, "wrong"), (Some(&wrong), PASSWORD), (Some(&good), "wrong")]
    {
        let mut client = Ftps::shows(&gateway, &TLS12, certificate).await;
        said.push((client.say("USER both01").await, client.say(&format!("PASS {password}")).await));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // The certificate counts for the name that it was shown for.
    let mut client = Ftps::shows(&gateway, &TLS13, Some(&good)).await;
    assert_eq!(client.code("USER both01").await, 331);
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code(&format!("PASS {PASSWORD}")).await, 230);
    // Either of the two.
    assert_eq!(user(&gateway, "either01", Some(&good)).await, 232);
    assert_eq!(password(&gateway, "either01", Some(&wrong)).await, (331, 230));
    assert_eq!(password(&gateway, "either01", None).await, (331, 230));
    // A code as the second step: USER is answered by what is still needed.
    let mut client = Ftps::shows(&gateway, &TLS13, Some(&good)).await;
    assert_eq!(client.code("USER code01").await, 332);
    assert_eq!(client.code("PWD").await, 530);
    assert_eq!(client.code(&format!("ACCT {}", super::ftps_logins::code_of_now())).await, 230);
    let mut client = Ftps::shows(&gateway, &TLS13, Some(&wrong)).await;
    assert_eq!(client.code("USER code01").await, 331);
    assert_eq!(client.code(&format!("ACCT {}", super::ftps_logins::code_of_now())).await, 503);

    let inside = logins(&gateway, "ok").await;
    let by = |method: &str| inside.iter().filter(|entry| entry["auth_method"] == method).count();
    assert_eq!((by("certificate+password"), by("certificate+totp")), (1, 1), "{inside:?}");
    let denied = logins(&gateway, "denied").await;
    let refused = denied.iter().filter(|entry| entry["login"] == "both01" && entry["auth_method"] == "password");
    assert_eq!(refused.count(), 6, "each of them is a failed login: {denied:?}");
}

#[tokio::test]
async fn what_is_revoked_lets_nobody_in() {
    let pki = Pki::new();
    let sub = pki.ca.below("acme sub CA");
    let name = ["DNS:edi01.partner.example"];
    let (one, two) = (pki.issue("one", &name), pki.issue("two", &name));
    let below = sub.issue(pki.folder(), "below", &name);
    let pinned = self_signed(pki.folder(), "pinned", |_| {});
    let all = |serials: &[u64]| vec![pki.ca.revoke(serials, DAY), sub.revoke(&[], DAY)];
    pki.revoke(&all(&[]));
    let taken = ["san:edi01.partner.example", &*pinned.fingerprint()];
    let gateway = pki
        .plan()
        .acme(&format!("client_crl = {:?}", pki.path("crl.pem")))
        .whole_login(&login("edi11", &taken, ""))
        .whole_login(&login("pin11", &[&two.fingerprint()], ""))
        .start()
        .await;
    let see = async |wanted: [bool; 5], what: &str| {
        let shown = [("edi11", &one), ("edi11", &two), ("pin11", &two), ("edi11", &below), ("edi11", &pinned)];
        for ((login, certificate), wanted) in shown.into_iter().zip(wanted) {
            let code = user(&gateway, login, Some(certificate)).await;
            assert_eq!(code, if wanted { 232 } else { 331 }, "{what}: {:?}\n{}", certificate.chain, gateway.log());
        }
    };
    see([true; 5], "nothing is revoked").await;
    let mut inside = Ftps::shows(&gateway, &TLS13, Some(&one)).await;
    assert_eq!(inside.code("USER edi11").await, 232);
    let mut another = Ftps::shows(&gateway, &TLS13, Some(&two)).await;
    assert_eq!(another.code("USER edi11").await, 232);
    pki.revoke(&all(&[one.serial]));
    see([false, true, true, true, true], "one is revoked").await;
    // Who is inside goes with his next command; who came by another one stays.
    let ends = async {
        while inside.code("PWD").await == 257 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), ends).await.is_ok(), "the session ends");
    assert!(inside.is_closed().await);
    assert_eq!(another.code("PWD").await, 257);
    pki.revoke(&all(&[two.serial]));
    see([true, false, false, true, true], "the other is, known by its fingerprint, too").await;
    // 101 is the number of the sub CA.
    pki.revoke(&all(&[101]));
    see([true, true, true, false, true], "a CA between is revoked").await;
    pki.revoke(&[pki.ca.revoke(&[], DAY)]);
    see([true, true, true, false, true], "a CA without a list").await;
    pki.revoke(&[pki.ca.revoke(&[], -time::Duration::minutes(1)), sub.revoke(&[], DAY)]);
    see([false, false, false, false, true], "a list that is out of date").await;
    assert!(gateway.log().contains("is out of date"), "{}", gateway.log());
    pki.revoke(&[Authority::new("acme CA").revoke(&[], DAY), sub.revoke(&[], DAY)]);
    see([false, false, false, false, true], "a list that somebody else has signed").await;
    pki.revoke(&["broken".to_owned()]);
    see([false; 5], "a list that cannot be read").await;
    let other = password(&gateway, "edi01", Some(&one)).await;
    assert_eq!(other, (331, 230), "a password is no certificate");
    fs::remove_file(pki.path("crl.pem")).unwrap();
    see([false; 5], "a list that is gone").await;
    pki.revoke(&all(&[]));
    see([true; 5], "all is well again").await;
    // DER, as CAs publish it.
    let der = rustls_pki_types::CertificateRevocationListDer::from(der_of(&pki.ca.revoke(&[one.serial], DAY)));
    fs::write(pki.path("crl.pem"), &*der).unwrap();
    see([false, true, true, false, true], "a list in DER").await;
    // The CA itself is exchanged.
    pki.revoke(&all(&[]));
    fs::write(pki.path("ca.pem"), Authority::new("next CA").pem()).unwrap();
    see([false, false, true, false, true], "another CA").await;
    fs::write(pki.path("ca.pem"), pki.ca.pem()).unwrap();
    see([true; 5], "the old one again").await;
}

fn der_of(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn where_certificates_are_required() {
    let pki = Pki::new();
    let pinned = self_signed(pki.folder(), "pinned", |_| {});
    let stranger = self_signed(pki.folder(), "stranger", |_| {});
    let signed = pki.issue("signed", &["DNS:any.example"]);
    let gateway = pki
        .plan()
        .ftps("client_certificates = \"required\"")
        .whole_login(&login("pin01", &[&pinned.fingerprint()], ""))
        .start()
        .await;
    for version in [&TLS12, &TLS13] {
        let mut client = Ftps::connect(&gateway, version).await;
        assert_eq!(client.code("AUTH TLS").await, 234);
        // In TLS 1.3 a client learns of it only when it reads.
        assert!(client.handshake().await.is_err() || client.is_closed().await);
    }
    for (certificate, login, wanted) in [
        (&signed, "edi01", (331, 230)),
        (&pinned, "edi01", (331, 230)),
        (&stranger, "edi01", (331, 530)),
        // The other tenant knows neither.
        (&signed, "other01", (331, 530)),
        (&pinned, "other01", (331, 530)),
    ] {
        assert_eq!(password(&gateway, login, Some(certificate)).await, wanted, "{login} {:?}", certificate.chain);
    }
    assert_eq!(user(&gateway, "pin01", Some(&pinned)).await, 232);
    assert_eq!(user(&gateway, "pin01", Some(&signed)).await, 331);
    let mut client = Ftps::shows(&gateway, &TLS13, Some(&signed)).await;
    client.enter("edi01").await;
    assert!(client.put("STOR /inbound/required", b"x").await.starts_with("226"));
}

#[tokio::test]
async fn data_connections_show_the_logins_certificate() {
    let pki = Pki::new();
    let (good, other) = (self_signed(pki.folder(), "good", |_| {}), self_signed(pki.folder(), "other", |_| {}));
    let optional = "ftps = { session_reuse = \"optional\" }";
    let gateway = pki
        .plan()
        .whole_login(&login("pin01", &[&good.fingerprint()], optional))
        .whole_login(&login("either01", &[&good.fingerprint()], &format!("{optional}\n{}", with_password("any"))))
        .start()
        .await;
    for version in [&TLS12, &TLS13] {
        let mut client = Ftps::shows(&gateway, version, Some(&good)).await;
        assert_eq!(client.code("USER pin01").await, 232);
        for command in ["PBSZ 0", "PROT P", "TYPE I"] {
            assert_eq!(client.code(command).await, 200);
        }
        assert!(client.put("STOR /inbound/resumed", b"x").await.starts_with("226"));
        // Whole handshakes, as the login may: they show whose they are.
        client.tls = tls_of(&gateway, version, Some(&good));
        assert!(client.put("STOR /inbound/whole", b"x").await.starts_with("226"));
        for certificate in [None, Some(&other)] {
            client.tls = tls_of(&gateway, version, certificate);
            let said = client.attempt("STOR /inbound/stolen", b"x").await;
            assert!(said.starts_with("425") && said.contains("certificate"), "{said}");
        }
    }
    let rest = gateway.rest("orders");
    assert!(rest.entry("/inbound", "stolen").await.is_none());
    eventually("each is on record", Duration::from_secs(10), || async {
        let denied = rest.pages("/audit?outcome=denied&operation=transfer&limit=200", "entries").await;
        let words = "did not show the client certificate";
        (denied.iter().filter(|entry| entry.to_string().contains(words)).count() == 4).then_some(())
    })
    .await;
    // Who came by a password is held to no certificate.
    let mut client = Ftps::shows(&gateway, &TLS13, Some(&other)).await;
    client.enter("either01").await;
    client.tls = tls_of(&gateway, &TLS13, None);
    assert!(client.put("STOR /inbound/password", b"x").await.starts_with("226"));
}

#[tokio::test]
async fn wrong_certificates_cost() {
    let pki = Pki::new();
    let (good, wrong) = (self_signed(pki.folder(), "good", |_| {}), self_signed(pki.folder(), "wrong", |_| {}));
    let gateway = Plan::new(Ledger::Sqlite)
        .limits("penalties = { noauth = \"0s\", authfail = \"8s\", min = \"10s\", max = \"1m\" }")
        .whole_login(&login("pin01", &[&good.fingerprint()], ""))
        .start()
        .await;
    for certificate in [&good, &good, &wrong, &wrong] {
        let mut client = Ftps::shows(&gateway, &TLS13, Some(certificate)).await;
        let code = client.code("USER pin01").await;
        assert_eq!(code, if certificate.key == good.key { 232 } else { 331 });
        assert_eq!(client.code("QUIT").await, 221);
        assert!(client.is_closed().await);
    }
    eventually("two wrong certificates close the door", Duration::from_secs(10), async || {
        let mut stream = TcpStream::connect(gateway.ftps).await.unwrap();
        let mut said = [0; 4];
        let read = stream.read(&mut said).await.unwrap_or(0);
        said[..read].starts_with(b"421 ").then_some(())
    })
    .await;
}

fn ca(gateway: &Gateway) -> PathBuf {
    gateway.data().join("certs/ca.pem")
}

async fn run(mut command: Command) -> String {
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{} {said}", ran.status);
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_lftp_and_ftplib_show_certificates() {
    let pki = Pki::new();
    let issued = pki.issue("client", &["DNS:edi01.partner.example"]);
    let plan = pki.plan().whole_login(&login("edi11", &["san:edi01.partner.example"], ""));
    let gateway = plan.whole_login(&login("both11", &[&issued.fingerprint()], &with_password("certificate+password")));
    let gateway = gateway.start().await;
    fs::write(pki.path("whole"), Random::seeded("curl certificate").bytes(2_000_000)).unwrap();
    let (chain, key) = (issued.chain.to_str().unwrap(), issued.key.to_str().unwrap());
    if has_tool("curl") {
        for (scheme, port) in [("ftp", gateway.ftps.port()), ("ftps", gateway.ftps_implicit.port())] {
            for version in ["1.2", "1.3"] {
                let curl = |more: &[&str]| {
                    let mut command = Command::new("curl");
                    command.current_dir(pki.folder()).args(["-q", "-sS", "-v", "--noproxy", "*", "--max-time", "60"]);
                    command.arg("--cacert").arg(ca(&gateway)).args(["--ssl-reqd", "--tlsv1.2", "--tls-max", version]);
                    command.args(["--cert", chain, "--key", key]).args(more);
                    command
                };
                let file = format!("{scheme}://localhost:{port}/inbound/{scheme}-{version}");
                let said = run(curl(&["-u", "edi11:", "-T", "whole", &file])).await;
                assert!(said.contains("< 232") && !said.contains("> PASS"), "{said}");
                let both = format!("both11:{PASSWORD}");
                let said = run(curl(&["-u", &both, "-o", "back", &file])).await;
                assert!(said.contains("> PASS") && said.contains("< 230"), "{said}");
                assert!(fs::read(pki.path("back")).unwrap() == fs::read(pki.path("whole")).unwrap());
            }
        }
    }
    if has_tool("lftp") {
        let script = format!(
            "set cmd:fail-exit yes; set net:max-retries 2; set ssl:ca-file '{}'; set ssl:cert-file '{chain}'; \
             set ssl:key-file '{key}'; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; \
             open -u edi11,none ftp://localhost:{}; put -O /inbound '{}' -o lftp; ls /inbound",
            ca(&gateway).display(),
            gateway.ftps.port(),
            pki.path("whole").display()
        );
        let mut command = Command::new("lftp");
        command.args(["-c", &script]).env("HOME", pki.folder()).env("LC_ALL", "C.UTF-8");
        assert!(run(command).await.contains("2000000"));
    }
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python; ./test makes one");
    };
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/ftplib_certificate.py"));
    command.args([&gateway.ftps.port().to_string(), "edi11", "both11", PASSWORD]).arg(ca(&gateway)).args([chain, key]);
    run(command).await;
}

#[tokio::test]
async fn the_servers_own_certificate_changes_while_ftps_serves() {
    let pki = Pki::new();
    let authority = Authority::new("server CA");
    let issue = |name: &str| {
        authority.issue_as(pki.folder(), name, &["DNS:localhost"], |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    };
    let (first, second) = (issue("first"), issue("second"));
    let install = |issued: &Issued| {
        for (from, to) in [(&issued.key, "live.key"), (&issued.chain, "live.pem")] {
            fs::copy(from, pki.path("new")).unwrap();
            fs::rename(pki.path("new"), pki.path(to)).unwrap();
        }
    };
    install(&first);
    let tls = format!("certificate = {:?}\nprivate_key = {:?}", pki.path("live.pem"), pki.path("live.key"));
    let client = self_signed(pki.folder(), "client", |_| {});
    let plan = pki.plan().tls(&tls, &authority.pem()).whole_login(&login("pin01", &[&client.fingerprint()], ""));
    let gateway = plan.start().await;
    let mut old = Ftps::shows(&gateway, &TLS13, Some(&client)).await;
    assert_eq!(old.server_certificate(), first.der);
    assert_eq!(old.code("USER pin01").await, 232);
    for command in ["PBSZ 0", "PROT P", "TYPE I"] {
        assert_eq!(old.code(command).await, 200);
    }
    install(&second);
    eventually("new connections get the new certificate", Duration::from_secs(20), async || {
        let new = Ftps::shows(&gateway, &TLS13, Some(&client)).await;
        (new.server_certificate() == second.der).then_some(())
    })
    .await;
    // Who was there stays, and moves files with the session that it has.
    assert!(old.put("STOR /inbound/reloaded", b"as before").await.starts_with("226"));
    // A file that is no certificate changes nothing.
    fs::write(pki.path("live.pem"), "broken").unwrap();
    eventually("the broken file is told", Duration::from_secs(20), async || {
        gateway.log().contains("the changed certificate cannot be used").then_some(())
    })
    .await;
    assert_eq!(Ftps::shows(&gateway, &TLS13, Some(&client)).await.server_certificate(), second.der);
}
