//! `causeway key create | list | rotate | revoke`.

use std::path::PathBuf;
use std::time::Duration;

use causeway_core::admin::{KeyRotation, NewApiKey, ShownApiKey};
use causeway_core::identity::texts;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Office, table, wrong};
use crate::cli::{runtime, say};
use crate::config::value;
use crate::failure::Outcome;

/// What every one of these commands takes.
#[derive(Debug, Args)]
pub struct Place {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The tenant; it may be left out where there is only one, or where a key is named.
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What is to be done with API keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it: it is not shown again.
    Create {
        #[command(flatten)]
        place: Place,
        /// The identity that it acts as.
        #[arg(long, value_name = "ID")]
        identity: String,
        /// Its id (a-z, 0-9, hyphens), which is unique over the gateway; default: a new one.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// What people call it.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Narrows the identity's scopes; may stand several times. Default: all of them.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// From then on it is refused: an RFC 3339 time.
        #[arg(long, value_name = "TIME", value_parser = value::moment)]
        expires: Option<OffsetDateTime>,
        /// A network that it may come from; may stand several times. Default: from everywhere.
        #[arg(long = "allow-from", value_name = "NETWORK")]
        allow_from: Vec<String>,
    },
    /// List the keys of a tenant. No key itself is kept anywhere.
    List(Place),
    /// Make another key in the place of one, and print it; the old one goes on for a while.
    Rotate {
        #[command(flatten)]
        place: Place,
        /// The key's id.
        id: String,
        /// How long the old one goes on ("1h", "7d", "0s"); default: a day.
        #[arg(long, value_name = "TIME", value_parser = texts::duration_or_zero)]
        grace: Option<Duration>,
    },
    /// End a key.
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The key's id.
        id: String,
    },
}

/// Does it.
pub fn run(command: KeyCommand) -> Outcome {
    runtime()?.block_on(async {
        match command {
            KeyCommand::Create { place, identity, id, name, scopes, expires, allow_from } => {
                let office = Office::open(&place.config).await?;
                let new = NewApiKey { id, name, identity, scopes, expires, allow_from, ..NewApiKey::default() };
                let done = create(&office, &place, new).await;
                office.close(done).await
            }
            KeyCommand::List(place) => {
                let office = Office::open(&place.config).await?;
                let done = list(&office, &place).await;
                office.close(done).await
            }
            KeyCommand::Rotate { place, id, grace } => {
                let office = Office::open(&place.config).await?;
                let done = rotate(&office, &place, &id, grace).await;
                office.close(done).await
            }
            KeyCommand::Revoke { place, id } => {
                let office = Office::open(&place.config).await?;
                let done = revoke(&office, &place, &id).await;
                office.close(done).await
            }
        }
    })
}

async fn create(office: &Office, place: &Place, new: NewApiKey) -> Outcome {
    let session = office.session(place.tenant.as_deref())?;
    let (made, key) = office.gateway.make_api_key(&session, None, new).await.map_err(wrong)?;
    tell_key(place, &made, &key);
    Ok(())
}

async fn rotate(office: &Office, place: &Place, id: &str, grace: Option<Duration>) -> Outcome {
    let session = office.session_for_key(place, id)?;
    let rotation = KeyRotation { grace, ..KeyRotation::default() };
    let (made, key) = office.gateway.rotate_api_key(&session, None, id, rotation, None).await.map_err(wrong)?;
    tell_key(place, &made, &key);
    Ok(())
}

async fn revoke(office: &Office, place: &Place, id: &str) -> Outcome {
    let session = office.session_for_key(place, id)?;
    office.gateway.revoke_api_key(&session, None, id, None).await.map_err(wrong)?;
    say(&if place.json { json!({ "id": id, "revoked": true }).to_string() } else { format!("{id} is revoked") });
    Ok(())
}

async fn list(office: &Office, place: &Place) -> Outcome {
    let session = office.session(place.tenant.as_deref())?;
    let keys = office.gateway.api_keys(&session, None).await?;
    if place.json {
        let keys: Vec<Value> = keys.iter().map(shown).collect();
        say(&json!({ "api_keys": keys }).to_string());
        return Ok(());
    }
    let head = ["ID", "PREFIX", "IDENTITY", "STATE", "ENDS", "LAST USED", "MANAGED BY"].map(str::to_owned);
    let rows = keys.iter().map(|key| {
        [
            key.id.clone(),
            key.prefix.clone().unwrap_or_else(|| "-".to_owned()),
            key.identity.clone(),
            key.state.as_str().to_owned(),
            moment(key.ends_at).unwrap_or_else(|| "-".to_owned()),
            moment(key.last_used_at).unwrap_or_else(|| "never".to_owned()),
            key.managed_by.as_str().to_owned(),
        ]
    });
    table(std::iter::once(head).chain(rows).collect());
    Ok(())
}

fn moment(at: Option<OffsetDateTime>) -> Option<String> {
    at.and_then(|at| at.to_offset(time::UtcOffset::UTC).truncate_to_second().format(&Rfc3339).ok())
}

fn shown(key: &ShownApiKey) -> Value {
    json!({
        "id": &*key.id, "name": key.name, "prefix": key.prefix, "identity": &*key.identity,
        "scopes": key.scopes.words().map(causeway_core::identity::Scope::as_str).collect::<Vec<_>>(),
        "created_at": moment(key.created_at), "expires_at": moment(key.expires_at), "ends_at": moment(key.ends_at),
        "last_used_at": moment(key.last_used_at), "allow_from": key.allow_from.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "managed_by": key.managed_by.as_str(), "state": key.state.as_str(),
    })
}

/// A new key: the one moment at which it is seen.
fn tell_key(place: &Place, made: &ShownApiKey, key: &SecretString) {
    let mut said = shown(made);
    if place.json {
        if let Some(members) = said.as_object_mut() {
            members.insert("key".to_owned(), key.expose_secret().into());
        }
        say(&said.to_string());
        return;
    }
    // The key alone on its line, so that it can be taken from there.
    eprintln!("{} of {}: keep the key now, it is not shown again", made.id, made.identity);
    if let (Some(prefix), Some(until)) = (&made.previous_prefix, moment(made.previous_ends_at)) {
        eprintln!("the old one ({prefix}…) goes on until {until}");
    }
    say(key.expose_secret());
}
