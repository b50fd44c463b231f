//! Checksums of content, over the whole or block by block. SHA-256 of a whole file is in the ledger; this is
//! for the rest.

use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// An algorithm, by the names of draft-ietf-secsh-filexfer-extensions-00 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Crc32,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 7] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512, Self::Crc32];

    /// The name on the wire, and in commands.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Crc32 => "crc32",
        }
    }

    /// Bytes of a hash.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
            Self::Crc32 => 4,
        }
    }

    /// The first of a list, with commas between, that is known here.
    pub(crate) fn choose(list: &[u8]) -> Option<Self> {
        list.split(|byte| *byte == b',')
            .find_map(|name| Self::ALL.into_iter().find(|known| known.name().as_bytes() == name.trim_ascii()))
    }

    fn begin(self) -> Hash {
        match self {
            Self::Md5 => Hash::Digest(Box::<Md5>::default()),
            Self::Sha1 => Hash::Digest(Box::<Sha1>::default()),
            Self::Sha224 => Hash::Digest(Box::<Sha224>::default()),
            Self::Sha256 => Hash::Digest(Box::<Sha256>::default()),
            Self::Sha384 => Hash::Digest(Box::<Sha384>::default()),
            Self::Sha512 => Hash::Digest(Box::<Sha512>::default()),
            Self::Crc32 => Hash::Crc32(crc32fast::Hasher::new()),
        }
    }
}

enum Hash {
    Digest(Box<dyn DynDigest + Send>),
    Crc32(crc32fast::Hasher),
}

impl Hash {
    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Digest(digest) => digest.update(data),
            Self::Crc32(crc) => crc.update(data),
        }
    }

    /// Hands back the hash, and begins anew.
    fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Digest(digest) => out.extend_from_slice(&digest.finalize_reset()),
            Self::Crc32(crc) => out.extend_from_slice(&std::mem::take(crc).finalize().to_be_bytes()),
        }
    }
}

/// Hashes of the blocks of a stream, one after the other.
pub(crate) struct Checksums {
    hash: Hash,
    /// Bytes of a block; none: all is one.
    block: Option<u64>,
    /// Bytes that the block at hand has.
    held: u64,
    out: Vec<u8>,
}

impl Checksums {
    /// Nothing hashed yet.
    pub(crate) fn new(algorithm: Algorithm, block: Option<u64>) -> Self {
        Self { hash: algorithm.begin(), block: block.filter(|block| *block > 0), held: 0, out: Vec::new() }
    }

    /// Adds the next bytes of the stream.
    pub(crate) fn update(&mut self, mut data: &[u8]) {
        let Some(block) = self.block else { return self.hash.update(data) };
        while !data.is_empty() {
            let room = usize::try_from(block - self.held).unwrap_or(usize::MAX).min(data.len());
            let (part, rest) = data.split_at(room);
            self.hash.update(part);
            self.held += room as u64;
            data = rest;
            if self.held == block {
                self.hash.finish(&mut self.out);
                self.held = 0;
            }
        }
    }

    /// All hashes, one after the other; a last block may be short.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.block.is_none() || self.held > 0 {
            self.hash.finish(&mut self.out);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answers_of_abc() {
        for (algorithm, expected) in [
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Algorithm::Crc32, "352441c2"),
        ] {
            let mut sums = Checksums::new(algorithm, None);
            sums.update(b"a");
            sums.update(b"bc");
            let sum = sums.finish();
            let digit = |at| u8::from_str_radix(&expected[at..at + 2], 16).unwrap();
            assert_eq!(sum, (0..expected.len()).step_by(2).map(digit).collect::<Vec<u8>>());
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(Checksums::new(algorithm, None).finish().len(), algorithm.len(), "{algorithm:?}");
        }
    }

    #[test]
    fn blocks_do_not_depend_on_the_pieces() {
        let data: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
        let mut whole = Checksums::new(Algorithm::Crc32, Some(256));
        whole.update(&data);
        let whole = whole.finish();
        let mut pieces = Checksums::new(Algorithm::Crc32, Some(256));
        data.chunks(7).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish(), whole);
        let apart: Vec<u8> = data.chunks(256).flat_map(|block| crc32fast::hash(block).to_be_bytes()).collect();
        assert_eq!(whole, apart);
        assert!(Checksums::new(Algorithm::Crc32, Some(256)).finish().is_empty());
    }

    #[test]
    fn the_first_known_name_is_taken() {
        assert_eq!(Algorithm::choose(b"blake3, sha1,md5"), Some(Algorithm::Sha1));
        assert_eq!(Algorithm::choose(b""), None);
        assert_eq!(Algorithm::choose(b"SHA256"), None);
    }
}
