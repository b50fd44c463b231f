//! Passwords and keys: Argon2id (RFC 9106) for passwords, which are weak and must be slow to guess; SHA-256 for API
//! keys, which are 256 random bits and need no more.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::QueueTime;
use super::argon::Arena;
use crate::error::{Error, ErrorKind, Result};

/// What every API key begins with, so that scanners for leaked secrets can know one.
pub const KEY_PREFIX: &str = "cwk_";

/// The most memory that one verification may take: 256 MiB, in KiB as Argon2 counts.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes over that memory.
const MAX_PASSES: u32 = 10;
/// The most lanes.
const MAX_LANES: u32 = 16;

/// Memory in KiB, passes and lanes of [`hash_password`]: OWASP's first recommendation for Argon2id.
const DEFAULT_COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Verifies passwords on a bounded pool, away from the tasks that move bytes. One verification takes its hash's memory
/// and some ten milliseconds of a core, so the bound is also what an attacker can make the gateway spend.
#[derive(Debug)]
pub struct PasswordVerifier {
    slots: Arc<Semaphore>,
    arena: Arc<Arena>,
    dummy: Mutex<Cost>,
}

impl PasswordVerifier {
    /// With this many verifications at once (at least one). An unknown login is verified at the cost of `sample`, a
    /// configured hash (see [`super::Directory::sample_hash`]); without one, or where it is one that [`check_phc`]
    /// refuses, at that of [`hash_password`].
    pub fn new(max_parallel: usize, sample: Option<&str>) -> Self {
        let slots = Arc::new(Semaphore::new(max_parallel.clamp(1, Semaphore::MAX_PERMITS)));
        let dummy = Cost::of_sample(sample);
        Self { slots, arena: Arc::new(Arena::keeping(dummy.memory_kib)), dummy: Mutex::new(dummy) }
    }

    /// From now on an unknown login is verified at the cost of this sample: other logins are known.
    pub fn take_sample(&self, sample: Option<&str>) {
        *self.dummy.lock().unwrap_or_else(PoisonError::into_inner) = Cost::of_sample(sample);
    }

