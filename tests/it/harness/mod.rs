//! The daemon under test and the clients that talk to it.

pub mod browser;
pub mod codes;
pub mod collector;
pub mod door;
pub mod ftps;
pub mod gateway;
pub mod http;
pub mod inside;
pub mod minted;
#[cfg(feature = "nats")]
pub mod nats;
pub mod openssh;
pub mod pki;
pub mod plan;
pub mod provider;
pub mod proxy;
pub mod random;
pub mod rest;
pub mod sftp;
pub mod stream;
pub mod webhooks;

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use ftps::Ftps;
pub use gateway::Gateway;
pub use plan::{Ledger, Plan};
pub use random::Random;
pub use rest::Rest;
pub use sftp::{Sftp, Status};
pub use stream::Events;
pub use webhooks::{Receiver, Reply};

use sha2::{Digest, Sha256};

/// Lower-case hex SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A number from the environment, for tests whose length is chosen by who runs them.
pub fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Whether a missing tool or server is a failure (as in `./test`) instead of a skipped test.
pub fn everything_is_required() -> bool {
    std::env::var_os("CAUSEWAY_TEST_REQUIRE_ALL").is_some()
}

/// Says loudly that a test did not run; a failure where everything is required.
pub fn skip(why: &str) {
    assert!(!everything_is_required(), "{why}");
    say(&format!("SKIPPED: {why}"));
}

/// Says what was measured, past the capture of the test runner.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}

/// Whether a program can be found.
pub fn has_tool(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()));
    if !found {
        skip(&format!("`{name}` is not installed; ./test installs it"));
    }
    found
}

/// Where a client's script is.
pub fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A program of the Python environment that ./test makes.
pub fn beside_python(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("CAUSEWAY_TEST_PYTHON")
        .map(|python| Path::new(&python).with_file_name(name))
        .filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("`{name}` is not beside CAUSEWAY_TEST_PYTHON; ./test installs it"));
    }
    found
}

/// Asks again and again until there is an answer; fails after `limit`.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes one test for each ledger out of an `async fn name(ledger: Ledger)`.
macro_rules! on_both_ledgers {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod sqlite {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::Ledger::Sqlite).await;
            })*
        }
        mod postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::harness::plan::postgres_url().is_some() {
                    super::$name($crate::harness::Ledger::Postgres).await;
                }
            })*
        }
    };
}
pub(crate) use on_both_ledgers;
