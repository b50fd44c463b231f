//! What FileZilla and WinSCP say to an FTPS server, in their order, with the gateway's replies as golden transcripts
//! (`UPDATE_GOLDEN=1` writes them anew). Both are programs of a desktop, so these are no recordings of this gateway: the
//! sequences were written after public logs. What those do not show (resuming, SITE CHMOD, renaming, keeping alive, WinSCP's TLS) is
//! what the clients are known to send.
//!
//! - FileZilla 3: the logs in the issues drftpd-ng/drftpd#217, robinrodricks/FluentFTP#1784 and sparkeh9/CoreFTP#13 (explicit
//!   TLS) and jedisct1/pure-ftpd#102 (implicit).
//! - WinSCP 6: a capture of release 6.3.4 against ProFTPD in the public write-up of SECPlayground's Hackloween CTF 2024, and
//!   the logs of NetBox, which has WinSCP's engine, in michaellukashov/Far-NetBox#228, #235 and #256.

use std::fmt::Write as _;
use std::net::SocketAddr;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::ftps_verbs::{golden, normal};
use crate::harness::plan::PASSWORD;
use crate::harness::{Ftps, Gateway, Ledger, Plan};

/// The login, as FileZilla does it.
const FILEZILLA_LOGIN: &str = "
    USER edi01\nPASS secret\nSYST\nFEAT\nCLNT FileZilla\nOPTS UTF8 ON\nPBSZ 0\nPROT P\nPWD";

/// Browses, uploads with the time, overwrites, resumes both ways, and tidies up; between them it keeps itself alive.
const FILEZILLA_WORK: &str = "
    TYPE I\nPASV\nMLSD >
    CWD /inbound\nPWD\nPASV\nMLSD >
    MKD new\nCWD new\nPWD
    PASV\nSTOR report.csv < 0123456789\nMFMT 20240229120000 report.csv\nPASV\nMLSD >
    NOOP\nTYPE I\nPWD\nNOOP
    PASV\nSTOR report.csv < 01234\nMFMT 20240229120001 report.csv
    PASV\nAPPE report.csv < 56789\nMFMT 20240229120002 report.csv
    SIZE report.csv\nMDTM report.csv
    PASV\nRETR report.csv >
    PASV\nREST 7\nRETR report.csv >
    SITE CHMOD 640 report.csv
    RNFR report.csv\nRNTO sent.csv\nPASV\nMLSD >
    TYPE A\nPASV\nSTOR note.txt < one\\ntwo\\n\nPASV\nRETR note.txt >\nTYPE I
    DELE note.txt\nDELE sent.csv\nCWD /inbound\nPWD\nRMD new\nPASV\nMLSD >\nQUIT";

/// The login, as WinSCP does it.
const WINSCP_LOGIN: &str = "
    USER edi01\nPASS secret\nSYST\nFEAT\nCLNT WinSCP-release-6.3.4\nOPTS UTF8 ON\nPBSZ 0\nPROT P\nPWD";

/// The same of WinSCP: it lists as text, names whole paths, and asks for one file's facts.
const WINSCP_WORK: &str = "
    TYPE A\nPASV\nMLSD >
    CWD /inbound\nPWD\nTYPE A\nPASV\nMLSD >
    MKD new\nCWD /inbound/new\nPWD
    TYPE I\nPASV\nSTOR report.csv < 0123456789\nMFMT 20240229120000 report.csv\nTYPE A\nPASV\nMLSD >
    NOOP\nPWD\nTYPE A\nNOOP
    MLST /inbound/new/report.csv
    TYPE I\nPASV\nSTOR report.csv < 01234\nMFMT 20240229120001 report.csv
    SIZE report.csv\nTYPE I\nPASV\nREST 5\nSTOR report.csv < 56789\nMFMT 20240229120002 report.csv
    TYPE I\nPASV\nAPPE report.csv < !
    TYPE I\nPASV\nRETR /inbound/new/report.csv >
    TYPE I\nREST 7\nPASV\nRETR /inbound/new/report.csv >
    SITE CHMOD 640 report.csv
    XSHA1 \"/inbound/new/report.csv\"\nHASH /inbound/new/report.csv
    RNFR /inbound/new/report.csv\nRNTO /inbound/new/sent.csv\nTYPE A\nPASV\nMLSD >
    DELE /inbound/new/sent.csv\nCWD /inbound\nPWD\nRMD /inbound/new\nTYPE A\nPASV\nMLSD >\nQUIT";

/// Plays a script on what PASV agrees on: `<` and text behind a command is uploaded, `>` behind it means that data comes.
async fn play(client: &mut Ftps, script: &str) -> String {
    let mut out = String::new();
    let mut agreed: Option<SocketAddr> = None;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(out, "> {line}").unwrap();
        let (command, text, takes) = match (line.split_once(" < "), line.strip_suffix(" >")) {
            (Some((command, text)), _) => (command, Some(text), false),
            (None, Some(command)) => (command, None, true),
            (None, None) => (line, None, false),
        };
        let said = if let Some(text) = text {
            let opened = client.open_at(agreed.take().expect("PASV comes first"), command).await;
            writeln!(out, "  {}", opened.0).unwrap();
            client.send_all(opened, text.replace("\\n", "\r\n").as_bytes()).await
        } else if takes {
            let opened = client.open_at(agreed.take().expect("PASV comes first"), command).await;
            writeln!(out, "  {}", opened.0).unwrap();
            let (data, said) = client.take_all(opened).await;
            for line in String::from_utf8(data).unwrap().lines() {
                writeln!(out, "| {line}").unwrap();
            }
            said
        } else if command == "PASS secret" {
            client.say(&format!("PASS {PASSWORD}")).await
        } else {
            let said = client.say(command).await;
            if command == "PASV" {
                agreed = Some(client.agreed(&said));
            }
            said
        };
        for line in said.lines() {
            writeln!(out, "  {line}").unwrap();
        }
    }
    out
}

async fn explicit(gateway: &Gateway, version: &'static SupportedProtocolVersion, script: &str) -> String {
    let mut client = Ftps::connect(gateway, version).await;
    let said = client.say("AUTH TLS").await;
    client.handshake().await.unwrap();
    let transcript = format!("> AUTH TLS\n  {said}\n{}", play(&mut client, script).await);
    assert!(client.is_closed().await);
    normal(&transcript)
}

async fn implicit(gateway: &Gateway, version: &'static SupportedProtocolVersion, script: &str) -> String {
    let mut client = Ftps::implicit(gateway, version).await;
    let transcript = play(&mut client, script).await;
    assert!(client.is_closed().await);
    normal(&transcript)
}

/// Explicit and implicit, TLS 1.2 and 1.3: after AUTH the client hears the same, each time.
async fn check(name: &str, login: &str, work: &str) {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let script = format!("{login}{work}");
    let transcript = explicit(&gateway, &TLS13, &script).await;
    golden(name, &transcript);
    assert_eq!(explicit(&gateway, &TLS12, &script).await, transcript, "TLS 1.2");
    let behind_auth = transcript.split_once("\n> USER").map(|(_, rest)| format!("> USER{rest}")).unwrap();
    for version in [&TLS13, &TLS12] {
        assert_eq!(implicit(&gateway, version, &script).await, behind_auth, "implicit");
    }
    // Each run has tidied up behind itself.
    assert!(gateway.rest("orders").list("/inbound").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filezilla() {
    check("filezilla", FILEZILLA_LOGIN, FILEZILLA_WORK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn winscp() {
    check("winscp", WINSCP_LOGIN, WINSCP_WORK).await;
}