    fn dummy(&self) -> Cost {
        *self.dummy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the password of the hash. Without a hash (an unknown login, or one that has no password) the
    /// same work is done on a dummy and the answer is no, so that neither answer nor time tells whether the login
    /// exists. A hash that [`check_phc`] refuses is treated as none.
    ///
    /// When the caller gives up waiting, a verification that has begun goes on in its slot: dropping connections does
    /// not buy an attacker more of them at once.
    pub async fn verify(&self, hash: Option<&SecretString>, password: &SecretString) -> bool {
        self.verify_while(hash, password, || true, &QueueTime::default()).await
    }

    /// The same; when a slot is free, `wanted` is asked whether the work is still to be done, and the answer is no
    /// where it is not: a flood of guesses that were let in together ends when the first of them have failed. `queue`
    /// measures how long a slot was waited for.
    pub async fn verify_while(
        &self,
        hash: Option<&SecretString>,
        password: &SecretString,
        wanted: impl Fn() -> bool,
        queue: &QueueTime,
    ) -> bool {
        let waiting = queue.wait();
        let Ok(slot) = self.slots.clone().acquire_owned().await else { return false };
        drop(waiting);
        if !wanted() {
            return false;
        }
        let (hash, password, dummy, arena) = (hash.cloned(), password.clone(), self.dummy(), self.arena.clone());
        let work = move || {
            let _slot = slot;
            match hash.as_ref().map(|phc| Bounded::parse(phc.expose_secret())) {
                Some(Ok(bounded)) => bounded.is_of(&password, &arena),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a configured password hash cannot be used");
                    dummy.burn(&password, &arena);
                    false
                }
                None => {
                    dummy.burn(&password, &arena);
                    false
                }
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(verified) => verified,
            Err(error) => {
                tracing::error!(%error, "a password verification ended early");
                false
            }
        }
    }
}

impl PasswordVerifier {
    /// [`hash_password`], on the same pool.
    pub async fn hash(&self, password: SecretString) -> Result<SecretString> {
        let slot = self.slots.clone().acquire_owned().await.map_err(Error::internal)?;
        let work = move || {
            let _slot = slot;
            hash_password(&password).map(SecretString::from)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

/// What one hash costs to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    output_len: usize,
}

impl Cost {
    fn of_sample(sample: Option<&str>) -> Self {
        sample.and_then(|phc| Bounded::parse(phc).ok()).map(|bounded| bounded.cost).unwrap_or_default()
    }
}

impl Default for Cost {
    fn default() -> Self {
        let (memory_kib, passes, lanes) = DEFAULT_COST;
        Self { memory_kib, passes, lanes, output_len: Params::DEFAULT_OUTPUT_LEN }
    }
}

impl Cost {
    /// Does the work of a verification and throws its result away. Nothing is compared, so nothing can match.
    fn burn(self, password: &SecretString, arena: &Arena) {
        const SALT: [u8; argon2::RECOMMENDED_SALT_LEN] = [0; argon2::RECOMMENDED_SALT_LEN];
        let mut output = vec![0; self.output_len];
        let burnt = Params::new(self.memory_kib, self.passes, self.lanes, Some(self.output_len))
            .and_then(|params| arena.hash(params, password.expose_secret().as_bytes(), &SALT, &mut output));
        std::hint::black_box(&output);
        if let Err(error) = burnt {
            // Unreachable while `Bounded::parse` checks what it takes; a login must not fail for it.
            tracing::error!(%error, "the dummy of an unknown login cannot be computed");
        }
    }
}

/// A password hash whose cost has been looked at.
struct Bounded {
    hash: PasswordHash,
    cost: Cost,
}

impl Bounded {
    /// Whether it is of this password. Outputs are compared in constant time.
    fn is_of(&self, password: &SecretString, arena: &Arena) -> bool {
        let (Some(salt), Some(expected), Ok(params)) = (&self.hash.salt, &self.hash.hash, Params::try_from(&self.hash))
        else {
            return false;
        };
        let mut output = vec![0; expected.len()];
        arena.hash(params, password.expose_secret().as_bytes(), salt, &mut output).is_ok()
            && bool::from(output.ct_eq(expected.as_bytes()))
    }

    fn parse(phc: &str) -> Result<Self> {
        let refuse = |why: &'static str| Error::new(ErrorKind::InvalidArgument, why);
        let hash = PasswordHash::new(phc).map_err(|_| {
            refuse("this is no password hash (PHC string `$argon2id$v=19$…`); make one with `causeway hash-password`")
        })?;
        if hash.algorithm.as_str() != Algorithm::Argon2id.as_str() {
            return Err(refuse("the password hash is not Argon2id; make one with `causeway hash-password`"));
        }
        if hash.version != Some(Version::V0x13.into()) {
            return Err(refuse(
                "the password hash is not of Argon2 version 19; make one with `causeway hash-password`",
            ));
        }
        let (Some(_), Some(output)) = (&hash.salt, &hash.hash) else {
            return Err(refuse("the password hash lacks its salt or its output; copy the whole string"));
        };
        let params = Params::try_from(&hash)
            .map_err(|_| refuse("the parameters of the password hash are not allowed (RFC 9106); make a new one"))?;
        let cost = Cost {
            memory_kib: params.m_cost(),
            passes: params.t_cost(),
            lanes: params.p_cost(),
            output_len: output.len(),
        };
        if cost.memory_kib > MAX_MEMORY_KIB || cost.passes > MAX_PASSES || cost.lanes > MAX_LANES {
            return Err(refuse(
                "the password hash costs more than is allowed (m=262144 KiB, t=10, p=16); make a cheaper one",
            ));
        }
        Ok(Self { hash, cost })
    }
}

/// Checks a configured password hash: a PHC string of Argon2id, version 19, with salt and output, that takes at most
/// 256 MiB of memory, 10 passes and 16 lanes. `InvalidArgument` says what is wrong, without the hash.
pub fn check_phc(phc: &str) -> Result<()> {
    Bounded::parse(phc).map(drop)
}

/// Memory in KiB, passes and lanes of a hash that [`check_phc`] takes.
pub(super) fn cost_of(phc: &str) -> Option<[u32; 3]> {
    Bounded::parse(phc).ok().map(|bounded| [bounded.cost.memory_kib, bounded.cost.passes, bounded.cost.lanes])
}

/// The Argon2id PHC string of a password, under a random salt, with m=19456, t=2, p=1. It takes some ten milliseconds:
/// call it where that may be.
pub fn hash_password(password: &SecretString) -> Result<String> {
    let (memory_kib, passes, lanes) = DEFAULT_COST;
    let params = Params::new(memory_kib, passes, lanes, None).map_err(Error::internal)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.expose_secret().as_bytes()).map_err(Error::internal)?;
    Ok(hash.to_string())
}

/// SHA-256 of a key, with its prefix: what the configuration keeps of it.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn phc(kind: &str, version: &str, parameters: &str) -> String {
        format!("${kind}${version}{parameters}$c2FsdHNhbHRzYWx0$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI")
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let verifier = PasswordVerifier::new(2, None);
        let hash = secret(&hash_password(&secret("correct horse")).unwrap());
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verifier.verify(Some(&hash), &secret("correct horse")).await);
        assert!(!verifier.verify(Some(&hash), &secret("correct horse ")).await);
        assert!(!verifier.verify(Some(&hash), &secret("")).await);
        assert!(!verifier.verify(None, &secret("correct horse")).await);
        let broken = secret("$argon2id$broken");
        assert!(!verifier.verify(Some(&broken), &secret("correct horse")).await);
        assert_ne!(hash_password(&secret("x")).unwrap(), hash_password(&secret("x")).unwrap(), "salted");
    }

    #[tokio::test]
    async fn a_hash_beyond_the_cap_is_never_computed() {
        let verifier = PasswordVerifier::new(1, None);
        let monstrous = secret(&phc("argon2id", "v=19$", "m=4194304,t=1000,p=1"));
        let begun = std::time::Instant::now();
        assert!(!verifier.verify(Some(&monstrous), &secret("x")).await);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn the_dummy_costs_what_the_sample_costs() {
        assert_eq!(PasswordVerifier::new(0, None).dummy(), Cost::default());
        let sample = phc("argon2id", "v=19$", "m=65536,t=3,p=4");
        let cost = PasswordVerifier::new(1, Some(&sample)).dummy();
        assert_eq!((cost.memory_kib, cost.passes, cost.lanes, cost.output_len), (65536, 3, 4, 32));
        let refused = phc("argon2id", "v=19$", "m=65536,t=300,p=4");
        let verifier = PasswordVerifier::new(1, Some(&refused));
        assert_eq!(verifier.dummy(), Cost::default());
        verifier.take_sample(Some(&sample));
        assert_eq!(verifier.dummy(), cost);
    }

    /// Times of single runs scatter on a busy machine; the fastest of several is stable enough to show that the two
    /// do the same work, rather than one of them none.
    #[tokio::test]
    async fn an_unknown_login_takes_as_long_as_a_wrong_password() {
        let verifier = PasswordVerifier::new(1, None);
        let hash = secret(&hash_password(&secret("right")).unwrap());
        let wrong = secret("wrong");
        let mut fastest = [std::time::Duration::MAX; 2];
        for _ in 0..8 {
            for (fastest, hash) in fastest.iter_mut().zip([Some(&hash), None]) {
                let begun = std::time::Instant::now();
                assert!(!verifier.verify(hash, &wrong).await);
                *fastest = begun.elapsed().min(*fastest);
            }
        }
        let [known, unknown] = fastest.map(|time| time.as_secs_f64());
        assert!((0.25..4.0).contains(&(known / unknown)), "{known} {unknown}");
    }

    #[tokio::test]
    async fn no_more_at_once_than_the_pool_has_slots() {
        let verifier = Arc::new(PasswordVerifier::new(1, None));
        let held = verifier.slots.clone().acquire_owned().await.unwrap();
        let queue = QueueTime::default();
        let waiting = tokio::spawn({
            let (verifier, queue) = (verifier.clone(), queue.clone());
            async move { verifier.verify_while(None, &secret("x"), || true, &queue).await }
        });
        let pause = std::time::Duration::from_millis(20);
        tokio::time::sleep(pause).await;
        assert!(!waiting.is_finished());
        drop(held);
        assert!(!waiting.await.unwrap());
        let waited = queue.so_far();
        assert!(waited >= pause / 2, "{waited:?}");
        // What the check itself takes is none of it, nor is what comes after it.
        tokio::time::sleep(pause).await;
        assert_eq!(queue.so_far(), waited);
    }

    #[test]
    fn only_bounded_argon2id_passes_the_check() {
        let check = |kind, version, parameters| check_phc(&phc(kind, version, parameters));
        assert!(check("argon2id", "v=19$", "m=19456,t=2,p=1").is_ok());
        assert!(check("argon2id", "v=19$", "m=262144,t=10,p=16").is_ok(), "the cap itself");
        for (kind, version, parameters) in [
            ("argon2i", "v=19$", "m=19456,t=2,p=1"),
            ("argon2d", "v=19$", "m=19456,t=2,p=1"),
            ("scrypt", "v=19$", "m=19456,t=2,p=1"),
            ("argon2id", "v=16$", "m=19456,t=2,p=1"),
            ("argon2id", "", "m=19456,t=2,p=1"),
            ("argon2id", "v=19$", "m=262145,t=2,p=1"),
            ("argon2id", "v=19$", "m=19456,t=11,p=1"),
            ("argon2id", "v=19$", "m=19456,t=2,p=17"),
            ("argon2id", "v=19$", "m=4,t=2,p=1"),
            ("argon2id", "v=19$", "m=x,t=2,p=1"),
        ] {
            let error = check(kind, version, parameters).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{kind} {version} {parameters}");
        }
        for text in [
            "",
            "plain",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0",
            "$2b$12$x",
        ] {
            let error = check_phc(text).unwrap_err();
            assert!(text.len() < 6 || !error.message().contains(text), "the message leaks the hash");
        }
    }

    #[test]
    fn keys_are_hashed_whole() {
        let hex = hex::encode(hash_key("abc"));
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
