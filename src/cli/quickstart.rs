//! `causeway quickstart`: one command, no question: a data folder with certificates, keys, one tenant, a demo login
//! and an API key; then the gateway. A second start uses all of it again.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_core::identity::{generate_key, hash_key, hash_password};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::say;
use super::serve::load_to_serve;
use crate::app::{self, Up};
use crate::certificate;
use crate::data_dir::{DataDir, write_private};
use crate::failure::{Failure, Outcome};

/// The listeners, in the order of their ports.
const LISTENERS: [&str; 4] = ["sftp", "api", "ops", "ftps"];
/// Their ports where nothing else is asked for.
const DEFAULT_PORTS: [u16; 4] = [2022, 8443, 9090, 2121];

/// The options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = "./causeway-data")]
    dir: PathBuf,
    /// Listen on N (SFTP), N+1 (API), N+2 (health and metrics) and N+3 (FTPS) instead of 2022, 8443, 9090 and 2121. 0: ports
    /// that are free.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=65_532))]
    port_base: Option<u16>,
}

/// Where everything is in the data folder.
struct Layout {
    dir: PathBuf,
}

impl Layout {
    fn config(&self) -> PathBuf {
        self.dir.join("quickstart.toml")
    }
    fn password(&self) -> PathBuf {
        self.dir.join("demo-password")
    }
    fn private_key(&self) -> PathBuf {
        self.dir.join("demo-key")
    }
    fn public_key(&self) -> PathBuf {
        self.dir.join("demo-key.pub")
    }
    fn api_key(&self) -> PathBuf {
        self.dir.join("demo-api-key")
    }
    fn admin_key(&self) -> PathBuf {
        self.dir.join("demo-admin-key")
    }
    fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }
}

/// What the demo login, the demo application and the administrator log in with.
struct Credentials {
    password: SecretString,
    public_key: String,
    api_key: SecretString,
    /// None: the folder is of a version that made none.
    admin_key: Option<SecretString>,
}

/// Makes what is missing, prints what to type, and serves.
pub fn run(options: &Options) -> Outcome {
    let data_dir = DataDir::open(&options.dir)?;
    let dir = options.dir.canonicalize().map_err(|e| Failure::step(options.dir.display(), e))?;
    let layout = Layout { dir };
    let first = !layout.config().exists();
    let credentials = credentials(&layout, first)?;
    let ports = options.port_base.map(|base| if base == 0 { [0; 4] } else { [base, base + 1, base + 2, base + 3] });
    let text = if first {
        configuration(&credentials, ports.unwrap_or(DEFAULT_PORTS))?
    } else {
        let text = read(&layout.config())?;
        ports.map_or_else(|| text.clone(), |ports| with_ports(&text, ports))
    };
    write_private(&layout.config(), text.as_bytes())?;

    let (config, source) = load_to_serve(&layout.config())?;
    let wanted = [
        config.sftp.as_ref().map(|s| &s.listen),
        config.api.as_ref().map(|a| &a.listen),
        config.ops.as_ref().map(|o| &o.listen),
        config.ftps.as_ref().map(|f| &f.listen),
    ];
    wanted.into_iter().flatten().flatten().try_for_each(|address| check_free(*address))?;
    let has_own_certificate = config.tls.files.is_none();
    super::runtime()?.block_on(app::run(config, source, data_dir, |up| {
        write_private(&layout.known_hosts(), known_hosts(up)?.as_bytes())?;
        say(&welcome(&layout, &credentials, up, first, has_own_certificate));
        Ok(())
    }))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(format!(
            "{} is missing; restore it, or remove quickstart.toml beside it to get a new demo login",
            path.display()
        )),
        _ => Failure::step(format_args!("{} cannot be read", path.display()), error),
    })
}

/// The credentials of the folder; on the first start those that are missing are made.
fn credentials(layout: &Layout, first: bool) -> Outcome<Credentials> {
    if first {
        if !layout.password().exists() {
            let mut random = [0u8; 15];
            getrandom::fill(&mut random).map_err(|e| Failure::step("no random numbers", e))?;
            write_private(&layout.password(), format!("{}\n", URL_SAFE_NO_PAD.encode(random)).as_bytes())?;
        }
        if !layout.private_key().exists() || !layout.public_key().exists() {
            let (private, public) = causeway_sftp::generate_client_key("demo@causeway-quickstart")?;
            write_private(&layout.public_key(), format!("{public}\n").as_bytes())?;
            write_private(&layout.private_key(), private.expose_secret().as_bytes())?;
        }
        for key in [layout.api_key(), layout.admin_key()] {
            if !key.exists() {
                write_private(&key, format!("{}\n", generate_key()?.expose_secret()).as_bytes())?;
            }
        }
    }
    read(&layout.private_key())?;
    let line = |path: &Path| read(path).map(|text| text.trim_end().to_owned());
    Ok(Credentials {
        password: line(&layout.password())?.into(),
        public_key: line(&layout.public_key())?,
        api_key: line(&layout.api_key())?.into(),
        admin_key: layout.admin_key().exists().then(|| line(&layout.admin_key())).transpose()?.map(Into::into),
    })
}

