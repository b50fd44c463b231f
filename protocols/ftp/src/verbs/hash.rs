//! HASH (draft-bryan-ftpext-hash): the digest of a whole file, for those who may read it. Its SHA-256 is
//! known; others are made by reading it.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::{Error, ErrorKind};

use super::xdigest::begin;
use crate::session::{Conversation, Turn, say};
use crate::transfer::digest::Algorithm;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Hash, Operation::Download, argument).await?;
    let (session, gateway) = (talk.session()?, talk.gateway());
    let target = Target::Path(path.clone());
    let entry = match gateway.stat(&session, &target).await {
        Ok(entry) => entry,
        Err(error) => {
            gateway.failed(&session, Operation::Download, &target, &error).await;
            return Err(error.into());
        }
    };
    let named = String::from_utf8_lossy(argument).into_owned();
    let algorithm = talk.parameters.algorithm;
    let none = if entry.folder {
        Some(Error::new(ErrorKind::IsFolder, "this is a folder; only files have digests"))
    } else if entry.partial {
        Some(Error::new(ErrorKind::Incomplete, "the upload of this file is not complete; it has no digest yet"))
    } else {
        None
    };
    if let Some(error) = none {
        gateway.failed(&session, Operation::Download, &target, &error).await;
        return Err(Reply::new(550, error.message().to_owned()));
    }
    let tell = move |size: u64, digest: &str| {
        let last = size.saturating_sub(1);
        Reply::new(213, format!("{} 0-{last} {digest} {named}", algorithm.name()))
    };
    begin(talk, &path, algorithm, 0, None, move |size, digest| tell(size, &digest)).await
}

/// OPTS HASH: tells the algorithm, or chooses it.
pub(super) fn options(talk: &mut Conversation, wanted: &str) -> Turn {
    if !wanted.is_empty() {
        let found = Algorithm::parse(wanted);
        talk.parameters.algorithm =
            found.ok_or_else(|| Reply::new(501, "this algorithm is not known here; FEAT lists them"))?;
    }
    say(200, talk.parameters.algorithm.name())
}
