//! Which algorithms the front offers (RFC 4253 section 7.1), and which an operator may name.
//!
//! Three classes. **Offered** ones stand in the default lists: nothing that `ssh-audit` calls weak. **On request** are
//! those that are not broken but have something against them; they are offered where a list names them:
//! ECDH and ECDSA on the NIST curves, HMAC-SHA2 in encrypt-and-MAC mode, the 2,048-bit group 14, and groups that a client
//! negotiates. **Legacy** ones are broken or about to be: SHA-1 and CBC. They are there only with `legacy_algorithms`.
//!
//! So the default excludes, and these partners need a list: JSch before 0.2 and clients built on it, Java's old SSHD and
//! Bitvise before 7 (`kex` with `ecdh-sha2-nistp256`, `macs` with `hmac-sha2-256`), clients that pinned an ECDSA host key
//! (`host_key_algorithms`, or simply naming that key in `host_keys`), and what signs with SHA-1 alone, such as paramiko
//! before 2.9 with RSA keys, libssh2 before 1.11 and anything from before 2013 (`legacy_algorithms`). OpenSSH from 6.7,
//! WinSCP from 5.7, PuTTY from 0.65, paramiko from 2.2 and AsyncSSH need nothing.

use std::collections::BTreeSet;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{cipher, kex, mac};

/// One of the lists of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmList {
    /// Ciphers, in either direction.
    Ciphers,
    /// Message authentication codes; AES-GCM and ChaCha20-Poly1305 use none.
    Macs,
    /// Key exchanges.
    Kex,
    /// What the gateway signs with.
    HostKeys,
    /// What clients may sign with.
    PublicKeys,
}

/// Why an algorithm cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuchAlgorithm {
    /// Nobody knows it here.
    Unknown,
    /// It is there only with `legacy_algorithms`.
    Legacy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Offered,
    OnRequest,
    Legacy,
    /// Legacy, and not even appended by `legacy_algorithms`: it must be named, too.
    LegacyOnRequest,
}

use Class::{Legacy, LegacyOnRequest, Offered, OnRequest};

/// AES-GCM before ChaCha20, as it takes half the processor time where there are AES instructions.
const CIPHERS: &[(&str, Class)] = &[
    ("aes128-gcm@openssh.com", Offered),
    ("aes256-gcm@openssh.com", Offered),
    ("chacha20-poly1305@openssh.com", Offered),
    ("aes256-ctr", Offered),
    ("aes192-ctr", Offered),
    ("aes128-ctr", Offered),
    ("aes256-cbc", Legacy),
    ("aes192-cbc", Legacy),
    ("aes128-cbc", Legacy),
];

const MACS: &[(&str, Class)] = &[
    ("hmac-sha2-256-etm@openssh.com", Offered),
    ("hmac-sha2-512-etm@openssh.com", Offered),
    ("hmac-sha2-256", OnRequest),
    ("hmac-sha2-512", OnRequest),
    ("hmac-sha1-etm@openssh.com", Legacy),
    ("hmac-sha1", Legacy),
];

/// Post-quantum first. Group 1 has 1,024 bits (Logjam).
const EXCHANGES: &[(&str, Class)] = &[
    ("mlkem768x25519-sha256", Offered),
    ("curve25519-sha256", Offered),
    ("curve25519-sha256@libssh.org", Offered),
    ("diffie-hellman-group16-sha512", Offered),
    ("diffie-hellman-group18-sha512", Offered),
    ("ecdh-sha2-nistp256", OnRequest),
    ("ecdh-sha2-nistp384", OnRequest),
    ("ecdh-sha2-nistp521", OnRequest),
    ("diffie-hellman-group15-sha512", OnRequest),
    ("diffie-hellman-group17-sha512", OnRequest),
    ("diffie-hellman-group-exchange-sha256", OnRequest),
    ("diffie-hellman-group14-sha256", OnRequest),
    ("diffie-hellman-group14-sha1", Legacy),
    ("diffie-hellman-group-exchange-sha1", Legacy),
    ("diffie-hellman-group1-sha1", LegacyOnRequest),
];

const HOST_KEYS: &[(&str, Class)] = &[
    ("ssh-ed25519", Offered),
    ("rsa-sha2-512", Offered),
    ("rsa-sha2-256", Offered),
    ("ecdsa-sha2-nistp256", OnRequest),
    ("ecdsa-sha2-nistp384", OnRequest),
    ("ecdsa-sha2-nistp521", OnRequest),
    ("ssh-rsa", Legacy),
];

/// What clients sign with is not in the gateway's hand, and a curve of NIST is no weakness for a signature: all of it.
const PUBLIC_KEYS: &[(&str, Class)] = &[
    ("ssh-ed25519", Offered),
    ("sk-ssh-ed25519@openssh.com", Offered),
    ("ecdsa-sha2-nistp256", Offered),
    ("ecdsa-sha2-nistp384", Offered),
    ("ecdsa-sha2-nistp521", Offered),
    ("sk-ecdsa-sha2-nistp256@openssh.com", Offered),
    ("rsa-sha2-512", Offered),
    ("rsa-sha2-256", Offered),
    ("ssh-rsa", Legacy),
];

