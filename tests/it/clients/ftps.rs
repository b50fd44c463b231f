//! curl, lftp and rclone over FTPS, explicit and implicit, TLS 1.2 and 1.3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{assert_same, beside_python, run, tree};
use crate::harness::ftps::{code, cut};
use crate::harness::plan::PASSWORD;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, has_tool};
use tokio::io::AsyncWriteExt as _;

/// How a client comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) implicit: bool,
    /// TLS 1.2 and nothing newer; otherwise 1.3 and nothing older.
    pub(super) old: bool,
}

impl Way {
    pub(super) const ALL: [Self; 4] = [
        Self { implicit: false, old: false },
        Self { implicit: false, old: true },
        Self { implicit: true, old: false },
        Self { implicit: true, old: true },
    ];

    pub(super) fn port(self, gateway: &Gateway) -> u16 {
        if self.implicit { gateway.ftps_implicit.port() } else { gateway.ftps.port() }
    }

    pub(super) fn scheme(self) -> &'static str {
        if self.implicit { "ftps" } else { "ftp" }
    }

    /// A name for what is done this way.
    pub(super) fn name(self) -> String {
        format!("{}-1{}", self.scheme(), if self.old { 2 } else { 3 })
    }
}

pub(super) fn ca(gateway: &Gateway) -> PathBuf {
    gateway.data().join("certs/ca.pem")
}

fn curl(gateway: &Gateway, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.current_dir(folder).args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert"]).arg(ca(gateway));
    command.args(["-u", &format!("edi01:{PASSWORD}")]).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_over_ftps() {
    if !has_tool("curl") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("curl ftps").bytes(3_000_000);
    fs::write(folder.path().join("whole"), &content).unwrap();
    for way in Way::ALL {
        let (port, scheme, name) = (way.port(&gateway), way.scheme(), way.name());
        let file = format!("{scheme}://localhost:{port}/inbound/curl-{name}/a.bin");
        let version: &[&str] = if way.old { &["--tlsv1.2", "--tls-max", "1.2"] } else { &["--tlsv1.3"] };
        let ours = |arguments: &[&str]| {
            let mut all = vec!["--ssl-reqd", "--ftp-create-dirs"];
            all.extend(version);
            all.extend(arguments);
            curl(&gateway, folder.path(), &all)
        };
        run(ours(&["-T", "whole", &file])).await;
        run(ours(&["-o", "back", &file])).await;
        assert!(fs::read(folder.path().join("back")).unwrap() == content, "{way:?}");
        // The rest of a download.
        fs::write(folder.path().join("back"), &content[..1_000_000]).unwrap();
        run(ours(&["-C", "-", "-o", "back", &file])).await;
        assert!(fs::read(folder.path().join("back")).unwrap() == content, "{way:?}: resumed");
        // The rest of an upload: SIZE, then APPE.
        fs::write(folder.path().join("part"), &content[..1_000_000]).unwrap();
        let part = format!("{file}.part2");
        run(ours(&["-T", "part", &part])).await;
        run(ours(&["-C", "-", "-T", "whole", &part])).await;
        let path = format!("/inbound/curl-{name}/a.bin.part2");
        assert!(gateway.rest("orders").read(&path).await.body == content, "{way:?}: an upload resumed");
        // Several uploads in a row: each one's data connection needs a ticket of its own.
        let several = format!("{scheme}://localhost:{port}/inbound/curl-{name}/");
        run(ours(&["-T", "{whole,part,back}", &several])).await;
        let listed = run(ours(&[&several])).await;
        assert!(String::from_utf8_lossy(&listed.stdout).contains("3000000"), "{listed:?}");
    }
    // A client whose first key share is of a group that is not known here is asked for another one on every connection
    // (RFC 8446 section 4.1.4), and resumes its session all the same.
    let url = format!("ftp://localhost:{}/inbound/", gateway.ftps.port());
    let asked = ["--ssl-reqd", "--tlsv1.3", "--curves", "P-521:X25519"];
    run(curl(&gateway, folder.path(), &[&asked[..], &["-T", "{whole,part}", &url]].concat())).await;
    run(curl(&gateway, folder.path(), &[&asked[..], &["-o", "back", &format!("{url}whole")]].concat())).await;
    assert!(fs::read(folder.path().join("back")).unwrap() == content);
    // In clear nobody logs in, and no password is asked for.
    let url = format!("ftp://localhost:{}/", gateway.ftps.port());
    let refused = curl(&gateway, folder.path(), &["-v", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(67) && said.contains("< 530") && !said.contains("> PASS"), "{said}");
}

/// What does not fit is answered, and curl hears it: it is not left with a broken connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_hears_why_an_upload_is_refused() {
    if !has_tool("curl") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).edi_quota("1 MiB").start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), Random::seeded("large").bytes(8_000_000)).unwrap();
    for way in Way::ALL {
        let url = format!("{}://localhost:{}/inbound/large-{}", way.scheme(), way.port(&gateway), way.name());
        let version: &[&str] = if way.old { &["--tls-max", "1.2"] } else { &["--tlsv1.3"] };
        let mut command = curl(&gateway, folder.path(), &["--ssl-reqd", "-v", "-T", "large", &url]);
        command.args(version);
        let refused = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("< 552 "), "{way:?}: {} {said}", refused.status);
    }
}

