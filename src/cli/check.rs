//! `causeway check`: what is wrong with a configuration file.

use std::path::Path;

use super::say;
use crate::config::report::Severity;
use crate::config::{Secrets, load};
use crate::failure::{Failure, Outcome};

/// Exit code 0 where `serve` would take the file but for what is not built yet; 2 where it would not.
pub fn run(path: &Path, no_secrets: bool) -> Outcome {
    let (config, problems) = load(path, if no_secrets { Secrets::Skip } else { Secrets::Resolve });
    let text = problems.render(false);
    if config.is_none() {
        let errors = problems.count(Severity::Error);
        return Err(Failure::configuration(format!("{text}{errors} error{} in {}", plural(errors), path.display())));
    }
    eprint!("{text}");
    let not_built = problems.count(Severity::NotBuilt);
    if not_built > 0 {
        say(&format!(
            "{} is right, but `serve` refuses it: {not_built} thing{} not built yet",
            path.display(),
            plural(not_built)
        ));
    } else {
        say(&format!("{} is right", path.display()));
    }
    Ok(())
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
