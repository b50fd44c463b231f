//! `check-file-handle` and `check-file-name` (draft-ietf-secsh-filexfer-extensions-00 section 3). SHA-256 of a whole
//! version comes from the ledger; other hashes read the content, one request of a session at a time, and stop when the
//! session ends. By name they keep no other request waiting, by handle those of that handle.

use causeway_core::{Error, ErrorKind, Result};

use super::super::Shared;
use super::read::MAX_READ;
use crate::checksum::{Algorithm, Checksums};
use crate::codec::{Hashing, Reply};
use crate::files::Content;
use crate::status::failure;

/// The smallest block (section 3.1).
const MIN_BLOCK: u32 = 256;
/// Bytes that are read and hashed at a time.
const PIECE: usize = 1024 * 1024;

/// What the reply may hold, in bytes.
pub(in crate::session) const fn cost(asked: &Hashing) -> usize {
    if asked.block == 0 { 128 } else { MAX_READ }
}

/// Hashes what was asked for.
pub(in crate::session) async fn check_file<S: Content>(source: &S, asked: &Hashing, shared: &Shared) -> Reply {
    match check(source, asked, shared).await {
        Ok((algorithm, hashes)) => Reply::Hashes { echo: asked.echo, algorithm: algorithm.name(), hashes },
        Err(error) => failure(&error),
    }
}

async fn check<S: Content>(source: &S, asked: &Hashing, shared: &Shared) -> Result<(Algorithm, Vec<u8>)> {
    let refuse = |sentence: &'static str| Error::new(ErrorKind::InvalidArgument, sentence);
    let algorithm = Algorithm::choose(&asked.algorithms).ok_or_else(|| {
        refuse("none of these algorithms is known here; ask for md5, sha1, sha224, sha256, sha384, sha512 or crc32")
    })?;
    if asked.block != 0 && asked.block < MIN_BLOCK {
        return Err(refuse("the blocks are smaller than 256 bytes; ask for larger ones, or for 0 to have one hash"));
    }
    let size = source.size().await;
    if asked.start > size {
        return Err(refuse("the file ends before the offset to start at; look at its size"));
    }
    let end = if asked.length == 0 { size } else { asked.start.saturating_add(asked.length).min(size) };
    let block = Some(u64::from(asked.block)).filter(|block| *block > 0);
    let count = block.map_or(1, |block| (end - asked.start).div_ceil(block));
    if count.saturating_mul(algorithm.len() as u64) > MAX_READ as u64 {
        return Err(refuse(
            "these are too many blocks for one reply; ask for larger blocks, or for a part of the file",
        ));
    }
    if algorithm == Algorithm::Sha256
        && asked.start == 0
        && end == size
        && count == 1
        && let Some(known) = source.sha256()
    {
        return Ok((algorithm, known.to_vec()));
    }
    let fault = |error: &dyn std::fmt::Display| Error::internal(format_args!("hashing: {error}"));
    let _turn = shared.hashing.acquire().await.map_err(|error| fault(&error))?;
    let mut sums = Checksums::new(algorithm, block);
    let mut at = asked.start;
    while at < end {
        if let Some(ended) = shared.ended() {
            return Err(ended);
        }
        let piece = source.read_at(at, usize::try_from(end - at).unwrap_or(PIECE).min(PIECE)).await?;
        if piece.is_empty() {
            return Err(Error::new(ErrorKind::Conflict, "the file was cut while it was hashed; try again"));
        }
        at += piece.len() as u64;
        sums = tokio::task::spawn_blocking(move || {
            sums.update(&piece);
            sums
        })
        .await
        .map_err(|error| fault(&error))?;
    }
    Ok((algorithm, sums.finish()))
}
