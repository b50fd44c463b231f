//! `causeway config schema` and `causeway completions`: what editors and shells want to know.

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::{Shell as Known, generate};

use super::{Cli, say};
use crate::config::schema;
use crate::failure::{Failure, Outcome};

/// The shells that there are completions for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// Prints the JSON Schema of the configuration file.
pub fn schema() -> Outcome {
    let text = serde_json::to_string_pretty(&schema::document())
        .map_err(|error| Failure::step("the schema cannot be written", error))?;
    say(&text);
    Ok(())
}

/// Prints what completes the commands in this shell.
pub fn completions(shell: Shell) {
    let known = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let (mut command, mut script) = (Cli::command(), Vec::new());
    generate(known, &mut command, "causeway", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
}