/// Not exchanges but what both sides can do (RFC 8308, and OpenSSH's strict key exchange against prefix truncation).
const EXTENSIONS: [kex::Name; 4] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

impl AlgorithmList {
    const fn known(self) -> &'static [(&'static str, Class)] {
        match self {
            Self::Ciphers => CIPHERS,
            Self::Macs => MACS,
            Self::Kex => EXCHANGES,
            Self::HostKeys => HOST_KEYS,
            Self::PublicKeys => PUBLIC_KEYS,
        }
    }

    fn of(self, wanted: impl Fn(Class) -> bool) -> impl Iterator<Item = &'static str> {
        self.known().iter().filter(move |(_, class)| wanted(*class)).map(|(name, _)| *name)
    }

    /// What may be named in this list; `legacy`: with `legacy_algorithms`.
    pub fn names(self, legacy: bool) -> Vec<&'static str> {
        self.of(|class| legacy || matches!(class, Offered | OnRequest)).collect()
    }

    /// What is offered where the list is not given.
    pub fn defaults(self) -> Vec<&'static str> {
        self.of(|class| class == Offered).collect()
    }

    /// The algorithm of this name.
    pub fn find(self, name: &str, legacy: bool) -> Result<&'static str, NoSuchAlgorithm> {
        let (known, class) = self.known().iter().find(|(known, _)| *known == name).ok_or(NoSuchAlgorithm::Unknown)?;
        if legacy || matches!(class, Offered | OnRequest) { Ok(known) } else { Err(NoSuchAlgorithm::Legacy) }
    }
}

/// The algorithms that are offered, each list most preferred first. Made of names that [`AlgorithmList::find`] knows;
/// others are not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// Ciphers.
    pub ciphers: Vec<&'static str>,
    /// Message authentication codes.
    pub macs: Vec<&'static str>,
    /// Key exchanges.
    pub kex: Vec<&'static str>,
    /// What the gateway signs with, as far as it has the keys.
    pub host_keys: Vec<&'static str>,
    /// What clients may sign with.
    pub public_keys: Vec<&'static str>,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self {
            ciphers: AlgorithmList::Ciphers.defaults(),
            macs: AlgorithmList::Macs.defaults(),
            kex: AlgorithmList::Kex.defaults(),
            host_keys: AlgorithmList::HostKeys.defaults(),
            public_keys: AlgorithmList::PublicKeys.defaults(),
        }
    }
}

impl Algorithms {
    /// Appends, for very old partners, what is not offered otherwise: after everything else, so that only a client that
    /// has nothing better gets it.
    #[must_use]
    pub fn with_legacy(mut self) -> Self {
        for (list, names) in self.lists_mut() {
            for name in list.of(|class| matches!(class, OnRequest | Legacy)) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        self
    }

    /// The broken ones among them, to be warned of.
    pub fn legacy(&self) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        for (list, names) in [
            (AlgorithmList::Ciphers, &self.ciphers),
            (AlgorithmList::Macs, &self.macs),
            (AlgorithmList::Kex, &self.kex),
            (AlgorithmList::HostKeys, &self.host_keys),
            (AlgorithmList::PublicKeys, &self.public_keys),
        ] {
            found
                .extend(list.of(|class| matches!(class, Legacy | LegacyOnRequest)).filter(|name| names.contains(name)));
        }
        found
    }

    fn lists_mut(&mut self) -> [(AlgorithmList, &mut Vec<&'static str>); 5] {
        [
            (AlgorithmList::Ciphers, &mut self.ciphers),
            (AlgorithmList::Macs, &mut self.macs),
            (AlgorithmList::Kex, &mut self.kex),
            (AlgorithmList::HostKeys, &mut self.host_keys),
            (AlgorithmList::PublicKeys, &mut self.public_keys),
        ]
    }

    /// russh's ciphers.
    pub(crate) fn cipher_names(&self) -> Vec<cipher::Name> {
        self.ciphers.iter().filter_map(|name| cipher::Name::try_from(*name).ok()).collect()
    }

    /// russh's codes.
    pub(crate) fn mac_names(&self) -> Vec<mac::Name> {
        self.macs.iter().filter_map(|name| mac::Name::try_from(*name).ok()).collect()
    }

    /// russh's exchanges, and the extensions.
    pub(crate) fn kex_names(&self) -> Vec<kex::Name> {
        let exchanges = self.kex.iter().filter_map(|name| kex::Name::try_from(*name).ok());
        exchanges.chain(EXTENSIONS).collect()
    }

    /// russh's one list for two things: what the gateway signs with, as far as it has the keys, and what it tells clients
    /// that they may sign with (`server-sig-algs`, RFC 8308 section 3.1).
    pub(crate) fn signatures(&self) -> Vec<Algorithm> {
        let mut names = self.host_keys.clone();
        names.extend(self.public_keys.iter().filter(|name| !self.host_keys.contains(name)));
        names.into_iter().filter_map(signature).collect()
    }

    /// Whether a host key of this kind may be shown.
    pub(crate) fn shows(&self, key: &Algorithm) -> bool {
        self.host_keys.iter().filter_map(|name| signature(name)).any(|allowed| match (&allowed, key) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (allowed, key) => allowed == key,
        })
    }

