//! A running `causeway serve`: started, stopped, killed and started again on the same data.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::pki::Issued;
use super::plan::{Ledger, Plan, api_key, new_database};
use super::{Rest, Sftp};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

/// A connection to a gateway's database to which row-level security shows the rows of every tenant and those of the gateway.
pub async fn reaching_all(url: &str) -> sqlx::PgConnection {
    use sqlx::{Connection as _, Executor as _};
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    connection.execute("SET causeway.tenant = '*'").await.unwrap();
    connection
}

/// A gateway and its data, which live as long as this value.
pub struct Gateway {
    folder: tempfile::TempDir,
    plan: Plan,
    database: Option<String>,
    child: Option<Child>,
    pub sftp: SocketAddr,
    pub ftps: SocketAddr,
    pub ftps_implicit: SocketAddr,
    pub api: SocketAddr,
    pub ops: SocketAddr,
}

impl Gateway {
    pub(super) async fn create(plan: Plan) -> Self {
        let database = if plan.ledger == Ledger::Postgres { Some(new_database().await) } else { None };
        Self::with_database(plan, database).await
    }

    /// Another node of the same cluster: it shares the database and the storages.
    pub async fn beside(&self, change: impl FnOnce(Plan) -> Plan) -> Self {
        let database = self.database.clone();
        assert!(database.is_some(), "a cluster is on PostgreSQL");
        Self::with_database(change(self.plan.clone().storage_root(&self.content())), database).await
    }

    async fn with_database(plan: Plan, database: Option<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("causeway-it-").tempdir().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut gateway = Self {
            folder,
            plan,
            database,
            child: None,
            sftp: nowhere,
            ftps: nowhere,
            ftps_implicit: nowhere,
            api: nowhere,
            ops: nowhere,
        };
        gateway.write_config();
        gateway.start().await;
        let rest = gateway.rest("orders");
        for folder in ["/inbound", "/partners", "/partners/edi"] {
            let answer = rest.post_json("/folders", &serde_json::json!({ "path": folder })).await;
            assert!([201, 409].contains(&answer.status), "{folder}: {answer:?}");
        }
        gateway
    }

    fn write_config(&self) {
        fs::create_dir_all(self.data()).unwrap();
        fs::write(self.config(), self.plan.text(&self.data())).unwrap();
        if let Some(trusted) = &self.plan.trusted {
            fs::create_dir_all(self.data().join("certs")).unwrap();
            fs::write(self.data().join("certs/ca.pem"), trusted).unwrap();
        }
    }

    /// Changes the plan; it counts from the next start.
    pub fn change(&mut self, change: impl FnOnce(Plan) -> Plan) {
        self.plan = change(self.plan.clone());
        self.write_config();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("causeway.toml")
    }

    /// Where the local storage keeps its content.
    pub fn content(&self) -> PathBuf {
        self.data().join("content")
    }

    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Runs a statement on the ledger, which both databases understand, as somebody with the database in hands would.
    pub async fn statement(&self, sql: &str) {
        use sqlx::{Connection as _, Executor as _};
        match &self.database {
            None => {
                let connection = rusqlite::Connection::open(self.data().join("causeway.db")).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Some(url) => {
                let mut connection = reaching_all(url).await;
                connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The one number that a query of the ledger answers; none: NULL.
    pub async fn number(&self, sql: &str) -> Option<i64> {
        use sqlx::Connection as _;
        match &self.database {
            None => {
                let connection = rusqlite::Connection::open(self.data().join("causeway.db")).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                connection.query_row(sql, (), |row| row.get(0)).unwrap()
            }
            Some(url) => {
                let mut connection = reaching_all(url).await;
                let sql = sqlx::AssertSqlSafe(sql.to_owned());
                let found: (Option<i64>,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                found.0
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// `causeway` with these arguments and this gateway's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG").stdin(Stdio::null());
        command.envs(self.plan.env.iter().map(|(k, v)| (k, v)));
        if let Some(url) = &self.database {
            command.env("CAUSEWAY_DATABASE_URL", url);
        }
        command
    }

    /// Runs `causeway` with these arguments and `--config` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).arg("--config").arg(self.config()).output().unwrap()
    }

    /// Starts the daemon and waits until every listener is up.
    pub async fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let listening = self.data().join("listening.json");
        match fs::remove_file(&listening) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let child = self
            .command(&["serve", "--config"])
            .arg(self.config())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = child.id();
        self.child = Some(child);
        let began = Instant::now();
        let up: Value = loop {
            let text = fs::read(&listening).unwrap_or_default();
            if let Ok(value) = serde_json::from_slice::<Value>(&text)
                && value["pid"] == pid
            {
                break value;
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the gateway ended at its start: {status}\n{}", self.log());
            }
            assert!(began.elapsed() < Duration::from_mins(1), "the gateway did not come up\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let address = |name: &str| up[name][0].as_str().and_then(|a| a.parse().ok()).expect("an address");
        self.sftp = address("sftp");
        self.ftps = address("ftps");
        self.ftps_implicit = address("ftps_implicit");
        self.api = address("api");
        self.ops = address("ops");
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Sends SIGTERM and goes on.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP: the configuration is read again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Changes the configuration file as an administrator does, in one go, while the daemon runs.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let old = fs::read_to_string(self.config()).unwrap();
        let new = change(old.clone());
        assert_ne!(old, new, "nothing is changed");
        let beside = self.folder.path().join("causeway.toml.new");
        fs::write(&beside, new).unwrap();
        fs::rename(beside, self.config()).unwrap();
    }

    /// SIGSTOP: it does nothing until [`Gateway::go_on`], and does not know it.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for the daemon's end.
    pub async fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > Duration::from_mins(1) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the gateway did not end\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM, and the exit must be 0.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.wait().await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }

    /// A REST client that shows the API key with this id.
    pub fn rest(&self, key: &str) -> Rest {
        let ca = fs::read(self.data().join("certs/ca.pem")).expect("the development certificate's CA");
        Rest::new(self.api, &ca, &api_key(key))
    }

    /// The same over HTTP/1.1 alone.
    pub fn rest_http1(&self, key: &str) -> Rest {
        let ca = fs::read(self.data().join("certs/ca.pem")).expect("the development certificate's CA");
        Rest::http1(self.api, &ca, &api_key(key))
    }

    /// A client of its REST API that shows a certificate, and no key.
    pub fn rest_showing(&self, certificate: &Issued) -> Rest {
        let ca = fs::read(self.data().join("certs/ca.pem")).expect("the development certificate's CA");
        Rest::showing(self.api, &ca, certificate)
    }

    /// An SFTP session of this login, by its key.
    pub async fn sftp(&self, login: &str) -> Sftp {
        Sftp::connect(self.sftp, login).await.unwrap()
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).expect(field);
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The blob files in the storage.
    pub fn blob_files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, out);
                } else if File::open(&path).is_ok() {
                    out.push(path);
                }
            }
        }
        let mut out = Vec::new();
        for tenant in ["acme", "other"] {
            walk(&self.content().join(tenant), &mut out);
        }
        out
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the gateway's log ends so:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}
