//! The command line.

mod administration;
mod audit;
mod check;
mod config;
mod hash;
pub mod quickstart;
mod serve;
mod totp;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::failure::Outcome;

/// A file gateway: SFTP and REST over one virtual filesystem, with audit and events.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(Configured),
    /// Say what is wrong with a configuration file, all of it in one go.
    Check {
        #[command(flatten)]
        configured: Configured,
        /// Do not look up `env:` and `file:` references.
        #[arg(long)]
        no_secrets: bool,
    },
    /// Make a data folder, certificates, keys and a demo login, and run the gateway on them.
    Quickstart(quickstart::Options),
    /// Print the Argon2id hash of a password, which is asked for or read from standard input.
    HashPassword,
    /// Print the SHA-256 of an API key, which is asked for or read from standard input.
    HashKey,
    /// Print a new secret for the time-based codes of a login, and the URI that apps read (mostly as a QR code).
    TotpSecret {
        /// The login that the app shows.
        #[arg(long, value_name = "NAME")]
        login: String,
    },
    /// API keys that are declared in the ledger, on the ledger itself: on SQLite while no gateway runs, on PostgreSQL at any time.
    Key {
        #[command(subcommand)]
        command: administration::key::KeyCommand,
    },
    /// Logins that are declared in the ledger, the same.
    User {
        #[command(subcommand)]
        command: administration::user::UserCommand,
    },
    /// The configuration file.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print what completes the commands in a shell.
    Completions {
        /// The shell.
        shell: config::Shell,
    },
    /// The audit trail.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Walk all chains and say whether an entry was changed, removed or inserted, and whether an end was cut off of which a signed
    /// head is known. Exit code 1: so it was.
    Verify(audit::Verify),
    /// Write a chain to standard output, whole, so that it can be verified elsewhere, or what is asked for of it. Exit code 1: not
    /// everything was there.
    Export(audit::Export),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct Configured {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what the command line says.
pub fn run(cli: Cli) -> Outcome {
    match cli.command {
        Command::Serve(Configured { config }) => serve::run(&config),
        Command::Check { configured: Configured { config }, no_secrets } => check::run(&config, no_secrets),
        Command::Quickstart(options) => quickstart::run(&options),
        Command::HashPassword => hash::password(),
        Command::HashKey => hash::key(),
        Command::TotpSecret { login } => totp::secret(&login),
        Command::Key { command } => administration::key::run(command),
        Command::User { command } => administration::user::run(command),
        Command::Config { command: ConfigCommand::Schema } => config::schema(),
        Command::Completions { shell } => {
            config::completions(shell);
            Ok(())
        }
        Command::Audit { command: AuditCommand::Verify(asked) } => audit::verify(&asked),
        Command::Audit { command: AuditCommand::Export(asked) } => audit::export(&asked),
    }
}

/// Prints a line on standard output; where nobody reads it any more, that is no error.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The runtime of everything that waits.
pub fn runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| crate::failure::Failure::step("the runtime cannot be started", e))
}
