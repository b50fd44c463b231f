//! Digests of a file or of a part of it: HASH (draft-bryan-ftpext-hash) and XCRC, XMD5, XSHA1, XSHA256, XSHA512.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_core::transfer::Source;
use causeway_core::{Error, ErrorKind};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use tokio_util::sync::CancellationToken;

use crate::data::Broken;
use crate::data::outgoing::Parting;
use crate::wire::Reply;

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// The algorithms, by the names of IANA's registry of hash functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    /// All of them, the best first.
    pub(crate) const ALL: [Self; 5] = [Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Crc32];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }

    /// The one of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

enum Hasher {
    Crc32(crc32fast::Hasher),
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Crc32(hasher) => format!("{:08X}", hasher.finalize()),
            Self::Md5(hasher) => hex::encode(hasher.finalize()),
            Self::Sha1(hasher) => hex::encode(hasher.finalize()),
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        }
    }
}

/// What is to be digested.
pub(crate) struct Work {
    pub(crate) source: Source,
    pub(crate) algorithm: Algorithm,
    /// From this byte.
    pub(crate) from: u64,
    /// To before this one.
    pub(crate) to: u64,
    pub(crate) abort: CancellationToken,
    pub(crate) moved: Arc<AtomicU64>,
}

/// Reads and digests; `tell` makes the reply of it.
pub(crate) async fn digest(work: Work, tell: impl FnOnce(String) -> Reply) -> (Reply, Option<Parting>) {
    match read(&work).await {
        Ok(digest) => (tell(digest), None),
        Err(how) => (how.reply(), None),
    }
}

async fn read(work: &Work) -> Result<String, Broken> {
    let (mut hasher, mut offset) = (Hasher::new(work.algorithm), work.from);
    while offset < work.to {
        if work.abort.is_cancelled() {
            return Err(Broken::Aborted);
        }
        let want = usize::try_from(work.to - offset).unwrap_or(PIECE).min(PIECE);
        let piece = work.source.read_at(offset, want).await?;
        if piece.is_empty() {
            return Err(Broken::Failed(Error::new(
                ErrorKind::InvalidArgument,
                "the range is beyond the end of the file",
            )));
        }
        hasher.update(&piece);
        offset += piece.len() as u64;
        work.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        // Whoever else has work to do on this thread comes between two pieces.
        tokio::task::yield_now().await;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let expected = [
            (Algorithm::Crc32, "CBF43926"),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        for (algorithm, digest) in expected {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"1234");
            hasher.update(b"56789");
            assert_eq!(hasher.finish(), digest);
            assert_eq!(Algorithm::parse(&algorithm.name().to_lowercase()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("SHA-3"), None);
    }
}
