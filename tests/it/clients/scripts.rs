//! Libraries: asyncssh and paramiko (Python), and `ssh2-sftp-client` (JavaScript).

use std::process::Command;

use super::run;
use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::{Ledger, Plan, has_tool, script, skip};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asyncssh_works_in_parallel() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with asyncssh; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut command = Command::new(python);
    command.arg(script("asyncssh_session.py")).args([&gateway.sftp.port().to_string(), "edi01"]);
    command.arg(Secrets::get().private_key());
    run(command).await;
    let names = gateway.rest("orders").list("/inbound/asyncssh").await;
    assert_eq!(names.len(), 41, "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh2_sftp_client_of_npm() {
    if !has_tool("node") {
        return;
    }
    let Some(modules) = std::env::var_os("CAUSEWAY_TEST_NODE_MODULES") else {
        return skip("CAUSEWAY_TEST_NODE_MODULES is not set to a folder with ssh2-sftp-client; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(script("ssh2_sftp_client_session.js"));
    command.args([&gateway.sftp.port().to_string(), "edi01"]).arg(Secrets::get().private_key());
    run(command).await;
    assert_eq!(gateway.rest("orders").read("/inbound/node/renamed.bin").await.body.len(), 2_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paramiko_shows_one_credential_after_the_other() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with paramiko; ./test makes one");
    };
    let both = "require = \"publickey+password\"";
    let gateway = Plan::new(Ledger::Sqlite).partner_login("both01", both).start().await;
    let mut command = Command::new(python);
    command.arg(script("paramiko_methods.py")).arg(gateway.sftp.port().to_string());
    command.arg(Secrets::get().private_key()).arg(PASSWORD);
    run(command).await;
}
