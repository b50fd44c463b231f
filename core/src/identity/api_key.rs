//! API keys: when one ends, and why it lets nobody in.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{KeyMatch, PreviousKey, lies_in};
use crate::records::{Micros, instant};

/// Why a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfKey {
    /// It says so itself.
    Expires,
    /// It is older than keys may be.
    TooOld,
    /// Another one took its place, and the time in which both count is over.
    Replaced,
}

/// When a key ends, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEnd {
    /// From then on it is refused.
    pub at: OffsetDateTime,
    /// What ends it.
    pub why: EndOfKey,
}

/// Why a key lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    /// It is over.
    Ended(EndOfKey),
    /// It may not come from this address.
    Address,
}

impl KeyRefusal {
    /// What the trail says of it.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Ended(EndOfKey::Expires) => "the API key has expired",
            Self::Ended(EndOfKey::TooOld) => "the API key is older than `api.api_key_max_age` allows",
            Self::Ended(EndOfKey::Replaced) => {
                "the API key was rotated, and the time in which the old one counted too is over"
            }
            Self::Address => "the API key may not come from this address",
        }
    }

    /// What its holder may hear. Only who has the whole key gets here, so that this helps nobody to find one; from where it
    /// may come is not told, as whoever has taken it from its owner would like to know that.
    pub(crate) const fn told(self) -> Option<&'static str> {
        match self {
            Self::Ended(EndOfKey::Expires) => Some("this API key has expired; ask for a new one"),
            Self::Ended(EndOfKey::TooOld) => Some("this API key is too old to be used; ask for a new one"),
            Self::Ended(EndOfKey::Replaced) => Some("this API key was replaced by another one; use that"),
            Self::Address => None,
        }
    }
}

impl KeyMatch {
    /// When the key was made, as far as it is known: what its record says, and never later than this gateway first saw it.
    pub fn created(&self, first_seen: Option<Micros>) -> Option<OffsetDateTime> {
        let said = match &self.previous {
            Some(PreviousKey { created, .. }) => *created,
            None => self.key.created,
        };
        let seen = first_seen.and_then(instant);
        match (said, seen) {
            (Some(said), Some(seen)) => Some(said.min(seen)),
            (said, seen) => said.or(seen),
        }
    }

    /// What tells one text of a key from another in tokens: of it nobody learns the key, nor its SHA-256.
    pub(crate) fn mark(&self) -> String {
        let mark = Sha256::digest(self.digest);
        hex::encode(mark.get(..8).unwrap_or_default())
    }

    /// When the key ends: the first of its own end, the greatest age, and the end of the time in which the old key of a
    /// rotation counts. None: it does not.
    pub fn end(&self, first_seen: Option<Micros>, max_age: Option<Duration>) -> Option<KeyEnd> {
        let age = max_age.and_then(|age| time::Duration::try_from(age).ok());
        let too_old = self.created(first_seen).zip(age).and_then(|(created, age)| created.checked_add(age));
        [
            (self.key.expires, EndOfKey::Expires),
            (too_old, EndOfKey::TooOld),
            (self.previous.as_ref().map(|previous| previous.ends), EndOfKey::Replaced),
        ]
        .into_iter()
        .filter_map(|(at, why)| at.map(|at| KeyEnd { at, why }))
        .min_by_key(|end| end.at)
    }

    /// Why the key lets nobody in who comes from this address now; none: it does. Where it comes from is looked at first, so
    /// that nobody elsewhere hears anything of it.
    pub(crate) fn refusal(&self, end: Option<KeyEnd>, ip: IpAddr, now: OffsetDateTime) -> Option<KeyRefusal> {
        let networks = &self.key.allow_from;
        if !networks.is_empty() && !networks.iter().any(|network| lies_in(*network, ip)) {
            return Some(KeyRefusal::Address);
        }
        end.filter(|end| end.at <= now).map(|end| KeyRefusal::Ended(end.why))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::{ApiKey, CertificateRules, Identity, ScopeSet, Tenant, View};

    const DAY: Duration = Duration::from_hours(24);

    fn at(day: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(day * 86_400).unwrap()
    }

    fn micros(day: i64) -> Micros {
        day * 86_400_000_000
    }

    fn key(created: Option<i64>, expires: Option<i64>, previous: Option<PreviousKey>) -> KeyMatch {
        let tenant = Tenant {
            id: "acme".into(),
            quota: None,
            mounts: Vec::new(),
            certificates: CertificateRules::default(),
            classifications: Vec::new(),
        };
        let identity = Identity { id: "app".into(), scopes: ScopeSet::all(), quota: None, view: View::default() };
        let key = ApiKey {
            id: "k".into(),
            identity: "app".into(),
            key_hash: [1; 32],
            signing: crate::identity::Signing::default(),
            scopes: ScopeSet::NONE,
            created: created.map(at),
            expires: expires.map(at),
            allow_from: vec!["192.0.2.0/24".parse().unwrap()],
            previous: None,
        };
        KeyMatch {
            tenant: Arc::new(tenant),
            identity: Arc::new(identity),
            key: Arc::new(key),
            digest: [1; 32],
            previous,
        }
    }

    #[test]
    fn the_first_end_counts() {
        let end = |key: &KeyMatch, seen: Option<i64>, age: Option<u32>| {
            key.end(seen.map(micros), age.map(|days| DAY * days)).map(|end| (end.at.unix_timestamp() / 86_400, end.why))
        };
        let plain = key(None, None, None);
        assert_eq!(end(&plain, None, Some(90)), None, "of a key that is new to the gateway nothing is known yet");
        assert_eq!(end(&plain, Some(10), Some(90)), Some((100, EndOfKey::TooOld)));
        assert_eq!(end(&plain, Some(10), None), None);
        let dated = key(Some(5), Some(50), None);
        assert_eq!(end(&dated, Some(10), None), Some((50, EndOfKey::Expires)));
        assert_eq!(end(&dated, Some(10), Some(20)), Some((25, EndOfKey::TooOld)));
        let postdated = key(Some(40), None, None);
        assert_eq!(
            end(&postdated, Some(10), Some(20)),
            Some((30, EndOfKey::TooOld)),
            "it was there before it was made"
        );
        let old = PreviousKey { key_hash: [2; 32], created: Some(at(1)), ends: at(12) };
        let replaced = key(Some(10), None, Some(old));
        assert_eq!(end(&replaced, Some(1), Some(90)), Some((12, EndOfKey::Replaced)));
        assert_eq!(end(&replaced, Some(1), Some(5)), Some((6, EndOfKey::TooOld)), "a rotation makes no key younger");
        let eternal = key(Some(5), None, None);
        assert_eq!(end(&eternal, None, Some(u32::MAX)), None, "what lies beyond all calendars is no end");
    }

    #[test]
    fn elsewhere_nothing_is_told() {
        let key = key(None, Some(50), None);
        let (here, elsewhere) = ("192.0.2.7".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let refusal = |ip, day| key.refusal(key.end(None, None), ip, at(day));
        assert_eq!(refusal(here, 49), None);
        assert_eq!(refusal(here, 50), Some(KeyRefusal::Ended(EndOfKey::Expires)));
        assert_eq!(refusal(elsewhere, 49), Some(KeyRefusal::Address));
        assert_eq!(refusal(elsewhere, 50), Some(KeyRefusal::Address));
        assert!(KeyRefusal::Address.told().is_none() && KeyRefusal::Ended(EndOfKey::Expires).told().is_some());
    }
}
