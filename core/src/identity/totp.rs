//! Time-based codes (RFC 6238 with the defaults of every app: SHA-1, six digits, thirty seconds) as a second step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use totp_rs::{Builder, Secret, Totp};

use super::ThrottleLimits;
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a new secret: what RFC 4226 section 4 recommends.
const SECRET_BYTES: usize = 20;

fn generator(secret: &SecretString) -> Result<Totp> {
    let refuse = |why: &'static str| Error::new(ErrorKind::InvalidArgument, why);
    // As apps show it: in groups, in any case, with or without padding.
    let mut text: String = secret.expose_secret().chars().filter(|c| !matches!(c, ' ' | '-' | '=')).collect();
    text.make_ascii_uppercase();
    let text = SecretString::from(text);
    let secret = Secret::try_from_base32(text.expose_secret())
        .map_err(|_| refuse("is no secret in base32 (A to Z, 2 to 7); make one with `causeway totp-secret`"))?;
    // Fails for what RFC 4226 calls too short: less than 128 bits.
    Builder::new()
        .with_secret(secret)
        .build()
        .map_err(|_| refuse("is a secret of less than 128 bits; make one with `causeway totp-secret`"))
}

/// Whether this text is a secret that codes can be made of: base32 of at least 128 bits.
pub fn check_totp_secret(secret: &SecretString) -> Result<()> {
    generator(secret).map(drop)
}

/// A new secret in base32.
pub fn generate_totp_secret() -> Result<SecretString> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(Secret::new_stack(bytes).to_base32().into())
}

/// What is remembered of codes: each counts once (RFC 6238 section 5.2), and who guesses has to wait. Only who has proven
/// the rest of a login gets here, so that, unlike failed passwords, wrong codes are counted per login alone. In memory: a
/// restart forgets the codes of the last minute and a half.
#[derive(Debug)]
pub(crate) struct Codes {
    limits: ThrottleLimits,
    /// By `login@tenant`. Logins with a secret stand in the configuration, so that there are not more than that.
    seen: Mutex<HashMap<Arc<str>, Seen>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The last step whose code was taken.
    step: Option<u64>,
    wrong: u32,
    last_wrong: Option<Instant>,
}

impl Codes {
    pub(crate) fn new(limits: ThrottleLimits) -> Self {
        Self { limits, seen: Mutex::default() }
    }

    /// Takes a code of a login: whether it is the code of now or of a neighbouring step, not taken before. `now`: seconds
    /// since 1970. `Throttled` after too many wrong ones, right or not.
    pub(crate) fn take(&self, login: &str, secret: &SecretString, code: &SecretString, now: u64) -> Result<bool> {
        let generator = generator(secret)?;
        // The tokens are compared in constant time.
        let step = generator.check(code.expose_secret().trim(), now);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(login.into()).or_default();
        if let Some(wait) = self.wait(seen) {
            return Err(
                Error::new(ErrorKind::Throttled, "too many wrong codes; wait, then try again").with_retry_after(wait)
            );
        }
        let fresh = step.filter(|step| seen.step.is_none_or(|taken| *step > taken));
        if let Some(step) = fresh {
            *seen = Seen { step: Some(step), ..Seen::default() };
        } else {
            seen.wrong = seen.wrong.saturating_add(1);
            seen.last_wrong = Some(Instant::now());
        }
        Ok(fresh.is_some())
    }

    /// How long the login has to wait.
    fn wait(&self, seen: &mut Seen) -> Option<Duration> {
        let last = seen.last_wrong?;
        let banned = self.limits.failures > 0 && seen.wrong >= self.limits.failures;
        let lasts = if banned { self.limits.ban } else { self.limits.window };
        let rest = lasts.checked_sub(last.elapsed()).filter(|rest| !rest.is_zero());
        if rest.is_none() {
            (seen.wrong, seen.last_wrong) = (0, None);
        }
        rest.filter(|_| banned)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The secret of RFC 6238 appendix B.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn codes() -> Codes {
        Codes::new(ThrottleLimits { failures: 3, window: Duration::from_mins(10), ban: Duration::from_mins(15) })
    }

    fn take(codes: &Codes, code: &str, now: u64) -> bool {
        codes.take("a@t", &RFC.into(), &code.into(), now).unwrap()
    }

    #[test]
    fn the_codes_of_the_rfc() {
        // Appendix B has eight digits; these are their last six.
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(take(&codes(), code, now), "{now}");
            assert!(take(&codes(), &format!(" {code} "), now));
            assert!(take(&codes(), code, now + 30) && take(&codes(), code, now - 30), "the steps beside it");
            assert!(!take(&codes(), code, now + 60), "no later one");
            assert!(now < 60 || !take(&codes(), code, now - 60), "no earlier one");
            let wrong = if code.starts_with('9') { '0' } else { '9' };
            assert!(!take(&codes(), &format!("{wrong}{}", &code[1..]), now));
        }
        for rubbish in ["", "28708", "2870820", "28708x", "-87082", "２８７０８２"] {
            assert!(!take(&codes(), rubbish, 59), "{rubbish}");
        }
    }

    #[test]
    fn each_code_counts_once_and_no_older_one_after_it() {
        let codes = codes();
        let code = |step: u64| generator(&RFC.into()).unwrap().generate(step * 30).to_string();
        let now = 1_000 * 30;
        assert!(take(&codes, &code(1_000), now));
        assert!(!take(&codes, &code(1_000), now + 1), "replayed");
        assert!(!take(&codes, &code(999), now + 1), "older than the last");
        assert!(take(&codes, &code(1_001), now + 1));
        assert!(codes.take("b@t", &RFC.into(), &code(1_000).into(), now).unwrap(), "another login has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_has_to_wait() {
        let codes = codes();
        for _ in 0..3 {
            assert!(!take(&codes, "000000", 59));
        }
        let error = codes.take("a@t", &RFC.into(), &"287082".into(), 59).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Throttled, Some(Duration::from_mins(15))));
        assert!(codes.take("b@t", &RFC.into(), &"287082".into(), 59).unwrap());
        tokio::time::advance(Duration::from_mins(15)).await;
        assert!(take(&codes, "287082", 59));
    }

    #[test]
    fn secrets() {
        for good in [RFC, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBVGY3TQOJQGEZDGNBVGY======"] {
            check_totp_secret(&good.into()).unwrap();
        }
        for bad in ["", "GEZDGNBV", "not base32 at all!", "1111111111111111111111111111"] {
            let error = check_totp_secret(&bad.into()).unwrap_err();
            assert!(bad.is_empty() || !error.message().contains(bad), "the secret is not repeated");
        }
        let (one, two) = (generate_totp_secret().unwrap(), generate_totp_secret().unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 32);
        check_totp_secret(&one).unwrap();
    }
}
