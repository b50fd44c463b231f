//! How many requests come in a minute: for each address (before anybody is known) and for each identity. What is told of it are
//! the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10, and `Retry-After` with a 429.
//!
//! The generic cell rate algorithm: a full minute's worth may come at once, and comes back bit by bit. Each node counts its own.

use std::fmt::Write as _;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use causeway_core::identity::source_of;
use causeway_core::{Error, ErrorKind, Session};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client::{ClientAddress, client_of};
use crate::config::ApiConfig;
use crate::problem::Problem;
use crate::router::Shared;
use crate::serve::ConnectionInfo;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The window of a policy, in seconds.
const WINDOW: u32 = 60;
/// After so many requests those are forgotten who have their full minute's worth again.
const TIDY: u32 = 1 << 14;

type Limiter<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// One kind of caller, counted by its key.
struct Policy<K: Hash + Eq + Clone> {
    name: &'static str,
    quota: u32,
    limiter: Limiter<K>,
    requests: AtomicU32,
}

/// How a caller stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    policy: &'static str,
    quota: u32,
    /// Requests that may come at once now.
    remaining: u32,
    /// Seconds until all of them may again.
    reset: u64,
}

impl<K: Hash + Eq + Clone> Policy<K> {
    fn new(name: &'static str, quota: u32) -> Self {
        let most = NonZeroU32::new(quota).unwrap_or(NonZeroU32::MIN);
        let limiter = RateLimiter::keyed(Quota::per_minute(most)).with_middleware();
        Self { name, quota: most.get(), limiter, requests: AtomicU32::new(0) }
    }

    /// Counts a request; one too many has the time until the next may come.
    fn count(&self, key: &K) -> (Standing, Option<Duration>) {
        if self.requests.fetch_add(1, Ordering::Relaxed).wrapping_add(1).is_multiple_of(TIDY) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        match self.limiter.check_key(key) {
            Ok(state) => (self.standing(&state), None),
            Err(refused) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                let full = u64::from(WINDOW);
                (Standing { policy: self.name, quota: self.quota, remaining: 0, reset: full }, Some(wait))
            }
        }
    }

    fn standing(&self, state: &StateSnapshot) -> Standing {
        let remaining = state.remaining_burst_capacity().min(self.quota);
        let missing = u64::from(self.quota - remaining);
        let reset = (missing * u64::from(WINDOW)).div_ceil(u64::from(self.quota));
        Standing { policy: self.name, quota: self.quota, remaining, reset }
    }
}

/// Identities, by tenant and id.
type OfIdentities = Policy<(Arc<str>, Arc<str>)>;

/// The limits of the API.
pub struct Quotas(RwLock<Arc<Policies>>);

struct Policies {
    addresses: Policy<IpAddr>,
    identities: RwLock<Arc<OfIdentities>>,
    /// As the configuration says.
    declared: u32,
}

/// How the callers of one request stand, among its extensions.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Standing>>>);

impl Meter {
    fn note(&self, standing: Standing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(standing);
    }

    /// Tells it in a response's head.
    fn tell(&self, headers: &mut HeaderMap) {
        let (mut policy, mut state) = (String::new(), String::new());
        for standing in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let comma = if policy.is_empty() { "" } else { ", " };
            let Standing { policy: name, quota, remaining, reset } = standing;
            // Writing to a string cannot fail.
            let _ = write!(policy, "{comma}\"{name}\";q={quota};w={WINDOW}");
            let _ = write!(state, "{comma}\"{name}\";r={remaining};t={reset}");
        }
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
            if let Ok(value) = HeaderValue::from_str(&value)
                && !value.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
}

fn refused(wait: Duration, of: &str) -> Problem {
    let sentence = format!("too many requests of this {of} in a minute; wait as `Retry-After` says");
    Problem::from(Error::new(ErrorKind::Throttled, sentence).with_retry_after(wait))
}

impl Quotas {
    /// With the limits of the configuration, and nobody counted.
    pub fn new(config: &ApiConfig) -> Self {
        Self(RwLock::new(Arc::new(Policies::new(config))))
    }

    /// Goes on with the limits of this configuration; where they are others, nobody is counted yet.
    pub fn adopt(&self, config: &ApiConfig) {
        let (new, old) = (Policies::new(config), self.now());
        if (new.addresses.quota, new.declared) != (old.addresses.quota, old.declared) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
    }

