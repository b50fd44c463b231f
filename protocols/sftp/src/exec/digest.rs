//! The digests that checksum commands are asked for.

use sha2::digest::{Digest, DynDigest};

/// A digest.
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
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512, Self::Crc32];

    /// The name in commands.
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

    /// Begins a digest.
    pub(crate) fn begin(self) -> Running {
        Running(match self {
            Self::Md5 => State::Digest(Box::new(md5::Md5::new())),
            Self::Sha1 => State::Digest(Box::new(sha1::Sha1::new())),
            Self::Sha224 => State::Digest(Box::new(sha2::Sha224::new())),
            Self::Sha256 => State::Digest(Box::new(sha2::Sha256::new())),
            Self::Sha384 => State::Digest(Box::new(sha2::Sha384::new())),
            Self::Sha512 => State::Digest(Box::new(sha2::Sha512::new())),
            Self::Crc32 => State::Crc32(crc32fast::Hasher::new()),
        })
    }
}

enum State {
    Digest(Box<dyn DynDigest + Send>),
    Crc32(crc32fast::Hasher),
}

/// A digest under way.
pub(crate) struct Running(State);

impl Running {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Digest(digest) => digest.update(bytes),
            State::Crc32(crc) => crc.update(bytes),
        }
    }

    /// The digest in lower-case hex.
    pub(crate) fn finish(self) -> String {
        match self.0 {
            State::Digest(digest) => hex::encode(digest.finalize()),
            State::Crc32(crc) => format!("{:08x}", crc.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests of "abc" as the standards give them (RFC 1321, FIPS 180-4; the CRC is zlib's).
    #[test]
    fn known_answers() {
        for (algorithm, hash) in [
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Algorithm::Crc32, "352441c2"),
        ] {
            let mut running = algorithm.begin();
            running.update(b"a");
            running.update(b"bc");
            assert_eq!(running.finish(), hash, "{}", algorithm.name());
        }
        assert_eq!(Algorithm::Sha384.begin().finish().len(), 96);
        assert_eq!(Algorithm::Sha512.begin().finish().get(..16), Some("cf83e1357eefb8bd"));
    }
}
