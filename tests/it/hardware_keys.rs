//! Keys in hardware (`sk-…`): whether they were touched, and have verified their holder, counts (OpenSSH's PROTOCOL.u2f). The
//! client is OpenSSH's; its agent signs as a token would (`tests/clients/hardware_key_agent.py`).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::certificates::Ssh;
use crate::harness::openssh::{OpenSsh, Ran};
use crate::harness::{Gateway, Ledger, Plan, skip};

/// An agent whose keys are used with these flags. It ends with this value.
struct Agent {
    child: Child,
    folder: tempfile::TempDir,
    /// The lines of its keys: Ed25519, ECDSA.
    keys: [String; 2],
}

impl Agent {
    /// None where there is no Python for it.
    fn new(flags: u8) -> Option<Self> {
        let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
            skip("CAUSEWAY_TEST_PYTHON is not set to a Python with cryptography; ./test makes one");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/hardware_key_agent.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path().join("agent")).arg(flags.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let keys = [(); 2].map(|()| lines.next().expect("the agent tells its keys").unwrap());
        Some(Self { child, folder, keys })
    }

    /// Logs in by one of its keys, or by the certificate of it.
    async fn list(&self, gateway: &Gateway, login: &str, key: usize, certificate: Option<&std::path::Path>) -> Ran {
        let mut client = OpenSsh::new(gateway, login)
            .option(&format!("IdentityAgent={}", self.folder.path().join("agent").display()))
            .option("PreferredAuthentications=publickey")
            .option("LogLevel=DEBUG1");
        let public = client.local("token.pub", format!("{}\n", self.keys[key]).as_bytes());
        if let Some(certificate) = certificate {
            client = client.option(&format!("CertificateFile={}", certificate.display()));
        }
        client.identity(&public).batch("ls\n").await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The agents: nobody there, touched, verified but not touched, both.
const FLAGS: [u8; 4] = [0x00, 0x01, 0x04, 0x05];

fn agents() -> Option<Vec<Agent>> {
    FLAGS.iter().map(|flags| Agent::new(*flags)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_to_be_touched_unless_its_line_says_otherwise() {
    let (Some(_), Some(agents)) = (Ssh::new(), agents()) else { return };
    let keys = agents[0].keys.clone();
    let rules = [
        ("touch", "", [false, true, false, true]),
        ("none", "no-touch-required ", [true; 4]),
        ("pin", "verify-required ", [false, false, false, true]),
        ("pinonly", "restrict,no-touch-required,verify-required ", [false, false, true, true]),
    ];
    let mut plan = Plan::new(Ledger::Sqlite).limits("penalty_exempt = [\"127.0.0.1\"]");
    for (name, options, _) in rules {
        for (n, key) in keys.iter().enumerate() {
            let line = format!("{options}{key}");
            plan = plan.login(&format!("{name}{n}"), "edi-partner", &format!("authorized_keys = [{line:?}]"));
        }
    }
    let gateway = plan.start().await;
    for (name, _, wanted) in rules {
        for ((agent, flags), wanted) in agents.iter().zip(FLAGS).zip(wanted) {
            for n in 0..keys.len() {
                let ran = agent.list(&gateway, &format!("{name}{n}"), n, None).await;
                assert_eq!(ran.success, wanted, "{name}{n} {flags:#x}: {}", ran.output);
                // It is refused for the signature: the key itself is known.
                assert!(ran.output.contains("Server accepts key"), "{name}{n} {flags:#x}: {}", ran.output);
            }
        }
    }
    assert!(gateway.log().contains("a hardware key is refused"), "{}", gateway.log());
    let refused = gateway.rest("orders").pages("/audit?operation=login&outcome=denied&limit=200", "entries").await;
    assert!(refused.iter().any(|entry| entry.to_string().contains("touch0")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_whether_its_key_has_to_be_touched() {
    let (Some(ssh), Some(agents)) = (Ssh::new(), agents()) else { return };
    let ca = ssh.key("ca", &[]);
    let gateway = Plan::new(Ledger::Sqlite)
        .limits("penalty_exempt = [\"127.0.0.1\"]")
        .acme(&format!("trusted_user_ca_keys = [{ca:?}]"))
        .login("cert01", "edi-partner", "")
        .start()
        .await;
    for (n, key) in agents[0].keys.iter().enumerate() {
        for (name, options, wanted) in [
            ("touch", &[][..], [false, true, false, true]),
            ("none", &["-O", "no-touch-required"], [true; 4]),
            ("pin", &["-O", "verify-required"], [false, false, false, true]),
        ] {
            let name = format!("{name}{n}");
            std::fs::write(ssh.path(&format!("{name}.pub")), format!("{key}\n")).unwrap();
            // There is no private key to sign for: the file only has to be there.
            std::fs::write(ssh.path(&name), "").unwrap();
            ssh.sign("ca", &name, &[&["-n", "cert01"], options].concat());
            let certificate = ssh.path(&format!("{name}-cert.pub"));
            for ((agent, flags), wanted) in agents.iter().zip(FLAGS).zip(wanted) {
                let ran = agent.list(&gateway, "cert01", n, Some(&certificate)).await;
                assert_eq!(ran.success, wanted, "{name} {flags:#x}: {}", ran.output);
                assert!(ran.output.contains("CERT"), "{name} {flags:#x}: {}", ran.output);
            }
        }
    }
    // What the CA demands, a key in software cannot give.
    let ran = OpenSsh::new(&gateway, "cert01");
    let ran = ran.identity(&ssh.sign("ca", "soft", &["-n", "cert01", "-O", "verify-required"])).batch("ls\n").await;
    assert!(!ran.success && ran.output.contains("Permission denied"), "{}", ran.output);
}
