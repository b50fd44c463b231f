//! `causeway serve`: the gateway.

use std::path::Path;

use crate::app;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Outcome;
use crate::logging;
use crate::reload::{Source, read_to_serve};

/// Runs until it is told to stop.
pub fn run(path: &Path) -> Outcome {
    let (config, source) = load_to_serve(path)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    super::runtime()?.block_on(app::run(config, source, data_dir, |_| Ok(())))
}

/// Reads a configuration; what is not built yet is an error here. Begins the log.
pub fn load_to_serve(path: &Path) -> Outcome<(Config, Source)> {
    let (config, problems, source) = read_to_serve(path)?;
    logging::begin(config.telemetry.log_format);
    for line in problems.render(true).lines() {
        tracing::warn!("{line}");
    }
    Ok((config, source))
}
