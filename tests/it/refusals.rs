//! What a file gateway is not there for, by OpenSSH's `ssh`: it is refused with words wherever SSH has a place for them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::plan::Secrets;
use crate::harness::{Gateway, Ledger, Plan, eventually, has_tool};

/// An agent without keys, as long as this value lives.
struct Agent(Child);

impl Agent {
    async fn at(socket: &Path) -> Self {
        let mut agent = Command::new("ssh-agent");
        agent.args(["-D", "-a"]).arg(socket).stdin(Stdio::null()).stdout(Stdio::null());
        let agent = Self(agent.spawn().unwrap());
        eventually("the agent listens", Duration::from_secs(10), async || socket.exists().then_some(())).await;
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `ssh` says with these arguments before the host and behind it. It has an agent, and a display that it never asks.
async fn ssh(gateway: &Gateway, agent: &Path, options: &[&str], command: &[&str]) -> String {
    let mut ssh = Command::new("ssh");
    ssh.env("SSH_AUTH_SOCK", agent).env("DISPLAY", "127.0.0.1:99");
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
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let _agent = Agent::at(&socket).await;
    let forwards = "This is a file gateway: it forwards nothing. Use sftp or scp.";
    for (options, command, wanted) in [
        (&["-W", "127.0.0.1:1"][..], &[][..], format!("open failed: administratively prohibited: {forwards}")),
        (&["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], &[], format!("Remote: {forwards}")),
        (&["-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/s:127.0.0.1:1"], &[], format!("Remote: {forwards}")),
        (&["-tt"], &["true"], "Remote: This is a file gateway: it has no terminal. Use sftp or scp.".to_owned()),
        (&["-T"], &[], "This is a file gateway: it has no shell. Use sftp or scp.".to_owned()),
        (&["-T", "-A"], &[], "Remote: This is a file gateway: it takes no agent. Use sftp or scp.".to_owned()),
        (&["-T", "-Y"], &[], "Remote: This is a file gateway: it has no X11. Use sftp or scp.".to_owned()),
        (&["-s"], &["netconf"], "Remote: This is a file gateway: its one subsystem is sftp".to_owned()),
    ] {
        let said = ssh(&gateway, &socket, options, command).await;
        assert!(said.contains(&wanted), "{options:?} {command:?}: {said}");
    }
}
