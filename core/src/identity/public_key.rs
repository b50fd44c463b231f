//! SSH public keys as blobs (RFC 4253 section 6.6), and which of them are accepted.

use std::fmt;

/// The algorithms whose keys may log in, by the name that their blobs begin with. `ssh-rsa` names the key here, not the
/// signature, which must be of SHA-2 (RFC 8332).
const ALGORITHMS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    RSA,
];
const RSA: &str = "ssh-rsa";
/// How the names of keys in hardware begin.
const HARDWARE: &str = "sk-";
/// Shorter moduli can be factored; longer ones cost a guesser nothing and us much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=16_384;

/// An OpenSSH public key: the algorithm's name and the key blob of RFC 4253 section 6.6.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    /// The blob, which begins with the algorithm's name.
    pub blob: Vec<u8>,
}

impl PublicKey {
    /// Reads a line of a `.pub` file: `algorithm base64 comment`. Options before the algorithm are refused. None where the line is no key.
    pub fn from_line(line: &str) -> Option<Self> {
        use base64::Engine as _;
        let mut words = line.split_ascii_whitespace();
        let algorithm = words.next()?;
        let blob = base64::engine::general_purpose::STANDARD.decode(words.next()?).ok()?;
        let key = Self { blob };
        (key.algorithm()? == algorithm).then_some(key)
    }

    /// The algorithm's name, as the blob has it.
    pub fn algorithm(&self) -> Option<&str> {
        let (name, _) = text(&self.blob)?;
        std::str::from_utf8(name).ok()
    }

    /// Whether it is kept in hardware, whose signatures tell of a touch (OpenSSH's PROTOCOL.u2f).
    pub fn is_in_hardware(&self) -> bool {
        self.algorithm().is_some_and(|name| name.starts_with(HARDWARE))
    }

    /// Whether a key of this kind and length may log in or certify: Ed25519, ECDSA, both of them in hardware (`sk-`), and
    /// RSA from 2048 bits.
    pub fn is_accepted(&self) -> bool {
        let known = self.algorithm().is_some_and(|name| ALGORITHMS.contains(&name));
        known && self.rsa_bits().is_none_or(|bits| RSA_BITS.contains(&bits)) && self.is_whole()
    }

    /// The length of an RSA modulus; 0 where the blob is broken, none where the key is another.
    pub fn rsa_bits(&self) -> Option<usize> {
        if self.algorithm()? != RSA {
            return None;
        }
        let modulus = || {
            let (_, rest) = text(&self.blob)?;
            let (_exponent, rest) = text(rest)?;
            text(rest).map(|(modulus, _)| modulus)
        };
        let modulus = modulus().unwrap_or_default();
        let skipped = modulus.iter().take_while(|byte| **byte == 0).count();
        let first = modulus.get(skipped).map_or(0, |byte| byte.leading_zeros() as usize);
        Some(((modulus.len() - skipped) * 8).saturating_sub(first))
    }

    /// Whether the blob is a sequence of strings, with nothing behind them.
    fn is_whole(&self) -> bool {
        let mut rest = self.blob.as_slice();
        while !rest.is_empty() {
            match text(rest) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        true
    }
}

/// A `string` of RFC 4251 section 5 and what is behind it.
fn text(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bytes)", self.blob.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn blob(parts: &[&[u8]]) -> PublicKey {
        let mut blob = Vec::new();
        for part in parts {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        PublicKey { blob }
    }

    /// An RSA key whose modulus has this many bits.
    fn rsa(bits: usize) -> PublicKey {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        let top = (bits - 1) % 8;
        *modulus.first_mut().unwrap() = 1 << top;
        if top == 7 {
            modulus.insert(0, 0);
        }
        blob(&[b"ssh-rsa", &[1, 0, 1], &modulus])
    }

    #[test]
    fn kinds_and_lengths() {
        for name in &ALGORITHMS[..6] {
            let key = blob(&[name.as_bytes(), &[1; 32]]);
            assert!(key.is_accepted(), "{name}");
            assert_eq!(key.is_in_hardware(), name.contains("openssh.com"), "{name}");
        }
        for name in ["ssh-dss", "ssh-ed448", "", "ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256"] {
            assert!(!blob(&[name.as_bytes(), &[1; 32]]).is_accepted(), "{name}");
        }
        for (bits, good) in
            [(1024, false), (2040, false), (2047, false), (2048, true), (3072, true), (16_384, true), (16_385, false)]
        {
            assert_eq!(rsa(bits).rsa_bits(), Some(bits));
            assert_eq!(rsa(bits).is_accepted(), good, "{bits}");
        }
        assert!(!blob(&[b"ssh-rsa"]).is_accepted() && !blob(&[b"ssh-rsa", &[1, 0, 1]]).is_accepted());
        let mut more = blob(&[b"ssh-ed25519", &[1; 32]]);
        more.blob.push(0);
        assert!(!more.is_accepted(), "something is behind it");
        assert!(!PublicKey { blob: vec![0, 0, 0, 200, 1] }.is_accepted() && !PublicKey { blob: vec![] }.is_accepted());
    }
}
