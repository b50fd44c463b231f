//! What a login must prove, and what it has proven so far. Every protocol asks here what is still missing.

use std::fmt;

use super::{Credential, Evidence, QueueTime};

/// One thing that a login can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// An SSH public key.
    PublicKey,
    /// A certificate: an OpenSSH user certificate, or a client certificate of TLS.
    Certificate,
    /// The password.
    Password,
    /// A time-based code (RFC 6238).
    Totp,
}

impl Factor {
    /// All of them, in the order of their names in audit entries.
    pub const ALL: &[Self] = &[Self::PublicKey, Self::Certificate, Self::Password, Self::Totp];

    /// The name in the configuration and in audit entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Totp => "totp",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::PublicKey => 1,
            Self::Certificate => 2,
            Self::Password => 4,
            Self::Totp => 8,
        }
    }
}

/// Some of the things that a login can prove.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FactorSet(u8);

impl FactorSet {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// With this one, too.
    #[must_use]
    pub const fn with(self, factor: Factor) -> Self {
        Self(self.0 | factor.bit())
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has this one.
    pub const fn has(self, factor: Factor) -> bool {
        self.0 & factor.bit() != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As a number that the ledger keeps.
    pub(crate) const fn bits(self) -> i64 {
        self.0 as i64
    }

    /// The set of that number; what is no factor is not in it.
    pub(crate) fn from_bits(bits: i64) -> Self {
        Factor::ALL.iter().copied().filter(|factor| bits & i64::from(factor.bit()) != 0).collect()
    }

    /// What is in it, in the order of [`Factor::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Factor> {
        Factor::ALL.iter().copied().filter(move |factor| self.has(*factor))
    }

    /// The names with `+` between them: what audit entries carry. Empty where nothing is in it.
    pub const fn as_str(self) -> &'static str {
        match self.0 & 15 {
            1 => "publickey",
            2 => "certificate",
            3 => "publickey+certificate",
            4 => "password",
            5 => "publickey+password",
            6 => "certificate+password",
            7 => "publickey+certificate+password",
            8 => "totp",
            9 => "publickey+totp",
            10 => "certificate+totp",
            11 => "publickey+certificate+totp",
            12 => "password+totp",
            13 => "publickey+password+totp",
            14 => "certificate+password+totp",
            15 => "publickey+certificate+password+totp",
            _ => "",
        }
    }
}

impl FromIterator<Factor> for FactorSet {
    fn from_iter<I: IntoIterator<Item = Factor>>(factors: I) -> Self {
        factors.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for FactorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactorSet({})", self.as_str())
    }
}

/// What a login must prove (`require`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Any one of key, certificate and password.
    #[default]
    Any,
    /// Every one of these: in any order, but a code (TOTP) is asked for last, so that only who has proven the rest can
    /// guess codes.
    All(FactorSet),
}

impl Require {
    /// Reads the words of the configuration: `any`, or `publickey`, `certificate`, `password` and `totp` in any order with
    /// `+` between them. A key and a certificate together, one word alone, one word twice: none.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "any" {
            return Some(Self::Any);
        }
        let mut set = FactorSet::NONE;
        let mut count = 0;
        for word in text.split('+') {
            let factor = Factor::ALL.iter().copied().find(|factor| factor.as_str() == word)?;
            if set.has(factor) {
                return None;
            }
            set = set.with(factor);
            count += 1;
        }
        let both = set.has(Factor::PublicKey) && set.has(Factor::Certificate);
        (count >= 2 && !both).then_some(Self::All(set))
    }

    /// The words of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All(wanted) => wanted.as_str(),
        }
    }

    /// What is still missing when this much is proven; empty: nothing. For [`Require::Any`] it is all that would do.
    pub fn missing(self, proven: FactorSet) -> FactorSet {
        match self {
            Self::Any if proven.is_empty() => {
                [Factor::PublicKey, Factor::Certificate, Factor::Password].into_iter().collect()
            }
            Self::Any => FactorSet::NONE,
            Self::All(wanted) => wanted.without(proven),
        }
    }

    /// What would bring a login on that has proven this much: what is missing, a code only where nothing else is.
    pub fn next(self, proven: FactorSet) -> FactorSet {
        let code = FactorSet::NONE.with(Factor::Totp);
        let missing = self.missing(proven);
        if missing == code { missing } else { missing.without(code) }
    }

    /// Whether this is among what must be proven.
    pub fn names(self, factor: Factor) -> bool {
        matches!(self, Self::All(wanted) if wanted.has(factor))
    }
}

/// What one login has proven on one connection. It is bound to the name that the client gave: with another name it begins
/// anew (RFC 4252 section 5).
#[derive(Debug, Default)]
pub struct Progress {
    login: Option<String>,
    proven: FactorSet,
    missing: FactorSet,
    evidence: Evidence,
    queue: QueueTime,
}

