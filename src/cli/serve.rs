//! `causeway serve`: the gateway.

use std::path::Path;

use causeway_core::audit::TRAIL;

use crate::app;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Failure, Outcome};
use crate::logging;
use crate::reload::{Source, read_to_serve};

/// Runs until it is told to stop.
pub fn run(path: &Path) -> Outcome {
    let (config, source) = load_to_serve(path)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    super::runtime()?.block_on(app::run(config, source, data_dir, |_| Ok(())))
}

/// What must be set, to `yes`, for a build without an audit trail to serve.
const WITHOUT_TRAIL: &str = "CAUSEWAY_BENCH_WITHOUT_TRAIL";

/// A build without an audit trail (the feature `bench-without-trail`) serves a benchmark alone.
fn require_trail() -> Outcome {
    if TRAIL {
        return Ok(());
    }
    let what =
        "this build keeps NO audit trail and sends NO events: it is for measuring what they cost, and for nothing else";
    if std::env::var(WITHOUT_TRAIL).is_ok_and(|value| value == "yes") {
        tracing::error!("{what}");
        return Ok(());
    }
    Err(Failure::new(format!("{what}; build it without the feature `bench-without-trail`")))
}

/// Reads a configuration; what is not built yet is an error here. Begins the log.
pub fn load_to_serve(path: &Path) -> Outcome<(Config, Source)> {
    let (config, problems, source) = read_to_serve(path)?;
    logging::begin(config.telemetry.log_format);
    require_trail()?;
    for line in problems.render(true).lines() {
        tracing::warn!("{line}");
    }
    Ok((config, source))
}
