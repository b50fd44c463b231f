//! `causeway user add | list | passwd | remove | enable-totp`: a login, with the identity that it becomes.

use std::path::PathBuf;

use causeway_core::Session;
use causeway_core::admin::{Administered, ManagedBy};
use causeway_core::identity::spec::{ApiKeySpec, IdentitySpec, LoginSpec, MappingSpec, ViewSpec};
use causeway_core::identity::{hash_password, texts, totp_uri};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::key::Place;
use super::{Office, table, wrong};
use crate::cli::hash::ask;
use crate::cli::{runtime, say};
use crate::failure::{Failure, Outcome};

/// What an identity that is made beside its login may do.
const SCOPES: [&str; 4] = ["files:read", "files:write", "transfers:read", "transfers:write"];

/// What is to be done with logins.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a login; its password is asked for, or read from standard input.
    Add(Box<New>),
    /// List the logins of a tenant.
    List(Place),
    /// Give a login another password, which is asked for or read from standard input.
    Passwd(Named),
    /// Remove a login, and its identity where that has its name and nothing else uses it.
    Remove(Named),
    /// Make a secret for time-based codes and print it; in force once a code of it is given, which is asked for or read from
    /// standard input.
    EnableTotp {
        #[command(flatten)]
        named: Named,
        /// What the login has to prove from then on, like "password+totp"; default: what it has to now, and a code.
        #[arg(long, value_name = "WORDS")]
        require: Option<String>,
    },
}

/// A login that is there.
#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    place: Place,
    /// The login's name.
    username: String,
}

/// A login that is to be made.
#[derive(Debug, Args)]
pub struct New {
    #[command(flatten)]
    named: Named,
    /// The identity that it becomes; default: a new one of the login's name, which sees --folder as its root.
    #[arg(long, value_name = "ID", conflicts_with = "folder")]
    identity: Option<String>,
    /// The folder of the tenant's tree that a new identity sees as its root; default: one of the login's name.
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// A protocol that it may come by (sftp, ftps, api); may stand several times. Default: sftp.
    #[arg(long = "protocol", value_name = "PROTOCOL")]
    protocols: Vec<String>,
    /// A file with public keys, one a line, that it may sign with; may stand several times.
    #[arg(long = "authorized-keys", value_name = "FILE")]
    authorized_keys: Vec<PathBuf>,
    /// Without a password: only a key lets it in.
    #[arg(long, requires = "authorized_keys")]
    no_password: bool,
    /// What it has to prove: "any", or "publickey+password".
    #[arg(long, value_name = "WORDS")]
    require: Option<String>,
    /// A network that it may come from; may stand several times. Default: from everywhere.
    #[arg(long = "allow-from", value_name = "NETWORK")]
    allow_from: Vec<String>,
    /// Its root, inside the identity's view.
    #[arg(long, value_name = "PATH")]
    home: Option<String>,
}

/// Does it.
pub fn run(command: UserCommand) -> Outcome {
    runtime()?.block_on(async {
        match command {
            UserCommand::Add(new) => {
                let (identity, login) = described(&new)?;
                let office = Office::open(&new.named.place.config).await?;
                let done = add(&office, &new.named, identity, login).await;
                office.close(done).await
            }
            UserCommand::List(place) => {
                let office = Office::open(&place.config).await?;
                let done = list(&office, &place).await;
                office.close(done).await
            }
            UserCommand::Passwd(named) => {
                let hash = hash_of_new()?;
                let office = Office::open(&named.place.config).await?;
                let done = passwd(&office, &named, hash).await;
                office.close(done).await
            }
            UserCommand::Remove(named) => {
                let office = Office::open(&named.place.config).await?;
                let done = remove(&office, &named).await;
                office.close(done).await
            }
            UserCommand::EnableTotp { named, require } => {
                let office = Office::open(&named.place.config).await?;
                let done = enable_totp(&office, &named, require).await;
                office.close(done).await
            }
        }
    })
}

fn hash_of_new() -> Outcome<SecretString> {
    Ok(hash_password(&ask("Password: ", true)?)?.into())
}