impl Progress {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a login that has proven this much on another connection, as the ledger says.
    pub(crate) fn resumed(login: &str, proven: FactorSet, require: Require) -> Self {
        Self { login: Some(login.to_owned()), proven, missing: require.next(proven), ..Self::default() }
    }

    /// The same; its waits are added to this clock.
    pub fn timed(queue: QueueTime) -> Self {
        Self { queue, ..Self::default() }
    }

    /// Binds it to a name; what was proven under another one is forgotten.
    pub fn bind(&mut self, login: &str) {
        if self.login.as_deref() != Some(login) {
            *self = Self { login: Some(login.to_owned()), queue: self.queue.clone(), ..Self::default() };
        }
    }

    /// How long its steps have waited for the gateway's own queue, whatever the name: that is no time of the client's.
    pub const fn queue(&self) -> &QueueTime {
        &self.queue
    }

    /// What is proven under the name that it is bound to.
    pub const fn proven(&self) -> FactorSet {
        self.proven
    }

    /// What would bring the login on; empty where nothing is proven yet, as what a login must prove is not for everybody
    /// to know.
    pub const fn next(&self) -> FactorSet {
        self.missing
    }

    pub(crate) fn prove(&mut self, factor: Factor, require: Require) {
        self.proven = self.proven.with(factor);
        self.missing = require.next(self.proven);
    }

    /// Keeps what the credential that proved it has shown.
    pub(crate) fn keep(&mut self, credential: &Credential) {
        self.evidence.keep(credential);
    }

    /// What was shown of it so far.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence.clone()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { queue: self.queue.clone(), ..Self::default() };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(text: &str) -> FactorSet {
        let word = |word| Factor::ALL.iter().copied().find(|f| f.as_str() == word).unwrap();
        text.split('+').filter(|word| !word.is_empty()).map(word).collect()
    }

    #[test]
    fn words() {
        assert_eq!(Require::parse("any"), Some(Require::Any));
        for (text, name) in [
            ("publickey+password", "publickey+password"),
            ("password+publickey", "publickey+password"),
            ("certificate+password", "certificate+password"),
            ("password+totp", "password+totp"),
            ("totp+publickey", "publickey+totp"),
            ("certificate+totp", "certificate+totp"),
            ("publickey+password+totp", "publickey+password+totp"),
            ("certificate+password+totp", "certificate+password+totp"),
        ] {
            assert_eq!(Require::parse(text), Some(Require::All(set(name))), "{text}");
            assert_eq!(set(name).as_str(), name);
        }
        for text in
            ["", "Any", "password", "totp", "any+totp", "password+password", "publickey+certificate", "a+b", "+"]
        {
            assert_eq!(Require::parse(text), None, "{text}");
        }
        for bits in 0..16 {
            assert_eq!(set(FactorSet(bits).as_str()), FactorSet(bits), "every set says its own names");
        }
    }

    #[test]
    fn what_comes_next() {
        for (require, proven, missing, next) in [
            ("any", "", "publickey+certificate+password", "publickey+certificate+password"),
            ("any", "password", "", ""),
            ("publickey+password", "", "publickey+password", "publickey+password"),
            ("publickey+password", "password", "publickey", "publickey"),
            ("publickey+password", "publickey", "password", "password"),
            ("publickey+password", "publickey+password", "", ""),
            // A certificate is no key, and a key no certificate.
            ("certificate+password", "publickey+password", "certificate", "certificate"),
            ("publickey+password+totp", "", "publickey+password+totp", "publickey+password"),
            ("publickey+password+totp", "password", "publickey+totp", "publickey"),
            ("publickey+password+totp", "publickey+password", "totp", "totp"),
            ("password+totp", "", "password+totp", "password"),
            ("password+totp", "password", "totp", "totp"),
            ("password+totp", "totp", "password", "password"),
        ] {
            let rule = Require::parse(require).unwrap();
            assert_eq!(rule.missing(set(proven)).as_str(), missing, "{require} after {proven}");
            assert_eq!(rule.next(set(proven)).as_str(), next, "{require} after {proven}");
        }
    }

    #[test]
    fn another_name_begins_anew() {
        let rule = Require::parse("publickey+password").unwrap();
        let mut progress = Progress::new();
        progress.bind("edi01");
        progress.prove(Factor::Password, rule);
        progress.bind("edi01");
        assert_eq!((progress.proven(), progress.next()), (set("password"), set("publickey")));
        progress.bind("edi02");
        assert_eq!((progress.proven(), progress.next()), (FactorSet::NONE, FactorSet::NONE));
        progress.bind("edi01");
        assert_eq!(progress.proven(), FactorSet::NONE, "and going back does not bring it back");
    }
}
