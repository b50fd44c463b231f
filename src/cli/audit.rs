//! `causeway audit`: verifies the hash chains of the ledger or of an export, without a gateway that runs; exports a chain.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use causeway_core::audit::{ExportReader, Trust, Verification, export_line, verify_chain};
use causeway_core::ports::Reach;
use causeway_core::records::{AuditRecord, Seal};
use clap::Args;
use serde_json::{Map, Value};

use super::say;
use crate::app;
use crate::audit_heads::{kept, known, public_key};
use crate::config::{Config, Secrets, load};
use crate::failure::{Failure, Outcome};

/// Seals that are read at a time.
const PAGE: u32 = 1000;

/// What is verified, and by what.
#[derive(Debug, Args)]
pub struct Verify {
    /// The configuration file: its ledger, keys and file of heads.
    #[arg(long, value_name = "FILE", required_unless_present = "export")]
    config: Option<PathBuf>,
    /// Verify an export (lines of JSON, as `causeway audit export` and `GET /audit` give them) instead of the ledger; `-`: standard input.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Signed heads that were kept elsewhere, beside those of the gateway's own file.
    #[arg(long, value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// A public key that is believed, in base64, beside the gateway's own.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
}

/// What is exported.
#[derive(Debug, Args)]
pub struct Export {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The tenant whose chain it is; by default the gateway's own.
    #[arg(long, value_name = "TENANT", default_value = "")]
    tenant: String,
}

fn configured(path: &Path) -> Outcome<Config> {
    let (config, problems) = load(path, Secrets::Resolve);
    config.ok_or_else(|| Failure::configuration(problems.render(false).trim_end()))
}

/// One line for each chain. Exit code 1 where one does not hold.
pub fn verify(asked: &Verify) -> Outcome {
    let config = asked.config.as_deref().map(configured).transpose()?;
    let mut trust = config.as_ref().map(known).transpose()?.unwrap_or_default();
    for text in &asked.key {
        let wrong = || Failure::configuration(format!("--key: `{text}` is no public key; 32 bytes in base64 are one"));
        trust.keys.push(public_key(text).ok_or_else(wrong)?);
    }
    for path in &asked.heads {
        if !path.exists() {
            return Err(Failure::configuration(format!("--heads: there is no file {}", path.display())));
        }
        trust.kept.extend(kept(path)?);
    }
    let found = match (&asked.export, &config) {
        (Some(path), _) => of_export(path, trust)?,
        (None, Some(config)) => super::runtime()?.block_on(of_ledger(config, &trust))?,
        (None, None) => return Err(Failure::configuration("name a configuration or an export")),
    };
    if found.is_empty() && asked.export.is_some() {
        return Err(Failure::new("there is no entry in the export"));
    }
    for (chain, found) in &found {
        say(&line(chain, found));
    }
    match found.iter().filter(|(_, found)| !found.valid).count() {
        0 => Ok(()),
        1 => Err(Failure::new("a chain is broken")),
        broken => Err(Failure::new(format!("{broken} chains are broken"))),
    }
}

async fn of_ledger(config: &Config, trust: &Trust) -> Outcome<Vec<(String, Verification)>> {
    let ledger = app::open_existing_ledger(config).await?;
    // One that was removed whole is known by its heads alone.
    let mut chains: BTreeSet<String> = trust.kept.iter().map(|head| head.chain.clone()).collect();
    chains.extend(ledger.read(Reach::Gateway).await?.chains().await?);
    let mut all = Vec::new();
    for chain in chains {
        let found = verify_chain(&*ledger, &chain, trust).await?;
        all.push((chain, found));
    }
    ledger.close().await;
    Ok(all)
}

fn of_export(path: &Path, trust: Trust) -> Outcome<Vec<(String, Verification)>> {
    let failed = |e: std::io::Error| Failure::step(format_args!("{} cannot be read", path.display()), e);
    let lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    read_export(lines, trust).map_err(|failure| Failure::step(path.display(), failure.message))
}

fn read_export(lines: impl BufRead, trust: Trust) -> Outcome<Vec<(String, Verification)>> {
    let mut reader = ExportReader::new(trust);
    for (line, number) in lines.lines().zip(1_u64..) {
        let in_line = |why: &str| Failure::new(format!("line {number}: {why}"));
        let line = line.map_err(|e| in_line(&e.to_string()))?;
        // A page of `GET /audit` as JSON is one line, too.
        let page = serde_json::from_str::<Map<String, Value>>(&line).ok().filter(|page| !page.contains_key("id"));
        match page.and_then(|mut page| page.remove("entries")) {
            Some(Value::Array(entries)) => {
                for entry in entries {
                    let Value::Object(entry) = entry else { return Err(in_line("this is no page of entries")) };
                    reader.entry(entry).map_err(|e| in_line(e.message()))?;
                }
            }
            _ => reader.line(&line).map_err(|e| in_line(e.message()))?,
        }
    }
    Ok(reader.finish())
}