/// The login, and the identity where that is a new one.
fn described(new: &New) -> Outcome<(Option<IdentitySpec>, LoginSpec)> {
    let username = &new.named.username;
    let identity = if new.identity.is_some() {
        None
    } else {
        texts::slug(username).map_err(|why| {
            Failure::new(format!("an identity of this name cannot be made: {why}; name one with --identity"))
        })?;
        let path = new.folder.clone().unwrap_or_else(|| format!("/{username}"));
        let all = ViewSpec { at: "/".to_owned(), path: Some(path), permissions: vec!["*".to_owned()] };
        Some(IdentitySpec { scopes: SCOPES.map(str::to_owned).to_vec(), quota: None, view: vec![all] })
    };
    let mut authorized_keys = Vec::new();
    for file in &new.authorized_keys {
        let text = std::fs::read_to_string(file).map_err(|error| Failure::step(file.display(), error))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        authorized_keys.extend(lines.map(str::to_owned));
    }
    let usual = LoginSpec::usual();
    let login = LoginSpec {
        identity: new.identity.as_ref().unwrap_or(username).clone(),
        protocols: if new.protocols.is_empty() { usual.protocols } else { new.protocols.clone() },
        password_hash: if new.no_password { None } else { Some(hash_of_new()?) },
        authorized_keys,
        require: new.require.clone().unwrap_or(usual.require),
        allow_from: new.allow_from.clone(),
        home: new.home.clone().unwrap_or(usual.home),
        ..usual
    };
    Ok((identity, login))
}

async fn add(office: &Office, named: &Named, identity: Option<IdentitySpec>, login: LoginSpec) -> Outcome {
    let session = office.session(named.place.tenant.as_deref())?;
    let username = &named.username;
    let made_identity = identity.is_some();
    if let Some(identity) = identity {
        office.gateway.make_object(&session, None, username, identity).await.map_err(|refusal| {
            Failure::new(format!("the identity `{username}` cannot be made: {}", wrong(refusal).message))
        })?;
    }
    let made = office.gateway.make_object(&session, None, username, login).await;
    if let (Err(_), true) = (&made, made_identity) {
        // All of it or nothing.
        remove_identity(office, &session, username).await?;
    }
    let made = made.map_err(wrong)?;
    tell(&named.place, &made, "added");
    Ok(())
}

async fn list(office: &Office, place: &Place) -> Outcome {
    let session = office.session(place.tenant.as_deref())?;
    let logins = office.gateway.administered::<LoginSpec>(&session, None).await?;
    if place.json {
        say(&json!({ "logins": logins.iter().map(shown).collect::<Vec<_>>() }).to_string());
        return Ok(());
    }
    let head = ["USERNAME", "IDENTITY", "PROTOCOLS", "REQUIRE", "MANAGED BY"].map(str::to_owned);
    let rows = logins.iter().map(|login| {
        let spec = login.spec.as_ref();
        [
            login.key.id.clone(),
            spec.map_or_else(|| "?".to_owned(), |spec| spec.identity.clone()),
            spec.map(|spec| spec.protocols.join(",")).unwrap_or_default(),
            spec.map(|spec| spec.require.clone()).unwrap_or_default(),
            login.managed_by.as_str().to_owned(),
        ]
    });
    table(std::iter::once(head).chain(rows).collect());
    Ok(())
}

async fn one(office: &Office, session: &Session, named: &Named) -> Outcome<(Option<i64>, LoginSpec)> {
    let found = office.gateway.administered_one::<LoginSpec>(session, None, &named.username).await;
    let missing =
        || Failure::new(format!("there is no login `{}` in the tenant {}", named.username, session.tenant.id));
    let found = found.map_err(|_| missing())?;
    if found.managed_by == ManagedBy::Config {
        return Err(Failure::new(format!(
            "`{}` is declared in the configuration file; change it there",
            named.username
        )));
    }
    let unreadable = || Failure::new("the record of this login cannot be read by this version; remove it");
    Ok((found.version, found.spec.ok_or_else(unreadable)?))
}