    /// The requests of an identity in a minute that the configuration allows.
    pub fn declared(&self) -> u32 {
        self.now().declared
    }

    fn now(&self) -> Arc<Policies> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a request for its identity. `most`: the requests of a minute that were set through the API, if any.
    pub fn identity(&self, session: &Session, meter: Option<&Meter>, most: Option<u32>) -> Result<(), Problem> {
        let policies = self.now();
        let (standing, wait) = policies
            .of_identities(most.unwrap_or(policies.declared))
            .count(&(session.tenant.id.clone(), session.identity.id.clone()));
        if let Some(meter) = meter {
            meter.note(standing);
        }
        wait.map_or(Ok(()), |wait| Err(refused(wait, "identity")))
    }
}

impl Policies {
    fn new(config: &ApiConfig) -> Self {
        Self {
            addresses: Policy::new("address", config.requests_per_minute_per_address),
            identities: RwLock::new(Arc::new(Policy::new("identity", config.requests_per_minute))),
            declared: config.requests_per_minute,
        }
    }

    /// The policy for identities. Under another limit than before everybody begins anew.
    fn of_identities(&self, most: u32) -> Arc<OfIdentities> {
        let now = self.identities.read().unwrap_or_else(PoisonError::into_inner).clone();
        if now.quota == most.max(1) {
            return now;
        }
        let mut policy = self.identities.write().unwrap_or_else(PoisonError::into_inner);
        if policy.quota != most.max(1) {
            *policy = Arc::new(Policy::new("identity", most));
        }
        policy.clone()
    }
}

/// Finds out a request's client and counts the request for its address, before anything else is done for it.
pub async fn by_address(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let Some(connection) = request.extensions().get::<Arc<ConnectionInfo>>().cloned() else {
        return Problem::from(Error::internal("a request came without its connection")).into_response();
    };
    let client = client_of(connection.ip, request.headers(), &shared.config.trusted_proxies);
    let meter = Meter::default();
    let (standing, wait) = shared.quotas.now().addresses.count(&source_of(client));
    meter.note(standing);
    // Who came by a proxy has not been at the door.
    let turned_away = client != connection.ip.to_canonical() && !shared.gateway.admits(client);
    let mut response = match wait {
        Some(wait) => refused(wait, "address").into_response(),
        None if turned_away => {
            let sentence = "this address has made too much work without a login; try again later";
            Problem::from(Error::new(ErrorKind::Throttled, sentence)).into_response()
        }
        None => {
            request.extensions_mut().insert(ClientAddress(client));
            request.extensions_mut().insert(meter.clone());
            next.run(request).await
        }
    };
    meter.tell(response.headers_mut());
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_no_more() {
        let policy = Policy::new("address", 60);
        let one = IpAddr::from([192, 0, 2, 1]);
        for left in (0..60).rev() {
            let (standing, wait) = policy.count(&one);
            assert!(wait.is_none());
            // The clock goes on: what comes back meanwhile is one at the most.
            assert!((left..=left + 1).contains(&standing.remaining), "{standing:?}");
            assert!((59 - u64::from(left)..=60 - u64::from(left)).contains(&standing.reset), "{standing:?}");
        }
        let (mut standing, mut wait) = policy.count(&one);
        if wait.is_none() {
            (standing, wait) = policy.count(&one);
        }
        assert_eq!(standing.remaining, 0);
        assert!(wait.unwrap() <= Duration::from_secs(1), "one comes back each second");
        assert!(policy.count(&IpAddr::from([192, 0, 2, 2])).1.is_none(), "others have theirs");
    }

    #[test]
    fn the_fields_are_those_of_the_draft() {
        let meter = Meter::default();
        meter.note(Standing { policy: "address", quota: 600, remaining: 599, reset: 1 });
        meter.note(Standing { policy: "identity", quota: 60, remaining: 0, reset: 60 });
        let mut headers = HeaderMap::new();
        meter.tell(&mut headers);
        assert_eq!(headers.get("ratelimit-policy").unwrap(), "\"address\";q=600;w=60, \"identity\";q=60;w=60");
        assert_eq!(headers.get("ratelimit").unwrap(), "\"address\";r=599;t=1, \"identity\";r=0;t=60");
    }
}
