//! `causeway audit`: verifies the hash chains of the ledger or of an export, without a gateway that runs; exports a chain.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use causeway_core::audit::{
    ExportReader, OUTCOMES, Trust, Verification, csv_header, csv_row, export_line, shown, verify_chain,
};
use causeway_core::events::{Operation, with_hidden_escaped};
use causeway_core::ports::Reach;
use causeway_core::records::{AuditFilter, Micros, since_epoch};
use causeway_core::{Protocol, VirtualPath};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::say;
use crate::app;
use crate::audit_heads::{kept, known, public_key};
use crate::config::{Config, Secrets, load};
use crate::failure::{Failure, Outcome};

/// Entries that are read at a time.
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
    /// Public keys that are believed, in base64, beside the gateway's own: one, or more in a row as in `audit_head_keys.pub`.
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
    /// The form: lines of JSON, which `audit verify --export` reads, a page as of `GET /audit`, or a table.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Only entries of this moment and later (RFC 3339). What is filtered is no whole chain, and cannot be verified as one.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Micros>,
    /// Only entries before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Micros>,
    /// Only entries of this identity.
    #[arg(long, value_name = "ID")]
    identity: Option<String>,
    /// Only entries of this login.
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// Only entries of this operation.
    #[arg(long, value_parser = PossibleValuesParser::new(Operation::ALL.map(Operation::as_str)))]
    operation: Option<String>,
    /// Only entries that ended so.
    #[arg(long, value_parser = PossibleValuesParser::new(OUTCOMES))]
    outcome: Option<String>,
    /// Only entries of this path of the tenant's tree, and below it.
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// Only entries of this protocol.
    #[arg(long, value_parser = PossibleValuesParser::new(Protocol::ALL.map(Protocol::as_str)))]
    protocol: Option<String>,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An entry a line.
    Ndjson,
    /// One page with all entries.
    Json,
    /// A table (RFC 4180).
    Csv,
}

fn configured(path: &Path) -> Outcome<Config> {
    let (config, problems) = load(path, Secrets::Resolve);
    config.ok_or_else(|| Failure::configuration(problems.render(false).trim_end()))
}

/// One line for each chain. Exit code 1 where one does not hold.
pub fn verify(asked: &Verify) -> Outcome {
    let config = asked.config.as_deref().map(configured).transpose()?;
    let mut trust = config.as_ref().map(known).transpose()?.unwrap_or_default();
    for text in asked.key.iter().flat_map(|keys| keys.split_whitespace()) {
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
    let lost = ledger.read(Reach::Gateway).await?.lost_guards().await?;
    if !lost.is_empty() {
        say(&format!("triggers that keep the trail append-only are not there: {}", lost.join(", ")));
    }
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
    let mut reader = ExportReader::new(trust);
    let read = if path == Path::new("-") {
        reader.read(std::io::stdin().lock())
    } else {
        reader.read(BufReader::new(File::open(path).map_err(failed)?))
    };
    read.map_err(|error| Failure::step(path.display(), error.message()))?;
    Ok(reader.finish())
}

/// Writes the sealed entries of a chain that are asked for to standard output, in their order. Exit code 1 where some of them are not
/// there any more.
pub fn export(asked: &Export) -> Outcome {
    let config = configured(&asked.config)?;
    let mut out = Writer { out: BufWriter::new(std::io::stdout()), format: asked.format, entries: 0 };
    super::runtime()?.block_on(async {
        let ledger = app::open_existing_ledger(&config).await?;
        let (mut filter, is_whole) = (asked.filter(), asked.is_whole());
        let mut missing = 0;
        out.begin()?;
        loop {
            let page = ledger.read(Reach::of(&asked.tenant)).await?.audit(&asked.tenant, &filter, PAGE).await?;
            // Behind the sealed ones are those that wait for their places: they are in the next export.
            let sealed: Vec<_> = page.iter().filter_map(|row| Some((row.seal.as_ref()?, &row.record))).collect();
            let is_full = sealed.len() == PAGE as usize;
            for (seal, record) in sealed {
                if let Some(last) = filter.after.filter(|_| is_whole) {
                    missing += seal.seq - last - 1;
                }
                filter.after = Some(seal.seq);
                out.entry(&shown(record, Some(seal)))?;
            }
            if !is_full {
                break;
            }
        }
        out.end()?;
        ledger.close().await;
        match missing {
            0 => Ok(()),
            missing => Err(Failure::new(format!(
                "{missing} entries are not there: they were removed meanwhile when their time was over, or by somebody (causeway audit verify)"
            ))),
        }
    })
}

impl Export {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            since: self.since,
            until: self.until,
            identity: self.identity.clone(),
            login: self.login.clone(),
            operation: self.operation.clone(),
            outcome: self.outcome.clone(),
            path: self.path.clone(),
            protocol: self.protocol.clone(),
            after: None,
        }
    }

    /// Whether all entries are asked for.
    const fn is_whole(&self) -> bool {
        self.since.is_none()
            && self.until.is_none()
            && self.identity.is_none()
            && self.login.is_none()
            && self.operation.is_none()
            && self.outcome.is_none()
            && self.path.is_none()
            && self.protocol.is_none()
    }
}

