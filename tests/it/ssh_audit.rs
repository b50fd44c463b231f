//! What `ssh-audit` says of a gateway with default settings: nothing, but that exchanges without ML-KEM do not withstand a
//! quantum computer. It says that of every exchange that clients before OpenSSH 9.9 have, so the default keeps them, after
//! ML-KEM; a gateway that offers ML-KEM alone has no finding at all.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Gateway, Ledger, Plan, beside_python};

const NOT_QUANTUM_SAFE: &str = "does not provide protection against post-quantum attacks";

/// The report on a gateway, the test of its rate of connections included.
async fn audit(program: &Path, gateway: &Gateway) -> Value {
    let mut command = Command::new(program);
    command.args(["--json", "--port", &gateway.sftp.port().to_string(), "127.0.0.1"]);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Every finding, as `severity list algorithm: text`.
fn findings(report: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for list in ["kex", "key", "enc", "mac"] {
        let algorithms = report[list].as_array().expect(list);
        assert!(!algorithms.is_empty(), "{list}");
        for algorithm in algorithms {
            for severity in ["fail", "warn"] {
                for note in algorithm["notes"][severity].as_array().into_iter().flatten() {
                    all.push(format!("{severity} {list} {}: {}", algorithm["algorithm"], note.as_str().unwrap()));
                }
            }
        }
    }
    let notes = report["additional_notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // It says so to everybody who has ChaCha20 and strict key exchange, which is what it asks for.
    let notes = notes.filter(|note| !note.starts_with("Be aware that, while this target properly supports the strict"));
    all.extend(notes.map(|note| format!("note: {note}")));
    all.extend(report["cves"].as_array().into_iter().flatten().map(|cve| format!("cve: {cve}")));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_audit_finds_nothing_but_clients_before_quantum_computers() {
    let Some(program) = beside_python("ssh-audit") else { return };
    let gateway = Plan::new(Ledger::Sqlite).generated_host_keys().start().await;
    let report = audit(&program, &gateway).await;
    let (expected, others): (Vec<_>, Vec<_>) =
        findings(&report).into_iter().partition(|finding| finding.contains(NOT_QUANTUM_SAFE));
    assert!(others.is_empty(), "{others:#?}");
    assert!(expected.iter().all(|finding| finding.starts_with("warn kex ")), "{expected:#?}");
    let names = |list: &str| -> Vec<String> {
        let algorithms = report[list].as_array().unwrap();
        algorithms.iter().map(|a| a["algorithm"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("kex").first().map(String::as_str), Some("mlkem768x25519-sha256"));
    assert!(names("kex").contains(&"kex-strict-s-v00@openssh.com".to_owned()));
    assert_eq!(
        names("enc")[..3],
        ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"].map(String::from)
    );
    assert_eq!(names("key"), ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"].map(String::from));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_audit_finds_nothing_at_all_where_clients_are_new() {
    let Some(program) = beside_python("ssh-audit") else { return };
    let gateway = Plan::new(Ledger::Sqlite).sftp("kex = [\"mlkem768x25519-sha256\"]").start().await;
    let report = audit(&program, &gateway).await;
    assert_eq!(findings(&report), Vec::<String>::new());
}

/// The test can fail: what is switched on for old partners is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_audit_finds_what_is_legacy() {
    let Some(program) = beside_python("ssh-audit") else { return };
    let gateway = Plan::new(Ledger::Sqlite).sftp("legacy_algorithms = true").start().await;
    let found = findings(&audit(&program, &gateway).await);
    for name in ["aes128-cbc", "hmac-sha1", "diffie-hellman-group14-sha1"] {
        assert!(found.iter().any(|finding| finding.contains(name)), "{name}: {found:#?}");
    }
    assert!(gateway.log().contains("broken algorithms are offered (aes128-cbc"), "and every start says so");
    let checked = String::from_utf8_lossy(&gateway.run(&["check"]).stderr).into_owned();
    assert!(checked.contains("warning: sftp.legacy_algorithms: broken algorithms are offered"), "{checked}");
}