async fn passwd(office: &Office, named: &Named, hash: SecretString) -> Outcome {
    let session = office.session(named.place.tenant.as_deref())?;
    let (version, spec) = one(office, &session, named).await?;
    let spec = LoginSpec { password_hash: Some(hash), ..spec };
    let made = office.gateway.replace_object(&session, None, &named.username, version, spec).await.map_err(wrong)?;
    tell(&named.place, &made, "has another password");
    Ok(())
}

async fn remove(office: &Office, named: &Named) -> Outcome {
    let session = office.session(named.place.tenant.as_deref())?;
    let (version, spec) = one(office, &session, named).await?;
    office.gateway.remove_object::<LoginSpec>(&session, None, &named.username, version).await.map_err(wrong)?;
    let also = spec.identity == named.username && remove_identity(office, &session, &named.username).await?;
    if named.place.json {
        say(&json!({ "username": named.username, "removed": true, "identity_removed": also }).to_string());
    } else {
        let with = if also { ", and its identity" } else { "" };
        say(&format!("{} is removed{with}", named.username));
    }
    Ok(())
}

/// Removes an identity that nothing else uses; whether it did.
async fn remove_identity(office: &Office, session: &Session, id: &str) -> Outcome<bool> {
    let gateway = &office.gateway;
    let used = gateway
        .administered::<LoginSpec>(session, None)
        .await?
        .iter()
        .any(|one| uses(one.spec.as_ref().map(|spec| &spec.identity), id))
        || gateway
            .administered::<MappingSpec>(session, None)
            .await?
            .iter()
            .any(|one| uses(one.spec.as_ref().map(|spec| &spec.identity), id))
        || gateway
            .administered::<ApiKeySpec>(session, None)
            .await?
            .iter()
            .any(|one| uses(one.spec.as_ref().map(|spec| &spec.identity), id));
    let Ok(found) = gateway.administered_one::<IdentitySpec>(session, None, id).await else { return Ok(false) };
    if used || found.managed_by == ManagedBy::Config {
        return Ok(false);
    }
    gateway.remove_object::<IdentitySpec>(session, None, id, found.version).await.map_err(wrong)?;
    Ok(true)
}

fn uses(identity: Option<&String>, id: &str) -> bool {
    identity.is_some_and(|identity| identity == id)
}

async fn enable_totp(office: &Office, named: &Named, require: Option<String>) -> Outcome {
    let session = office.session(named.place.tenant.as_deref())?;
    one(office, &session, named).await?;
    let secret = office.gateway.begin_totp(&session, None, &named.username, require).await.map_err(wrong)?;
    let uri = totp_uri(&named.username, &secret)?;
    if named.place.json {
        say(&json!({ "username": named.username, "secret": secret.expose_secret(), "uri": uri.expose_secret() })
            .to_string());
    } else {
        say(secret.expose_secret());
        say(uri.expose_secret());
    }
    // The app has to be set up first: the codes that it shows prove that.
    let code = ask("A code of the app: ", false)?;
    office.gateway.confirm_totp(&session, None, &named.username, &code).await.map_err(wrong)?;
    let (_, spec) = one(office, &session, named).await?;
    if named.place.json {
        say(&json!({ "username": named.username, "require": spec.require, "totp": "enabled" }).to_string());
    } else {
        say(&format!("{} has to prove {} from now on", named.username, spec.require));
    }
    Ok(())
}

fn shown(login: &Administered<LoginSpec>) -> Value {
    let spec = login.spec.as_ref();
    json!({
        "username": login.key.id, "identity": spec.map(|spec| &spec.identity), "protocols": spec.map(|spec| &spec.protocols),
        "require": spec.map(|spec| &spec.require), "home": spec.map(|spec| &spec.home),
        "password": spec.is_some_and(|spec| spec.password_hash.is_some()), "keys": spec.map(|spec| spec.authorized_keys.len()),
        "allow_from": spec.map(|spec| &spec.allow_from), "managed_by": login.managed_by.as_str(),
    })
}

fn tell(place: &Place, login: &Administered<LoginSpec>, what: &str) {
    say(&if place.json { shown(login).to_string() } else { format!("{} {what}", login.key.id) });
}