/// Writes entries in a form.
struct Writer<W> {
    out: W,
    format: Format,
    entries: u64,
}

impl<W: Write> Writer<W> {
    fn put(&mut self, text: &str) -> Outcome {
        self.out.write_all(text.as_bytes()).map_err(|e| Failure::step("standard output cannot be written", e))
    }

    fn begin(&mut self) -> Outcome {
        match self.format {
            Format::Json => self.put("{\"entries\":["),
            Format::Ndjson => Ok(()),
            Format::Csv => self.put(&csv_header()),
        }
    }

    fn entry(&mut self, entry: &Map<String, Value>) -> Outcome {
        let mut text = String::new();
        match self.format {
            Format::Csv => csv_row(&mut text, entry),
            Format::Ndjson => text = export_line(entry) + "\n",
            Format::Json => {
                text.push_str(if self.entries > 0 { ",\n" } else { "\n" });
                text.push_str(&export_line(entry));
            }
        }
        self.entries += 1;
        self.put(&text)
    }

    fn end(&mut self) -> Outcome {
        if self.format == Format::Json {
            self.put("\n],\"next_cursor\":null}\n")?;
        }
        self.out.flush().map_err(|e| Failure::step("standard output cannot be written", e))
    }
}

fn moment(text: &str) -> Result<Micros, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(since_epoch)
        .map_err(|_| "a time is written as RFC 3339 writes it, such as 2026-11-24T20:15:02Z".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    VirtualPath::parse(text).map(|path| path.to_string()).map_err(|error| error.message().to_owned())
}

fn line(chain: &str, found: &Verification) -> String {
    // An export may come from anybody.
    let name = if chain.is_empty() { "(gateway)".into() } else { with_hidden_escaped(chain) };
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
    use causeway_core::events::Facts;
    use causeway_core::records::Seal;

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
        assert!(line("a: valid\n\u{1b}[2J", &found).starts_with("a: valid\\u000a\\u001b[2J: BROKEN at 3"));
    }

    #[test]
    fn what_is_exported_is_verified_in_both_forms() {
        let mut previous = GENESIS;
        let mut entries = Vec::new();
        for seq in 1..=3 {
            let record = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::List).audit();
            previous = link(&previous, &record.body);
            let seal = Seal { chain: "acme".into(), seq, entry: record.id, hash: previous };
            entries.push(shown(&record, Some(&seal)));
        }
        let written = |format| {
            let mut writer = Writer { out: Vec::new(), format, entries: 0 };
            writer.begin().unwrap();
            for entry in &entries {
                writer.entry(entry).unwrap();
            }
            writer.end().unwrap();
            String::from_utf8(writer.out).unwrap()
        };
        let found = |text: &str| {
            let mut reader = ExportReader::new(Trust::default());
            reader.read(text.as_bytes()).map(|()| reader.finish()[0].1.clone())
        };
        for format in [Format::Ndjson, Format::Json] {
            let text = written(format);
            let whole = found(&text).unwrap();
            assert_eq!((whole.valid, whole.sealed), (true, 3), "{text}");
            assert_eq!(found(&text.replace("\"list\"", "\"admin\"")).unwrap().broken_at, Some(1));
        }
        assert_eq!(written(Format::Ndjson).lines().count(), 3);
        assert_eq!(written(Format::Csv).split("\r\n").count(), 5);
        let page: Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!((page["entries"].as_array().unwrap().len(), &page["next_cursor"]), (3, &Value::Null));
        assert!(found("x").unwrap_err().message().contains("line 1"));
    }

    #[test]
    fn an_export_of_everything_is_known_as_one() {
        use clap::Parser as _;

        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            export: Export,
        }
        let parsed = |words: &[&str]| Line::try_parse_from(["x", "--config", "c.toml"].iter().chain(words));
        assert!(parsed(&["--tenant", "acme", "--format", "csv"]).unwrap().export.is_whole());
        for narrowed in [
            ["--since", "2026-11-24T20:15:02Z"],
            ["--until", "2026-11-24T20:15:02+01:00"],
            ["--identity", "a"],
            ["--login", "b"],
            ["--operation", "upload"],
            ["--outcome", "denied"],
            ["--path", "in/x"],
            ["--protocol", "sftp"],
        ] {
            assert!(!parsed(&narrowed).unwrap().export.is_whole(), "{narrowed:?}");
        }
        let filter = parsed(&["--path", "in/x", "--since", "1970-01-01T00:00:01Z"]).unwrap().export.filter();
        assert_eq!((filter.path.as_deref(), filter.since), (Some("/in/x"), Some(1_000_000)));
        for wrong in [["--since", "yesterday"], ["--operation", "put"], ["--path", "/../x"], ["--format", "xml"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