/// A configuration file as `serve` takes it.
fn configuration(credentials: &Credentials, ports: [u16; 4]) -> Outcome<String> {
    let [sftp, api, ops, ftps] = ports;
    let password_hash = hash_password(&credentials.password)?;
    let key_hash = hex::encode(hash_key(credentials.api_key.expose_secret()));
    let public_key = &credentials.public_key;
    let admin = credentials.admin_key.as_ref().map(|key| {
        let hash = hex::encode(hash_key(key.expose_secret()));
        format!(
            r#"
  # Who administers the gateway over REST; it sees no files.
  [[tenant.identity]]
  id = "demo-admin"
  scopes = ["admin", "admin:gateway"]

  [[tenant.api_key]]
  id = "demo-admin"
  identity = "demo-admin"
  key_hash = "{hash}"
"#
        )
    });
    let admin = admin.unwrap_or_default();
    Ok(format!(
        r#"# Made by `causeway quickstart`; yours to change. `causeway serve --config` takes it, too.
data_dir = "."

[sftp]
listen = ["127.0.0.1:{sftp}"]

[ftps]
# Explicit TLS; for TLS from the first byte name an address below.
listen = ["127.0.0.1:{ftps}"]
listen_implicit = []

[api]
listen = ["127.0.0.1:{api}"]

[ops]
listen = ["127.0.0.1:{ops}"]

[events]
webhook_allow_private_addresses = true   # for development: webhooks may go to this machine

[[storage]]
name = "local"
kind = "local"
root = "content"

[[tenant]]
id = "demo"

  [[tenant.mount]]
  at = "/"
  storage = "local"
  path = "demo"

  [[tenant.identity]]
  id = "demo"
  scopes = ["files:read", "files:write", "transfers:read", "transfers:write", "events:read", "audit:read", "webhooks:write"]
  view = [{{ at = "/", path = "/", permissions = ["*"] }}]

  [[tenant.login]]
  username = "demo"
  identity = "demo"
  protocols = ["sftp", "ftps", "api"]
  password_hash = "{password_hash}"
  authorized_keys = ["{public_key}"]

  [[tenant.api_key]]
  id = "demo-app"
  identity = "demo"
  key_hash = "{key_hash}"

  # A tool on this machine that people may let act for them: see README.md, "OAuth 2.0".
  [[tenant.oauth_client]]
  id = "demo-tool"
  name = "The demo tool"
  redirect_uris = ["http://127.0.0.1/callback"]
{admin}"#
    ))
}

/// The file with other ports: only the `listen` lines of the listeners change.
fn with_ports(text: &str, ports: [u16; 4]) -> String {
    let mut table = String::new();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') && !trimmed.starts_with("[[") {
            let name = trimmed.split(']').next().unwrap_or_default().trim_start_matches('[').trim();
            table.replace_range(.., name);
        } else if trimmed.starts_with("[[") {
            table.clear();
        }
        let port = LISTENERS.iter().zip(ports).find(|(name, _)| **name == table).map(|(_, port)| port);
        match port {
            Some(port) if trimmed.split('=').next().is_some_and(|key| key.trim() == "listen") => {
                let _ = write!(out, "listen = [\"127.0.0.1:{port}\"]");
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Says which port is taken before anything else happens, and how to take others.
fn check_free(address: SocketAddr) -> Outcome {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Failure::new(format!(
            "port {} is taken by another process; stop it, or take other ports with --port-base 12022",
            address.port()
        ))),
        // Any other reason shows when the gateway binds.
        _ => Ok(()),
    }
}

/// The address that a client on this machine connects to.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())) } else { address }
}

/// The host keys in the form of `known_hosts` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
fn known_hosts(up: &Up<'_>) -> Outcome<String> {
    let mut lines = String::new();
    for address in up.sftp.iter().copied().map(reachable) {
        let host =
            |name: &str| if address.port() == 22 { name.to_owned() } else { format!("[{name}]:{}", address.port()) };
        for key in up.host_keys {
            let names = format!("{},{}", host(&address.ip().to_string()), host("localhost"));
            let _ = writeln!(lines, "{names} {}", key.public_line()?);
        }
    }
    Ok(lines)
}

