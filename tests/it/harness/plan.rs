//! What a gateway under test is to be like: its configuration, its ledger, its environment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use secrecy::SecretString;
use sqlx::{Connection, Executor};

use super::{Gateway, Receiver, sha256, skip};

/// The password of every login.
pub const PASSWORD: &str = "correct horse 7 battery";

/// Which ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ledger {
    Sqlite,
    Postgres,
}

/// Where the tests' PostgreSQL is; none: there is none.
pub fn postgres_url() -> Option<String> {
    let url = std::env::var("CAUSEWAY_TEST_POSTGRES").ok();
    if url.is_none() {
        skip("CAUSEWAY_TEST_POSTGRES is not set; ./test starts a PostgreSQL and sets it");
    }
    url
}

/// The role that gateways under test log in to PostgreSQL by: one that row-level security binds, as an operator's is to be.
const ROLE: &str = "causeway_tests";
const MAKE_ROLE: &str = "do $$ begin create role causeway_tests login password 'causeway_tests'; \
    exception when duplicate_object or unique_violation then null; end $$";

/// Makes a new, empty database of that role and says where it is.
pub async fn new_database() -> String {
    let server = postgres_url().expect("a PostgreSQL");
    let name = format!("causeway_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.expect("the tests' PostgreSQL answers");
    connection.execute(MAKE_ROLE).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("create database {name} owner {ROLE}"))).await.unwrap();
    connection.close().await.unwrap();
    let mut url = reqwest::Url::parse(&server).expect("postgres://…/database");
    url.set_username(ROLE).unwrap();
    url.set_password(Some(ROLE)).unwrap();
    url.set_path(&name);
    url.to_string()
}

/// Keys and hashes that all gateways of this run share, so that they are made once.
pub struct Secrets {
    folder: tempfile::TempDir,
    pub password_hash: String,
    pub public_key: String,
}

impl Secrets {
    pub fn get() -> &'static Self {
        static SECRETS: OnceLock<Secrets> = OnceLock::new();
        SECRETS.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for name in ["id", "host"] {
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
                    .arg(folder.path().join(name))
                    .status()
                    .expect("ssh-keygen is installed");
                assert!(made.success());
            }
            let public_key = std::fs::read_to_string(folder.path().join("id.pub")).unwrap().trim().to_owned();
            let password_hash = causeway_core::identity::hash_password(&SecretString::from(PASSWORD)).unwrap();
            Self { folder, password_hash, public_key }
        })
    }

    pub fn private_key(&self) -> PathBuf {
        self.folder.path().join("id")
    }

    /// The gateways' host key: making an RSA key takes a second, and the tests start a hundred gateways.
    pub fn host_key(&self) -> PathBuf {
        self.folder.path().join("host")
    }
}

