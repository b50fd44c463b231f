//! The real OpenSSH `sftp` in batch mode.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Gateway;
use super::plan::Secrets;

/// What a batch printed, and whether every command of it succeeded.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    pub output: String,
}

/// A client with a folder of its own.
pub struct OpenSsh {
    port: u16,
    login: String,
    folder: tempfile::TempDir,
    options: Vec<String>,
    arguments: Vec<String>,
    identity: PathBuf,
}

impl OpenSsh {
    pub fn new(gateway: &Gateway, login: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Secrets::get().private_key();
        let (options, arguments) = (Vec::new(), Vec::new());
        Self { port: gateway.sftp.port(), login: login.to_owned(), folder, options, arguments, identity }
    }

    /// By way of a proxy.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.port = address.port();
        self
    }

    /// With one more `-o` option.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// With these arguments before all others.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// With this private key, and the certificate beside it where there is one.
    pub fn identity(mut self, key: &Path) -> Self {
        key.clone_into(&mut self.identity);
        self
    }

    /// The client's local folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A local file with this content.
    pub fn local(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn base(&self) -> Command {
        let mut command = Command::new("sftp");
        command.current_dir(self.folder.path()).args(["-F", "/dev/null", "-P", &self.port.to_string()]);
        // Of an option that stands twice the first one counts.
        for option in &self.options {
            command.args(["-o", option]);
        }
        for option in ["StrictHostKeyChecking=accept-new", "ConnectTimeout=20"] {
            command.args(["-o", option]);
        }
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.folder.path().join("known_hosts").display()));
        command.args(&self.arguments);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    /// Starts a batch and leaves it running; its output goes to `folder()/output`.
    pub fn spawn(&self, commands: &str) -> Child {
        let batch = self.local("batch", commands.as_bytes());
        let output = File::create(self.folder.path().join("output")).unwrap();
        self.base()
            .args(["-o", "IdentitiesOnly=yes", "-i"])
            .arg(&self.identity)
            .arg("-b")
            .arg(batch)
            .arg(format!("{}@127.0.0.1", self.login))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("OpenSSH's sftp is installed")
    }

    /// Starts a client that takes its commands from a file, a pipe say, and leaves it running; its output goes to
    /// `folder()/output`.
    pub fn spawn_reading(&self, commands: &Path) -> Child {
        let output = File::create(self.folder.path().join("output")).unwrap();
        self.base()
            .args(["-o", "IdentitiesOnly=yes", "-i"])
            .arg(&self.identity)
            .arg(format!("{}@127.0.0.1", self.login))
            .stdin(File::open(commands).unwrap())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("OpenSSH's sftp is installed")
    }

    /// Runs these commands, one a line, until one fails.
    pub async fn batch(&self, commands: &str) -> Ran {
        let child = self.spawn(commands);
        self.finish(child, Duration::from_mins(4)).await
    }

    /// Logs in by password and runs one command line. `SSH_ASKPASS` answers the prompt, as there is no terminal.
    pub async fn with_password(&self, password: &str, commands: &str) -> Ran {
        self.with_answers(&format!("#!/bin/sh\necho '{password}'\n"), commands).await
    }

    /// The same; this script answers each prompt, which is its argument.
    pub async fn with_answers(&self, script: &str, commands: &str) -> Ran {
        let ask = self.local("ask", script.as_bytes());
        let mut permissions = fs::metadata(&ask).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
        fs::set_permissions(&ask, permissions).unwrap();
        let output = File::create(self.folder.path().join("output")).unwrap();
        let child = self
            .base()
            .args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"])
            .arg(format!("{}@127.0.0.1", self.login))
            .env("SSH_ASKPASS", ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(File::open(self.local("batch", commands.as_bytes())).unwrap())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("OpenSSH's sftp is installed");
        self.finish(child, Duration::from_mins(1)).await
    }

    /// Waits for a batch's end.
    pub async fn finish(&self, mut child: Child, limit: Duration) -> Ran {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > limit {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("sftp did not end: {}", self.output());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ran { success: status.success(), output: self.output() }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("output")).unwrap_or_default()).into_owned()
    }
}
