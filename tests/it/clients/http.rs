//! curl and aria2c over REST: what scripts and download managers ask for.

use std::fs;
use std::process::Command;

use super::run;
use crate::harness::plan::api_key;
use crate::harness::{Gateway, Ledger, Plan, Random, has_tool, sha256};

/// curl with the key of `orders` and the gateway's CA.
fn curl(gateway: &Gateway, arguments: &[&str], path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail", "--noproxy", "*", "--cacert"]).arg(gateway.data().join("certs/ca.pem"));
    command.args(["--oauth2-bearer", &api_key("orders")]).args(arguments);
    command.arg(format!("https://localhost:{}/api/v1{path}", gateway.api.port()));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_and_fetches_ranges_over_rest() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("curl over REST").bytes(2_000_000);
    let local = folder.path().join("data.bin");
    fs::write(&local, &content).unwrap();
    let at = "/files/content?path=/inbound/data.bin";
    for version in ["--http1.1", "--http2"] {
        run(curl(&gateway, &[version, "-T", local.to_str().unwrap()], at)).await;
        assert_eq!(gateway.rest("orders").read("/inbound/data.bin").await.body, content, "{version}");
        // In chunks, from a pipe.
        let mut piped = curl(&gateway, &[version, "-T", "-"], "/files/content?path=/inbound/piped.bin");
        piped.stdin(fs::File::open(&local).unwrap());
        run(piped).await;
        assert_eq!(gateway.rest("orders").read("/inbound/piped.bin").await.body, content, "{version}");
        let form = format!("file=@{}", local.display());
        run(curl(
            &gateway,
            &[version, "-F", &form, "-F", "destination=/inbound/form", "-F", "overwrite=true"],
            "/files/upload",
        ))
        .await;
        assert_eq!(gateway.rest("orders").read("/inbound/form/data.bin").await.body, content, "{version}");

        assert_eq!(run(curl(&gateway, &[version, "--range", "1000-1999"], at)).await.stdout, content[1000..2000]);
        assert_eq!(run(curl(&gateway, &[version, "--range", "-500"], at)).await.stdout, content[1_999_500..]);
        let parts = run(curl(&gateway, &[version, "-i", "--range", "0-9,1999990-"], at)).await.stdout;
        let (first, second) = (&content[..10], &content[1_999_990..]);
        let holds = |piece: &[u8]| parts.windows(piece.len()).any(|window| window == piece);
        assert!(holds(b"multipart/byteranges") && holds(first) && holds(second), "{version}");
        // The second half only.
        let back = folder.path().join("back.bin");
        fs::write(&back, &content[..1_000_001]).unwrap();
        run(curl(&gateway, &[version, "-C", "-", "-o", back.to_str().unwrap()], at)).await;
        assert!(fs::read(&back).unwrap() == content, "{version}");
        fs::remove_file(back).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2c_fetches_by_eight_connections() {
    if !has_tool("aria2c") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("aria2c").bytes(24 << 20);
    let rest = gateway.rest("orders");
    let file = rest.put("/inbound/big.bin", &content).await.ok();
    let mut command = Command::new("aria2c");
    command.env("HOME", folder.path()).args(["--no-conf", "-q", "-x", "8", "-s", "8", "-k", "1M", "--all-proxy="]);
    command.arg(format!("--checksum=sha-256={}", sha256(&content)));
    command.arg(format!("--ca-certificate={}", gateway.data().join("certs/ca.pem").display()));
    command.arg(format!("--header=Authorization: Bearer {}", api_key("orders")));
    command.arg("-d").arg(folder.path()).arg(format!(
        "https://localhost:{}/api/v1/files/{}/download",
        gateway.api.port(),
        file["file_id"].as_str().unwrap()
    ));
    run(command).await;
    // Under the name that `Content-Disposition` gives it.
    assert!(fs::read(folder.path().join("big.bin")).unwrap() == content);
    let downloads = rest.pages("/audit?operation=download&path=/inbound/big.bin", "entries").await;
    assert!(downloads.len() >= 8, "{} ranges were fetched", downloads.len());
}
