//! `causeway audit verify`: walks every hash chain of the ledger.

use std::path::Path;

use causeway_core::audit::{Verification, verify_chain};
use causeway_core::ports::Reach;

use super::say;
use crate::app;
use crate::config::{Secrets, load};
use crate::failure::{Failure, Outcome};

/// One line for each chain. Exit code 1 where one does not hold.
pub fn verify(path: &Path) -> Outcome {
    let (config, problems) = load(path, Secrets::Resolve);
    let Some(config) = config else { return Err(Failure::configuration(problems.render(false).trim_end())) };
    let broken = super::runtime()?.block_on(async {
        let ledger = app::open_existing_ledger(&config).await?;
        let chains = ledger.read(Reach::Gateway).await?.chains().await?;
        let mut broken = 0;
        for chain in chains {
            let found = verify_chain(&*ledger, &chain).await?;
            broken += usize::from(!found.valid);
            say(&line(&chain, &found));
        }
        ledger.close().await;
        Ok::<usize, Failure>(broken)
    })?;
    match broken {
        0 => Ok(()),
        1 => Err(Failure::new("a chain is broken")),
        _ => Err(Failure::new(format!("{broken} chains are broken"))),
    }
}

fn line(chain: &str, found: &Verification) -> String {
    let name = if chain.is_empty() { "(gateway)" } else { chain };
    let state = match (found.valid, found.broken_at) {
        (true, _) => "valid".to_owned(),
        (false, Some(at)) => format!("BROKEN at {at}"),
        (false, None) => "BROKEN: there are entries that the gateway did not make".to_owned(),
    };
    format!("{name}: {state}; {} entries, {} sealed, {} to {}", found.entries, found.sealed, found.first, found.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_found() {
        let found = Verification { entries: 5, sealed: 4, first: 1, last: 4, valid: true, broken_at: None };
        assert_eq!(line("acme", &found), "acme: valid; 5 entries, 4 sealed, 1 to 4");
        let found = Verification { valid: false, broken_at: Some(3), ..found };
        assert_eq!(line("", &found), "(gateway): BROKEN at 3; 5 entries, 4 sealed, 1 to 4");
    }
}