/// A path or text as the shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn welcome(layout: &Layout, credentials: &Credentials, up: &Up<'_>, first: bool, has_own_certificate: bool) -> String {
    let path = |path: PathBuf| quoted(&path.display().to_string());
    let made = if first { "made" } else { "found again" };
    let mut text = format!(
        "\ncauseway is up. {} was {made}; everything is in {}.\n",
        path(layout.config()),
        path(layout.dir.clone())
    );
    if let Some(address) = up.sftp.first().copied().map(reachable) {
        let _ = writeln!(
            text,
            "\nSFTP, as demo with the password  {}\n  or with its key:\n    \
             sftp -P {} -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} demo@{}",
            credentials.password.expose_secret(),
            address.port(),
            path(layout.private_key()),
            path(layout.known_hosts()),
            address.ip(),
        );
    }
    let ca = has_own_certificate.then(|| path(certificate::development_ca(&layout.dir.join("certs"))));
    let trust = ca.as_ref().map_or_else(String::new, |ca| format!("--cacert {ca} "));
    if let Some(address) = up.ftps.first().copied().map(reachable) {
        let (login, config) = (format!("demo:{}", credentials.password.expose_secret()), path(layout.config()));
        let url = format!("ftp://localhost:{}", address.port());
        let ca = ca.map_or_else(String::new, |ca| format!("set ssl:ca-file {ca}; "));
        let _ = writeln!(
            text,
            "\nFTPS (explicit TLS), with the same password: upload, list, or look around:\n    \
             curl --ssl-reqd {trust}-u {login} -T {config} {url}/ftps.toml\n    \
             curl --ssl-reqd {trust}-u {login} {url}/\n    \
             lftp -e \"{ca}set ftp:ssl-force yes; set ftp:ssl-protect-data yes\" -u {} {url}",
            login.replacen(':', ",", 1),
        );
    }
    if !up.api.is_empty() {
        let curl = format!("curl {trust}-H \"Authorization: Bearer {}\"", credentials.api_key.expose_secret());
        let base = format!("{}/api/v1", up.public_url);
        let config = path(layout.config());
        let _ = writeln!(
            text,
            "\nREST: upload, list, download:\n    \
             {curl} -F file=@{config} -F destination=/ -F overwrite=true {base}/files/upload\n    \
             {curl} \"{base}/files?path=/\"\n    \
             {curl} -o copy.toml \"{base}/files/content?path=/quickstart.toml\"\n  \
             or with a token of its own (OAuth 2.0; the application's id is demo-app, its secret the key):\n    \
             curl {trust}-u demo-app:{} -d grant_type=client_credentials {base}/oauth/token",
            credentials.api_key.expose_secret()
        );
        if let Some(key) = &credentials.admin_key {
            let curl = format!("curl {trust}-H \"Authorization: Bearer {}\"", key.expose_secret());
            let _ = writeln!(
                text,
                "\nAdministration (identities, logins, keys, tenants, limits, who is there):\n    \
                 {curl} {base}/logins\n    \
                 {curl} --json '{{\"identity\": \"demo\", \"scopes\": [\"files:read\"]}}' {base}/api-keys\n    \
                 {curl} {base}/sessions\n\n\
                 What has happened (as it happens: /events/stream, with -N), and the chain of the audit trail verified:\n    \
                 {curl} \"{base}/events?type=file.*\"\n    \
                 {curl} {base}/audit/verify"
            );
        }
    }
    if let Some(address) = up.ops.first().copied().map(reachable) {
        let _ = writeln!(text, "\nHealth and metrics: curl http://{address}/readyz and http://{address}/metrics");
    }
    text.push_str("\nCtrl-C stops the gateway; the same command starts it again with all of this.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secrets, parse};

    fn demo() -> Credentials {
        let (_, public_key) = causeway_sftp::generate_client_key("demo").unwrap();
        Credentials {
            password: "p".to_owned().into(),
            public_key,
            api_key: "cwk_x".to_owned().into(),
            admin_key: Some("cwk_y".to_owned().into()),
        }
    }

    #[test]
    fn the_file_is_one_that_serve_takes() {
        let text = configuration(&demo(), [1, 2, 3, 4]).unwrap();
        let (config, problems) = parse(Path::new("q.toml"), &text, Secrets::Resolve);
        assert_eq!(problems.render(true), "");
        let config = config.unwrap();
        assert_eq!(config.sftp.unwrap().listen[0].port(), 1);
        assert_eq!(config.tenants[0].logins[0].authorized_keys.len(), 1);
        assert_eq!(config.tenants[0].api_keys.len(), 2);
    }

    #[test]
    fn other_ports_change_nothing_else() {
        let text = configuration(&demo(), DEFAULT_PORTS).unwrap();
        let other = with_ports(&text, [7, 8, 9, 6]);
        assert_eq!(
            other,
            text.replace(":2022\"", ":7\"")
                .replace(":8443\"", ":8\"")
                .replace(":9090\"", ":9\"")
                .replace(":2121\"", ":6\"")
        );
        assert_eq!(with_ports(&other, DEFAULT_PORTS), text);
    }

    #[test]
    fn a_taken_port_suggests_others() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let failure = check_free(taken.local_addr().unwrap()).unwrap_err();
        assert!(failure.message.contains("--port-base"), "{}", failure.message);
    }

    #[test]
    fn texts_are_quoted_for_the_shell() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }

    #[test]
    fn credentials_are_made_once_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout { dir: root.path().to_owned() };
        let first = credentials(&layout, true).unwrap();
        let again = credentials(&layout, false).unwrap();
        assert_eq!(first.password.expose_secret(), again.password.expose_secret());
        assert_eq!(first.api_key.expose_secret(), again.api_key.expose_secret());
        std::fs::remove_file(layout.admin_key()).unwrap();
        assert!(credentials(&layout, false).unwrap().admin_key.is_none(), "older folders have none");
        std::fs::remove_file(layout.api_key()).unwrap();
        let failure = credentials(&layout, false).err().unwrap();
        assert!(failure.message.contains("demo-api-key is missing"), "{}", failure.message);
    }
}