fn lftp(gateway: &Gateway, folder: &Path, way: Way, script: &str) -> Command {
    let priority = if way.old { "NORMAL:-VERS-ALL:+VERS-TLS1.2" } else { "NORMAL:-VERS-ALL:+VERS-TLS1.3" };
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 2; set net:timeout 20; set ssl:ca-file '{}'; set ssl:priority '{priority}'; \
         set ftp:ssl-force yes; set ftp:ssl-protect-data yes; open -u 'edi01,{PASSWORD}' {}://localhost:{}; {script}",
        ca(gateway).display(),
        way.scheme(),
        way.port(gateway),
    );
    let mut command = Command::new("lftp");
    command.args(["-c", &script]).current_dir(folder).env("HOME", folder).env("LC_ALL", "C.UTF-8");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lftp_mirrors_both_ways_over_ftps() {
    if !has_tool("lftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    let paths = tree(&there);
    for way in Way::ALL {
        let (name, back) = (way.name(), folder.path().join(way.name()));
        let script = format!(
            "mirror -R -P 3 there /inbound/{name}; mirror -P 3 /inbound/{name} {name}; \
             mv /inbound/{name}/empty /inbound/{name}/moved; rm /inbound/{name}/moved"
        );
        run(lftp(&gateway, folder.path(), way, &script)).await;
        assert_same(&there, &back, &paths);
        let base = format!("/inbound/{name}");
        assert!(rest.entry(&base, "empty").await.is_none() && rest.entry(&base, "sub").await.is_some(), "{way:?}");
    }
}

/// `get -c`, `pget -c` and `put -c`: the last also on an upload that broke off. And packed, which lftp does by itself where it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lftp_resumes_and_packs_over_ftps() {
    if !has_tool("lftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).ftps("mode_z = true").start().await;
    let rest = gateway.rest("orders");
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("lftp resumes").bytes(3_000_000);
    fs::write(folder.path().join("whole"), &content).unwrap();
    let lines: Vec<u8> =
        (0..40_000).flat_map(|n| format!("{n};a line of a table that packs well\n").into_bytes()).collect();
    fs::write(folder.path().join("table"), &lines).unwrap();
    let mut broken = Ftps::login(&gateway, "edi02").await;
    for way in Way::ALL {
        let name = way.name();
        // A download, and one in pieces.
        run(lftp(&gateway, folder.path(), way, &format!("put whole -o /inbound/{name}.bin"))).await;
        fs::write(folder.path().join("got"), &content[..1_234_567]).unwrap();
        let script = format!("get -c /inbound/{name}.bin -o got; pget -n 3 -c /inbound/{name}.bin -o pieces-{name}");
        run(lftp(&gateway, folder.path(), way, &script)).await;
        assert!(fs::read(folder.path().join("got")).unwrap() == content, "{way:?}");
        assert!(fs::read(folder.path().join(format!("pieces-{name}"))).unwrap() == content, "{way:?}");
        // An upload of the same identity that broke off.
        let path = format!("/inbound/{name}-broken.bin");
        let (_, data) = broken.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(&content[..1_000_000]).await.unwrap();
        data.flush().await.unwrap();
        cut(data).await;
        assert_eq!(code(&broken.reply().await), 426);
        run(lftp(&gateway, folder.path(), way, &format!("put -c whole -o {path}"))).await;
        assert!(rest.read(&path).await.body == content, "{way:?}: put -c");
        // Packed, both ways.
        let script = format!(
            "set ftp:use-mode-z yes; debug 5; put table -o /inbound/{name}.csv; get /inbound/{name}.csv -o {name}.csv; cls /inbound"
        );
        let ran = run(lftp(&gateway, folder.path(), way, &script)).await;
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains("MODE Z") && said.contains("200 the mode is set"), "{said}");
        assert!(rest.read(&format!("/inbound/{name}.csv")).await.body == lines, "{way:?}");
        assert!(fs::read(folder.path().join(format!("{name}.csv"))).unwrap() == lines, "{way:?}");
        assert!(String::from_utf8_lossy(&ran.stdout).contains(&format!("{name}.csv")), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_over_ftps() {
    let Some(rclone) = beside_python("rclone") else { return };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    tree(&there);
    let hidden = run({
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").args(["obscure", PASSWORD]);
        command
    })
    .await;
    let hidden = String::from_utf8(hidden.stdout).unwrap().trim().to_owned();
    for way in Way::ALL {
        let (port, target) = (way.port(&gateway).to_string(), format!("/inbound/{}", way.name()));
        let rclone = |arguments: &[&str]| {
            let mut command = Command::new(&rclone);
            command.env("RCLONE_CONFIG", "/dev/null").env("RCLONE_FTP_PASS", &hidden);
            command.args(["--ftp-host", "localhost", "--ftp-user", "edi01", "--ftp-port", &port]);
            command.arg(if way.implicit { "--ftp-tls" } else { "--ftp-explicit-tls" });
            if way.old {
                command.arg("--ftp-disable-tls13");
            }
            command.arg("--ca-cert").arg(ca(&gateway)).args(arguments).arg(&there).arg(format!(":ftp:{target}"));
            command
        };
        run(rclone(&["sync"])).await;
        run(rclone(&["check", "--download"])).await;
        let (changed, gone) = (there.join("sub/f03"), there.join("sub/f04"));
        fs::write(&changed, format!("changed {}", way.name())).unwrap();
        fs::remove_file(&gone).unwrap();
        run(rclone(&["sync"])).await;
        run(rclone(&["check", "--download"])).await;
        assert_eq!(rest.read(&format!("{target}/sub/f03")).await.body, format!("changed {}", way.name()).as_bytes());
        assert!(rest.entry(&format!("{target}/sub"), "f04").await.is_none(), "what is gone there is gone here");
        fs::write(gone, b"back again").unwrap();
    }
}
