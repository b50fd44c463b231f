//! Time-based codes (RFC 6238 with the defaults of every app: SHA-1, six digits, thirty seconds) as a second step.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
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

/// What apps show beside a login.
const ISSUER: &str = "causeway";

/// The key URI that authenticator apps agreed on, mostly shown to them as a QR code:
/// `otpauth://totp/ISSUER:LOGIN?secret=…&issuer=…`. It holds the secret. `InvalidArgument` where that is no login's name.
pub fn totp_uri(login: &str, secret: &SecretString) -> Result<SecretString> {
    if login.is_empty() || login.contains(':') || login.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::InvalidArgument, "that is no login; give its name"));
    }
    let mut label = String::new();
    for byte in login.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            label.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(label, "%{byte:02X}");
        }
    }
    let secret = secret.expose_secret();
    Ok(format!("otpauth://totp/{ISSUER}:{label}?secret={secret}&issuer={ISSUER}").into())
}

/// Who guesses codes has to wait. Only who has proven the rest of a login gets here, so that, unlike failed passwords,
/// wrong codes are counted per login alone. That a code counts once is the ledger's to say
/// ([`crate::ports::Tx::use_code`]), over restarts and for all nodes.
#[derive(Debug)]
pub(crate) struct Codes {
    limits: RwLock<ThrottleLimits>,
    /// By `login@tenant`. Logins with a secret stand in the configuration, so that there are not more than that.
    wrong: Mutex<HashMap<Arc<str>, Wrong>>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Codes {
    pub(crate) fn new(limits: ThrottleLimits) -> Self {
        Self { limits: RwLock::new(limits), wrong: Mutex::default() }
    }

    /// From now on with other limits. What was counted stays.
    pub(crate) fn set_limits(&self, limits: ThrottleLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The step whose code this is, if it is the code of now or of a neighbouring step; none: wrong, which is counted.
    /// `now`: seconds since 1970. `Throttled` after too many wrong ones, right or not.
    pub(crate) fn step(
        &self,
        login: &str,
        secret: &SecretString,
        code: &SecretString,
        now: u64,
    ) -> Result<Option<u64>> {
        let generator = generator(secret)?;
        // The tokens are compared in constant time.
        let step = generator.check(code.expose_secret().trim(), now);
        let mut wrong = self.wrong();
        if let Some(wait) = self.wait(&mut wrong, login) {
            return Err(
                Error::new(ErrorKind::Throttled, "too many wrong codes; wait, then try again").with_retry_after(wait)
            );
        }
        if step.is_none() {
            count(&mut wrong, login);
        }
        Ok(step)
    }

    /// Counts a code that is right and was used before as a wrong one.
    pub(crate) fn replayed(&self, login: &str) {
        count(&mut self.wrong(), login);
    }

    /// Forgets the wrong codes of a login that has brought a right one.
    pub(crate) fn taken(&self, login: &str) {
        self.wrong().remove(login);
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<Arc<str>, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the login has to wait.
    fn wait(&self, all: &mut HashMap<Arc<str>, Wrong>, login: &str) -> Option<Duration> {
        let wrong = all.get(login)?;
        let limits = *self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let banned = limits.failures > 0 && wrong.count >= limits.failures;
        let lasts = if banned { limits.ban } else { limits.window };
        let rest = lasts.checked_sub(wrong.last.elapsed()).filter(|rest| !rest.is_zero());
        if rest.is_none() {
            all.remove(login);
        }
        rest.filter(|_| banned)
    }
}

fn count(all: &mut HashMap<Arc<str>, Wrong>, login: &str) {
    let now = Instant::now();
    let wrong = all.entry(login.into()).or_insert(Wrong { count: 0, last: now });
    *wrong = Wrong { count: wrong.count.saturating_add(1), last: now };
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

    fn step(codes: &Codes, code: &str, now: u64) -> Option<u64> {
        codes.step("a@t", &RFC.into(), &code.into(), now).unwrap()
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
            let right = Some(now / 30);
            assert_eq!(step(&codes(), code, now), right, "{now}");
            assert_eq!(step(&codes(), &format!(" {code} "), now), right);
            assert_eq!(
                [now + 30, now - 30].map(|beside| step(&codes(), code, beside)),
                [right; 2],
                "the steps beside it"
            );
            assert_eq!(step(&codes(), code, now + 60), None, "no later one");
            assert!(now < 60 || step(&codes(), code, now - 60).is_none(), "no earlier one");
            let wrong = if code.starts_with('9') { '0' } else { '9' };
            assert_eq!(step(&codes(), &format!("{wrong}{}", &code[1..]), now), None);
        }
        for rubbish in ["", "28708", "2870820", "28708x", "-87082", "２８７０８２"] {
            assert_eq!(step(&codes(), rubbish, 59), None, "{rubbish}");
        }
    }

    #[test]
    fn the_uri_that_apps_read() {
        let said = |login: &str| totp_uri(login, &"ABC".into()).map(|uri| uri.expose_secret().to_owned());
        assert_eq!(said("edi01").unwrap(), "otpauth://totp/causeway:edi01?secret=ABC&issuer=causeway");
        let coded = "otpauth://totp/causeway:a%20b%2F%C3%BC@acme?secret=ABC&issuer=causeway";
        assert_eq!(said("a b/ü@acme").unwrap(), coded);
        assert!(said("").is_err() && said("a:b").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_has_to_wait() {
        let codes = codes();
        for _ in 0..2 {
            assert_eq!(step(&codes, "000000", 59), None);
        }
        codes.taken("a@t");
        for _ in 0..2 {
            assert_eq!(step(&codes, "000000", 59), None);
        }
        codes.replayed("a@t");
        let error = codes.step("a@t", &RFC.into(), &"287082".into(), 59).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Throttled, Some(Duration::from_mins(15))));
        assert!(codes.step("b@t", &RFC.into(), &"287082".into(), 59).unwrap().is_some());
        tokio::time::advance(Duration::from_mins(15)).await;
        assert!(step(&codes, "287082", 59).is_some());
        assert!(codes.wrong().is_empty(), "nothing is kept of what lapsed");
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