/// The API key with this id.
pub fn api_key(id: &str) -> String {
    // 32 bytes that depend on the id alone, in the form that the gateway makes keys in.
    use base64::Engine as _;
    let bytes = hex::decode(sha256(format!("test key {id}").as_bytes())).unwrap();
    format!("cwk_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// A plan for a gateway.
#[derive(Clone)]
pub struct Plan {
    pub ledger: Ledger,
    sftp: String,
    own_host_key: bool,
    acme: String,
    other: String,
    logins: String,
    uploads: String,
    limits: String,
    events: String,
    telemetry: String,
    private_webhooks: bool,
    hooks: String,
    trusted_proxies: String,
    pub env: Vec<(String, String)>,
    edi_quota: String,
    tenant_quota: String,
    storage_root: Option<PathBuf>,
    max_attempts: u32,
    webhook_timeout: &'static str,
    grace: &'static str,
    ftps: String,
    api: String,
    tls: String,
    pub trusted: Option<String>,
    ftps_listen: &'static str,
    transfers: String,
    tokens: String,
    far: bool,
}

impl Plan {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            sftp: String::new(),
            own_host_key: true,
            acme: String::new(),
            other: String::new(),
            logins: String::new(),
            uploads: String::new(),
            limits: String::new(),
            events: String::new(),
            telemetry: String::new(),
            private_webhooks: true,
            hooks: String::new(),
            trusted_proxies: String::new(),
            env: Vec::new(),
            edi_quota: "10 GiB".into(),
            tenant_quota: "1 TiB".into(),
            storage_root: None,
            max_attempts: 12,
            webhook_timeout: "2s",
            grace: "5s",
            ftps: String::new(),
            api: String::new(),
            tls: String::new(),
            trusted: None,
            ftps_listen: "127.0.0.1:0",
            transfers: String::new(),
            tokens: String::new(),
            far: false,
        }
    }

    /// Adds a line to `[sftp]`.
    pub fn sftp(mut self, line: &str) -> Self {
        writeln!(self.sftp, "{line}").unwrap();
        self
    }

    /// With the host keys that a gateway makes for itself, which takes a second.
    pub fn generated_host_keys(mut self) -> Self {
        self.own_host_key = false;
        self
    }

    /// Adds a line to the tenant `acme`.
    pub fn acme(mut self, line: &str) -> Self {
        writeln!(self.acme, "{line}").unwrap();
        self
    }

    /// Adds a line to the tenant `other`.
    pub fn other(mut self, line: &str) -> Self {
        writeln!(self.other, "{line}").unwrap();
        self
    }

    /// Adds a login of `acme` without any credential, with these lines.
    pub fn login(mut self, username: &str, identity: &str, lines: &str) -> Self {
        writeln!(
            self.logins,
            "[[tenant.login]]\nusername = \"{username}\"\nidentity = \"{identity}\"\nprotocols = [\"sftp\"]\n{lines}"
        )
        .unwrap();
        self
    }

    /// Adds a login of `acme` that these lines describe whole.
    pub fn whole_login(mut self, lines: &str) -> Self {
        writeln!(self.logins, "[[tenant.login]]\n{lines}").unwrap();
        self
    }

    /// With other text in the lines of its own logins.
    pub fn replacing(mut self, from: &str, to: &str) -> Self {
        assert!(self.logins.contains(from), "{from}");
        self.logins = self.logins.replace(from, to);
        self
    }

    /// Adds a line to `[api]`.
    pub fn api(mut self, line: &str) -> Self {
        writeln!(self.api, "{line}").unwrap();
        self
    }

    /// With a certificate that is not the gateway's own: lines for `[tls]`, and what clients trust.
    pub fn tls(mut self, lines: &str, trusted: &str) -> Self {
        writeln!(self.tls, "{lines}").unwrap();
        self.trusted = Some(trusted.to_owned());
        self
    }

    /// Adds a line about tokens to `[oauth]`.
    pub fn tokens(mut self, line: &str) -> Self {
        writeln!(self.tokens, "{line}").unwrap();
        self
    }

    /// Adds a line to `[uploads]`.
    pub fn uploads(mut self, line: &str) -> Self {
        writeln!(self.uploads, "{line}").unwrap();
        self
    }

    /// Adds a line to `[transfers]`.
    pub fn transfers(mut self, line: &str) -> Self {
        writeln!(self.transfers, "{line}").unwrap();
        self
    }

    /// Without the lines of `[transfers]` so far.
    pub fn without_transfers(mut self) -> Self {
        self.transfers.clear();
        self
    }

    /// With a second storage, `far` in the data folder, that keeps what `acme` has below /far.
    pub fn far(mut self) -> Self {
        self.far = true;
        self.acme("[[tenant.mount]]\nat = \"/far\"\nstorage = \"far\"\npath = \"acme\"")
    }

    /// Adds an identity of `acme` with these scopes, this view, and an API key of the same name.
    pub fn keyed(self, id: &str, scopes: &[&str], view: &str) -> Self {
        let lines = format!("[[tenant.identity]]\nid = \"{id}\"\nscopes = {scopes:?}\nview = {view}\n{}", key(id, id));
        self.acme(&lines)
    }

    /// Adds a line to `[events]`.
    pub fn events(mut self, line: &str) -> Self {
        writeln!(self.events, "{line}").unwrap();
        self
    }

    /// Adds a line to `[telemetry]`.
    pub fn telemetry(mut self, line: &str) -> Self {
        writeln!(self.telemetry, "{line}").unwrap();
        self
    }

    /// With this many attempts for a delivery.
    pub fn max_attempts(mut self, most: u32) -> Self {
        self.max_attempts = most;
        self
    }

    /// With this time for one attempt.
    pub fn webhook_timeout(mut self, length: &'static str) -> Self {
        self.webhook_timeout = length;
        self
    }

    /// Webhooks go to public addresses alone.
    pub fn public_webhooks(mut self) -> Self {
        self.private_webhooks = false;
        self
    }

    /// Adds a line to `[limits]`.
    pub fn limits(mut self, line: &str) -> Self {
        writeln!(self.limits, "{line}").unwrap();
        self
    }

    /// Adds a line to `[ftps]`.
    pub fn ftps(mut self, line: &str) -> Self {
        writeln!(self.ftps, "{line}").unwrap();
        self
    }

    /// Where both listeners of FTPS listen.
    pub fn ftps_listen(mut self, address: &'static str) -> Self {
        self.ftps_listen = address;
        self
    }

    /// Adds an identity of `acme` with these permissions in what is called /inbound elsewhere, and its login, with the password
    /// and the key of all others.
    pub fn person(mut self, username: &str, permissions: &[&str]) -> Self {
        write!(
            self.logins,
            "[[tenant.identity]]\nid = \"{username}\"\nscopes = [\"files:read\", \"files:write\"]\n\
             view = [{{ at = \"/\", path = \"/inbound\", permissions = {permissions:?} }}]\n"
        )
        .unwrap();
        self.logins.push_str(&login(username, username, Secrets::get()));
        self
    }

    /// Adds a login of `edi-partner` with the password and the key of all others, over all protocols, and a line of its own.
    pub fn partner_login(mut self, username: &str, line: &str) -> Self {
        self.logins.push_str(&login(username, "edi-partner", Secrets::get()));
        writeln!(self.logins, "{line}").unwrap();
        self
    }

    /// Believes a proxy at this address.
    pub fn trusted_proxies(mut self, address: &str) -> Self {
        self.trusted_proxies = format!("[network]\ntrusted_proxies = [{address:?}]\n");
        self
    }

    /// The quota of `edi-partner`.
    pub fn edi_quota(mut self, quota: &str) -> Self {
        quota.clone_into(&mut self.edi_quota);
        self
    }

    /// Where the storage is, if not in the data folder.
    pub fn storage_root(mut self, root: &Path) -> Self {
        self.storage_root = Some(root.to_owned());
        self
    }

    /// How long a stopping gateway drains.
    pub fn grace(mut self, grace: &'static str) -> Self {
        self.grace = grace;
        self
    }

    /// Sends these events of `acme` to a receiver.
    pub fn webhook(mut self, id: &str, receiver: &Receiver, events: &[&str]) -> Self {
        let variable = format!("HOOK_SECRET_{}", id.replace('-', "_").to_uppercase());
        write!(
            self.hooks,
            "[[tenant.webhook]]\nid = \"{id}\"\nurl = \"{}\"\nevents = {events:?}\nsecret = \"env:{variable}\"\n",
            receiver.url()
        )
        .unwrap();
        self.env.push((variable, receiver.secret().to_owned()));
        self
    }

    /// The configuration file.
    pub fn text(&self, data: &Path) -> String {
        let secrets = Secrets::get();
        let default_root = data.join("content");
        let root = self.storage_root.as_deref().unwrap_or(&default_root);
        let far = if self.far {
            let root = self.storage_root.as_deref().and_then(Path::parent).unwrap_or(data).join("far");
            format!("[[storage]]\nname = \"far\"\nkind = \"local\"\nroot = {root:?}\n")
        } else {
            String::new()
        };
        let mut sftp = self.sftp.clone();
        if self.own_host_key {
            writeln!(sftp, "host_keys = [{:?}]", secrets.host_key()).unwrap();
        }
        let mut text = format!(
            r#"data_dir = {data:?}
shutdown_grace = "{grace}"
{trusted_proxies}[node]
name = "gw-test"
[sftp]
listen = ["127.0.0.1:0"]
{sftp}[ftps]
listen = ["{ftps_listen}"]
listen_implicit = ["{ftps_listen}"]
{ftps}[api]
listen = ["127.0.0.1:0"]
{api}[oauth]
{tokens}[tls]
{tls}[ops]
listen = ["127.0.0.1:0"]
[database]
url = "{url}"
[[storage]]
name = "local"
kind = "local"
root = {root:?}
{far}[uploads]
{uploads}[transfers]
{transfers}[limits]
{limits}[events]
webhook_timeout = "{webhook_timeout}"
webhook_max_attempts = {max_attempts}
webhook_allow_private_addresses = {private_webhooks}
{events}
[telemetry]
{telemetry}
[[tenant]]
id = "acme"
quota = "{tenant_quota}"
{acme}[[tenant.mount]]
at = "/"
storage = "local"
path = "acme"
[[tenant.identity]]
id = "edi-partner"
scopes = ["files:read", "files:write", "transfers:read", "transfers:write", "events:read", "audit:read"]
quota = "{edi_quota}"
view = [
  {{ at = "/", path = "/partners/edi", permissions = ["list", "download"] }},
  {{ at = "/inbound", path = "/inbound", permissions = ["*"] }},
]
[[tenant.identity]]
id = "mill"
scopes = ["files:read", "files:write", "transfers:read", "transfers:write", "events:read"]
view = [{{ at = "/", path = "/inbound", permissions = ["*"] }}]
[[tenant.identity]]
id = "orders-app"
scopes = ["files:read", "files:write", "transfers:read", "transfers:write", "events:read", "audit:read", "webhooks:write"]
view = [{{ at = "/", path = "/", permissions = ["*"] }}]
[[tenant.identity]]
id = "reader"
scopes = ["files:read", "events:read"]
view = [{{ at = "/", path = "/", permissions = ["list", "download"] }}]
[[tenant.identity]]
id = "dropper"
scopes = ["files:read", "files:write"]
view = [{{ at = "/", path = "/inbound", permissions = ["list", "upload"] }}]
[[tenant.identity]]
id = "ops"
scopes = ["admin"]
view = []
"#,
            grace = self.grace,
            sftp = sftp,
            ftps = self.ftps,
            api = self.api,
            tls = self.tls,
            ftps_listen = self.ftps_listen,
            url = if self.ledger == Ledger::Postgres { "env:CAUSEWAY_DATABASE_URL" } else { "" },
            far = far,
            transfers = self.transfers,
            tokens = self.tokens,
            acme = self.acme,
            uploads = self.uploads,
            limits = self.limits,
            events = self.events,
            telemetry = self.telemetry,
            private_webhooks = self.private_webhooks,
            trusted_proxies = self.trusted_proxies,
            max_attempts = self.max_attempts,
            webhook_timeout = self.webhook_timeout,
            tenant_quota = self.tenant_quota,
            edi_quota = self.edi_quota,
        );
        for (username, identity) in [
            ("edi01", "edi-partner"),
            ("edi02", "edi-partner"),
            ("mill01", "mill"),
            ("app01", "orders-app"),
            ("reader01", "reader"),
            ("drop01", "dropper"),
        ] {
            text.push_str(&login(username, identity, secrets));
        }
        text.push_str(&self.logins);
        for (id, identity) in [
            ("orders", "orders-app"),
            ("edi", "edi-partner"),
            ("mill", "mill"),
            ("reader", "reader"),
            ("dropper", "dropper"),
            ("ops", "ops"),
        ] {
            text.push_str(&key(id, identity));
        }
        text.push_str(&self.hooks);
        write!(text, "[[tenant]]\nid = \"other\"\n{}", self.other).unwrap();
        text.push_str(
            "[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"\npath = \"other\"\n\
             [[tenant.identity]]\nid = \"other-app\"\n\
             scopes = [\"files:read\", \"files:write\", \"events:read\", \"audit:read\"]\n\
             view = [{ at = \"/\", path = \"/\", permissions = [\"*\"] }]\n",
        );
        text.push_str(&login("other01", "other-app", secrets));
        text.push_str(&key("other", "other-app"));
        text
    }

    /// Starts a gateway on empty data.
    pub async fn start(self) -> Gateway {
        Gateway::create(self).await
    }
}

fn login(username: &str, identity: &str, secrets: &Secrets) -> String {
    format!(
        "[[tenant.login]]\nusername = \"{username}\"\nidentity = \"{identity}\"\nprotocols = [\"sftp\", \"ftps\"]\n\
         password_hash = \"{}\"\nauthorized_keys = [\"{}\"]\n",
        secrets.password_hash, secrets.public_key
    )
}

fn key(id: &str, identity: &str) -> String {
    format!(
        "[[tenant.api_key]]\nid = \"{id}\"\nidentity = \"{identity}\"\nkey_hash = \"{}\"\n",
        sha256(api_key(id).as_bytes())
    )
}