/// Writes the sealed entries of a chain to standard output, in their order, as lines of JSON.
pub fn export(asked: &Export) -> Outcome {
    let config = configured(&asked.config)?;
    super::runtime()?.block_on(async {
        let ledger = app::open_existing_ledger(&config).await?;
        let mut last = 0;
        loop {
            let page = ledger.read(Reach::of(&asked.tenant)).await?.seals(&asked.tenant, last, PAGE).await?;
            let mut out = std::io::stdout().lock();
            for (seal, record) in &page {
                last = seal.seq;
                let Some(record) = record else {
                    tracing::warn!(seq = seal.seq, "the entry is not there; it is left out");
                    continue;
                };
                let written = writeln!(out, "{}", exported(seal, record)?);
                written.map_err(|e| Failure::step("standard output cannot be written", e))?;
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        ledger.close().await;
        Ok(())
    })
}

/// An entry as `GET /audit` shows it: its fields, its place and its hash.
fn exported(seal: &Seal, record: &AuditRecord) -> Outcome<String> {
    let mut entry: Map<String, Value> = serde_json::from_slice(&record.body)
        .map_err(|e| Failure::step(format_args!("the entry at {} is no JSON", seal.seq), e))?;
    entry.insert("seq".to_owned(), seal.seq.into());
    entry.insert("entry_hash".to_owned(), hex::encode(seal.hash).into());
    Ok(export_line(&entry))
}

fn line(chain: &str, found: &Verification) -> String {
    let name = if chain.is_empty() { "(gateway)" } else { chain };
    let state = match (found.broken_at, found.breach) {
        (None, _) => "valid".to_owned(),
        (Some(at), None) => format!("BROKEN at {at}"),
        (Some(at), Some(breach)) => format!("BROKEN at {at} ({})", breach.as_str()),
    };
    let signed = if found.signed > 0 { format!(", signed to {}", found.signed) } else { String::new() };
    let unknown = match found.unknown_heads {
        0 => String::new(),
        heads => format!(", {heads} heads by unknown keys"),
    };
    format!(
        "{name}: {state}; {} entries, {} sealed, {} to {}{signed}{unknown}",
        found.entries, found.sealed, found.first, found.last
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::audit::{Breach, GENESIS, link};
    use causeway_core::events::{Facts, Operation};

    #[test]
    fn a_line_says_what_was_found() {
        let found = Verification { entries: 5, sealed: 4, first: 1, last: 4, valid: true, ..Verification::default() };
        assert_eq!(line("acme", &found), "acme: valid; 5 entries, 4 sealed, 1 to 4");
        let signed = Verification { signed: 3, unknown_heads: 2, ..found.clone() };
        assert_eq!(
            line("acme", &signed),
            "acme: valid; 5 entries, 4 sealed, 1 to 4, signed to 3, 2 heads by unknown keys"
        );
        let found = Verification { valid: false, broken_at: Some(3), breach: Some(Breach::Changed), ..found };
        assert_eq!(line("", &found), "(gateway): BROKEN at 3 (changed); 5 entries, 4 sealed, 1 to 4");
    }

    #[test]
    fn what_is_exported_is_verified_line_by_line_and_in_pages() {
        let mut previous = GENESIS;
        let mut lines = Vec::new();
        for seq in 1..=3 {
            let record = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::List).audit();
            previous = link(&previous, &record.body);
            let seal = Seal { chain: "acme".into(), seq, entry: record.id, hash: previous };
            lines.push(exported(&seal, &record).unwrap());
        }
        let found = |text: String| read_export(text.as_bytes(), Trust::default()).map(|all| all[0].1.clone());
        let whole = found(lines.join("\n")).unwrap();
        assert_eq!((whole.valid, whole.sealed), (true, 3));
        let pages = format!(
            "{{\"entries\":[{},{}],\"next_cursor\":\"x\"}}\n{{\"entries\":[{}]}}",
            lines[0], lines[1], lines[2]
        );
        assert_eq!(found(pages).unwrap(), whole);
        assert_eq!(found(lines.join("\n").replace("\"list\"", "\"admin\"")).unwrap().broken_at, Some(1));
        assert!(found("x".to_owned()).unwrap_err().message.starts_with("line 1"));
    }
}
