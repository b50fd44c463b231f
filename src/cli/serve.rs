//! `causeway serve`: the gateway.

use std::path::Path;

use crate::app;
use crate::config::report::Severity;
use crate::config::{Config, Secrets, load};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Outcome};
use crate::logging;

/// Runs until it is told to stop.
pub fn run(path: &Path) -> Outcome {
    let config = load_to_serve(path)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    super::runtime()?.block_on(app::run(config, data_dir, |_| Ok(())))
}

/// Reads a configuration; what is not built yet is an error here. Begins the log.
pub fn load_to_serve(path: &Path) -> Outcome<Config> {
    let (config, problems) = load(path, Secrets::Resolve);
    let Some(config) = config.filter(|_| !problems.has(Severity::NotBuilt)) else {
        return Err(Failure::configuration(problems.render(true).trim_end()));
    };
    logging::begin(config.telemetry.log_format);
    for line in problems.render(true).lines() {
        tracing::warn!("{line}");
    }
    Ok(config)
}
