//! Logs, on standard error. `RUST_LOG` sets what is written; without it, `info` and above, of russh, which
//! tells of every new exchange of keys, warnings, of async-nats, whose connections are told of by the job that sends, warnings, and of
//! rustls, which warns of every client that names an address, errors.

use tracing_subscriber::EnvFilter;

use crate::config::telemetry::LogFormat;

const DEFAULT: &str = "info,russh=warn,async_nats=warn,rustls::msgs=error";

/// Begins to log. A second call changes nothing.
pub fn begin(format: LogFormat) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::builder().parse_lossy(asked.as_deref().unwrap_or(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Human => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "logging had begun already");
    }
}
