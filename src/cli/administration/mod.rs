//! What an administrator does by hand, without a gateway that runs: `causeway key` and `causeway user`.
//!
//! On SQLite one process has the ledger: the data folder's lock is taken here, too, and while the gateway runs the answer is that
//! the API does the same. (A second process could write into the file safely, but the running one would go on with what it
//! knew.) PostgreSQL takes it at any time: every node sees the change within a second.

pub mod key;
pub mod user;

use std::path::Path;
use std::sync::Arc;

use causeway_core::admin::Refusal;
use causeway_core::{Gateway, Session};
use uuid::Uuid;

use super::say;
use crate::app;
use crate::config::database::Place;
use crate::config::{Config, Secrets, load};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Outcome};

/// The gateway of a configuration, to administer it.
struct Office {
    gateway: Gateway,
    /// The lock, while this lives.
    _held: Option<DataDir>,
}

impl Office {
    async fn open(path: &Path) -> Outcome<Self> {
        let (config, problems) = load(path, Secrets::Resolve);
        let Some(config) = config else { return Err(Failure::configuration(problems.render(false).trim_end())) };
        let held = hold(&config)?;
        let installation = held.as_ref().map_or(Uuid::nil(), DataDir::installation);
        Ok(Self { gateway: app::to_administer(config, installation).await?, _held: held })
    }

    /// The session of who calls, in the tenant of this name; where none is given, in the only one that there is.
    fn session(&self, tenant: Option<&str>) -> Outcome<Arc<Session>> {
        let tenants = self.gateway.tenants();
        let tenant = match (tenant, tenants.as_slice()) {
            (Some(tenant), _) => tenant,
            (None, [only]) => only,
            (None, _) => {
                let names: Vec<&str> = tenants.iter().map(|tenant| &**tenant).collect();
                return Err(Failure::new(format!(
                    "there are several tenants; name one with --tenant: {}",
                    names.join(", ")
                )));
            }
        };
        let with = concat!("causeway ", env!("CARGO_PKG_VERSION"), " (command line)");
        Ok(self.gateway.operator(tenant, &format!("cli:{}", os_user()), with)?)
    }

    /// The same, in the tenant whose key this is, where none is given.
    fn session_for_key(&self, place: &key::Place, id: &str) -> Outcome<Arc<Session>> {
        let owner = self.gateway.tenant_of_key(id);
        self.session(place.tenant.as_deref().or(owner.as_deref()))
    }

    /// Ends it; an error of what was done goes first.
    async fn close<T>(self, done: Outcome<T>) -> Outcome<T> {
        let closed = self.gateway.close().await;
        let done = done?;
        closed?;
        Ok(done)
    }
}

/// Holds the data folder where the ledger is in it.
fn hold(config: &Config) -> Outcome<Option<DataDir>> {
    let Place::Sqlite(file) = &config.database.place else { return Ok(None) };
    if !file.exists() {
        return Err(Failure::new(format!("there is no ledger at {} yet; run `causeway serve` first", file.display())));
    }
    let held = DataDir::open(&config.data_dir).map_err(|failure| {
        Failure::new(format!(
            "{}\nwhile the gateway runs on SQLite it alone has the ledger: use its API (/api/v1/api-keys, /api/v1/logins), or stop it for a moment",
            failure.message
        ))
    })?;
    Ok(Some(held))
}

/// The name of the user whose process this is.
fn os_user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// Why something was refused, with each field that is wrong.
fn wrong(refusal: Refusal) -> Failure {
    match &refusal {
        Refusal::Wrong(faults) => {
            let lines: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.detail)).collect();
            Failure::new(lines.join("\n"))
        }
        Refusal::Declared
        | Refusal::Taken
        | Refusal::InUse(_)
        | Refusal::HasFiles
        | Refusal::LastAdmin
        | Refusal::Failed(_) => refusal.error().into(),
    }
}

/// Prints rows in columns as wide as they need.
fn table<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) {
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        say(cells.join("  ").trim_end());
    }
}
