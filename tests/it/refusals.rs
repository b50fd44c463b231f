//! What a file gateway is not there for, by OpenSSH's `ssh`: it is refused with words wherever SSH has a place for them.

use std::process::{Command, Stdio};

use crate::harness::plan::Secrets;
use crate::harness::{Gateway, Ledger, Plan, has_tool};

/// What `ssh` says with these arguments before the host and behind it.
async fn ssh(gateway: &Gateway, options: &[&str], command: &[&str]) -> String {
    let mut ssh = Command::new("ssh");
    ssh.args(["-v", "-F", "/dev/null", "-p", &gateway.sftp.port().to_string(), "-o", "IdentitiesOnly=yes", "-o"]);
    ssh.args(["StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "-i"]);
    ssh.arg(Secrets::get().private_key()).args(options).arg("app01@127.0.0.1").args(command).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || ssh.output().unwrap()).await.unwrap();
    assert!(!ran.status.success(), "{options:?}");
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_says_that_this_is_a_file_gateway() {
    if !has_tool("ssh") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let forwards = "This is a file gateway: it forwards nothing. Use sftp or scp.";
    for (options, command, wanted) in [
        (&["-W", "127.0.0.1:1"][..], &[][..], format!("open failed: administratively prohibited: {forwards}")),
        (&["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], &[], format!("Remote: {forwards}")),
        (&["-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/s:127.0.0.1:1"], &[], format!("Remote: {forwards}")),
        (&["-tt"], &["true"], "Remote: This is a file gateway: it has no terminal. Use sftp or scp.".to_owned()),
        (&["-T"], &[], "This is a file gateway: it has no shell. Use sftp or scp.".to_owned()),
        (&["-s"], &["netconf"], "Remote: This is a file gateway: its one subsystem is sftp".to_owned()),
    ] {
        let said = ssh(&gateway, options, command).await;
        assert!(said.contains(&wanted), "{options:?} {command:?}: {said}");
    }
}