    /// Whether a client may sign with this.
    pub(crate) fn takes(&self, algorithm: &Algorithm) -> bool {
        self.public_keys.iter().filter_map(|name| signature(name)).any(|allowed| allowed == *algorithm)
    }
}

fn signature(name: &str) -> Option<Algorithm> {
    let ecdsa = |curve| Some(Algorithm::Ecdsa { curve });
    match name {
        "ssh-ed25519" => Some(Algorithm::Ed25519),
        "sk-ssh-ed25519@openssh.com" => Some(Algorithm::SkEd25519),
        "ecdsa-sha2-nistp256" => ecdsa(EcdsaCurve::NistP256),
        "ecdsa-sha2-nistp384" => ecdsa(EcdsaCurve::NistP384),
        "ecdsa-sha2-nistp521" => ecdsa(EcdsaCurve::NistP521),
        "sk-ecdsa-sha2-nistp256@openssh.com" => Some(Algorithm::SkEcdsaSha2NistP256),
        "rsa-sha2-512" => Some(Algorithm::Rsa { hash: Some(HashAlg::Sha512) }),
        "rsa-sha2-256" => Some(Algorithm::Rsa { hash: Some(HashAlg::Sha256) }),
        "ssh-rsa" => Some(Algorithm::Rsa { hash: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [AlgorithmList; 5] = [
        AlgorithmList::Ciphers,
        AlgorithmList::Macs,
        AlgorithmList::Kex,
        AlgorithmList::HostKeys,
        AlgorithmList::PublicKeys,
    ];

    #[test]
    fn russh_has_every_algorithm_under_its_name() {
        for (list, name) in LISTS.iter().flat_map(|list| list.names(true).into_iter().map(move |name| (*list, name))) {
            let known = match list {
                AlgorithmList::Ciphers => cipher::Name::try_from(name).is_ok(),
                AlgorithmList::Macs => mac::Name::try_from(name).is_ok(),
                AlgorithmList::Kex => kex::Name::try_from(name).is_ok(),
                AlgorithmList::HostKeys | AlgorithmList::PublicKeys => {
                    signature(name).is_some_and(|algorithm| algorithm.to_string() == name)
                }
            };
            assert!(known, "{list:?} {name}");
        }
    }

    #[test]
    fn nothing_broken_without_a_word_for_it() {
        let algorithms = Algorithms::default();
        assert_eq!(algorithms.legacy(), BTreeSet::new());
        assert_eq!(algorithms.kex.first(), Some(&"mlkem768x25519-sha256"));
        for list in LISTS {
            for name in list.names(false) {
                assert!(!name.contains("sha1") && !name.contains("cbc") && name != "ssh-rsa", "{name}");
                assert_eq!(list.find(name, false), Ok(name));
            }
        }
        assert_eq!(AlgorithmList::Ciphers.find("aes128-cbc", false), Err(NoSuchAlgorithm::Legacy));
        assert_eq!(AlgorithmList::Ciphers.find("aes128-cbc", true), Ok("aes128-cbc"));
        assert_eq!(AlgorithmList::Ciphers.find("none", true), Err(NoSuchAlgorithm::Unknown));
        assert_eq!(AlgorithmList::Kex.find("none", true), Err(NoSuchAlgorithm::Unknown));
    }

    #[test]
    fn legacy_comes_last_and_is_named() {
        let algorithms = Algorithms::default().with_legacy();
        let first = Algorithms::default();
        assert!(algorithms.kex.starts_with(&first.kex) && algorithms.ciphers.starts_with(&first.ciphers));
        let named = algorithms.legacy();
        for name in ["aes128-cbc", "hmac-sha1", "diffie-hellman-group14-sha1", "ssh-rsa"] {
            assert!(named.contains(name), "{name}");
        }
        assert!(!algorithms.kex.contains(&"diffie-hellman-group1-sha1"), "1,024 bits only where they are asked for");
        assert!(algorithms.takes(&Algorithm::Rsa { hash: None }) && !first.takes(&Algorithm::Rsa { hash: None }));
        assert!(!first.takes(&Algorithm::Dsa) && !algorithms.takes(&Algorithm::Dsa));
    }

    #[test]
    fn host_keys_are_shown_as_the_list_has_them() {
        let p256 = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        let mut algorithms = Algorithms::default();
        assert!(algorithms.shows(&Algorithm::Ed25519) && algorithms.shows(&Algorithm::Rsa { hash: None }));
        assert!(!algorithms.shows(&p256));
        algorithms.host_keys = vec!["ecdsa-sha2-nistp256"];
        assert!(algorithms.shows(&p256) && !algorithms.shows(&Algorithm::Rsa { hash: None }));
    }
}
