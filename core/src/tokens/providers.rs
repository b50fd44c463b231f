//! The keys of OpenID providers: found by discovery (OpenID Connect Discovery 1.0 section 4), kept while the provider is away and over
//! restarts, and asked for again when a token names one that is not known, at a rate that no caller sets.
//!
//! | what | how long |
//! |---|---|
//! | keys are used without asking again | a quarter of an hour; then they are asked for behind the back of who uses them |
//! | keys are used while the provider does not answer | a day since it last did |
//! | between two questions to one provider, whatever comes | half a minute, or five seconds while there are no keys at all |

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::algorithm::ForeignKey;
use super::json;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, held};
use crate::ports::{Durability, Reach};
use crate::records::{IssuerKeys, Micros, now};

/// The largest document of a provider, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// How many keys of a set are looked at.
const MAX_KEYS: usize = 100;
/// Keys this old are asked for again, while they go on being used.
const FRESH: i64 = 15 * 60 * 1_000_000;
/// Keys this old are not believed any more.
const KEPT: i64 = 24 * 60 * 60 * 1_000_000;
/// The least time between two questions to a provider.
const PAUSE: i64 = 30 * 1_000_000;
/// The same while nothing is known of it.
const FIRST_PAUSE: i64 = 5 * 1_000_000;

/// What was found among the keys of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// The key is there: what it says.
    Yes(T),
    /// There is none such.
    No,
}

/// What is known of the providers.
#[derive(Default)]
pub(crate) struct Providers(Mutex<HashMap<Arc<str>, Arc<Provider>>>);

/// What is known of one.
#[derive(Default)]
struct Provider {
    known: Mutex<Known>,
    /// One asks at a time; who waited finds the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<Vec<ForeignKey>>,
    /// When they came; none: nothing is known.
    fetched_at: Option<Micros>,
    /// When the provider was last asked.
    asked_at: Option<Micros>,
    /// Whether it was looked up what the ledger kept.
    looked_up: bool,
}

impl Known {
    /// The keys, where they may still be used.
    fn usable(&self, now: Micros) -> Option<&Arc<Vec<ForeignKey>>> {
        self.fetched_at.filter(|at| now.saturating_sub(*at) < KEPT).map(|_| &self.keys)
    }

    /// Whether they should be asked for again.
    fn is_old(&self, now: Micros) -> bool {
        self.fetched_at.is_none_or(|at| now.saturating_sub(at) >= FRESH)
    }

    /// Whether the provider may be asked now.
    fn may_ask(&self, now: Micros) -> bool {
        let pause = if self.usable(now).is_some() { PAUSE } else { FIRST_PAUSE };
        // A clock that was put back must not keep anybody waiting.
        self.asked_at.is_none_or(|at| !(0..pause).contains(&now.saturating_sub(at)))
    }
}

#[cfg(test)]
impl Providers {
    /// Lets so many microseconds pass for all that is known.
    pub(super) fn age(&self, by: Micros) {
        for provider in held(&self.0).values() {
            let mut known = held(&provider.known);
            known.fetched_at = known.fetched_at.map(|at| at - by);
            known.asked_at = known.asked_at.map(|at| at - by);
        }
    }
}

impl Inner {
    fn provider(&self, url: &Arc<str>) -> Arc<Provider> {
        // Only providers of the configuration come here, so that there are not more than that.
        held(&self.providers.0).entry(url.clone()).or_default().clone()
    }

    /// Asks the keys of a provider, the newest ones if those that are known do not know the answer. `Unavailable` where none can be had.
    pub(super) async fn issuer_key<T>(
        self: &Arc<Self>,
        url: &Arc<str>,
        ask: impl Fn(&[ForeignKey]) -> Option<T>,
    ) -> Result<Found<T>> {
        let provider = self.provider(url);
        let look = |known: &Known| known.usable(now()).and_then(|keys| ask(keys));
        let mut known = held(&provider.known).clone();
        if known.fetched_at.is_none() && !known.looked_up {
            self.recall_keys(url, &provider).await;
            known = held(&provider.known).clone();
        }
        if let Some(answer) = look(&known) {
            if known.is_old(now()) && known.may_ask(now()) {
                self.ask_behind(url, &provider);
            }
            return Ok(Found::Yes(answer));
        }
        let known = self.ask_provider(url, &provider).await;
        match look(&known) {
            Some(answer) => Ok(Found::Yes(answer)),
            None if known.usable(now()).is_some() => Ok(Found::No),
            None => Err(Error::new(
                ErrorKind::Unavailable,
                "the keys of the token's issuer cannot be had at the moment; try again",
            )),
        }
    }

    /// Asks a provider behind the back of who uses its keys.
    fn ask_behind(self: &Arc<Self>, url: &Arc<str>, provider: &Arc<Provider>) {
        let (inner, url, provider) = (self.clone(), url.clone(), provider.clone());
        self.tasks.spawn(async move { inner.ask_provider(&url, &provider).await });
    }

    /// Asks a provider for its keys, if it may be asked again by now, and tells what is known then.
    async fn ask_provider(&self, url: &Arc<str>, provider: &Provider) -> Known {
        let seen = held(&provider.known).asked_at;
        let _turn = provider.asking.lock().await;
        let known = held(&provider.known).clone();
        // Somebody else has asked meanwhile.
        if known.asked_at != seen || !known.may_ask(now()) {
            return known;
        }
        held(&provider.known).asked_at = Some(now());
        match self.fetch_keys(url).await {
            Ok(text) => {
                let fetched_at = now();
                if let Some(keys) = read_set(&text) {
                    self.keep_issuer_keys(IssuerKeys { issuer: url.to_string(), keys: text, fetched_at }).await;
                    let mut known = held(&provider.known);
                    known.keys = Arc::new(keys);
                    known.fetched_at = Some(fetched_at);
                } else {
                    tracing::warn!(
                        issuer = &**url,
                        "what the issuer publishes is no set of keys that can be used here"
                    );
                }
            }
            Err(error) => tracing::warn!(issuer = &**url, error, "the keys of an issuer cannot be fetched"),
        }
        held(&provider.known).clone()
    }

    /// The text of the set that the provider publishes; or why there is none.
    async fn fetch_keys(&self, url: &str) -> std::result::Result<String, String> {
        let at = format!("{}/.well-known/openid-configuration", url.strip_suffix('/').unwrap_or(url));
        let document = self.documents.fetch(&at, MAX_DOCUMENT).await?;
        let document = json::object(&document).ok_or("its configuration is no JSON object")?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        // OpenID Connect Discovery 1.0 section 4.3: exactly.
        if text("issuer") != Some(url) {
            return Err("its configuration names another issuer".to_owned());
        }
        let keys = text("jwks_uri").ok_or("its configuration names no `jwks_uri`")?;
        let set = self.documents.fetch(keys, MAX_DOCUMENT).await?;
        String::from_utf8(set.to_vec()).map_err(|_| "its set of keys is not UTF-8".to_owned())
    }

    async fn keep_issuer_keys(&self, keys: IssuerKeys) {
        let kept = self.write(Reach::Gateway, Durability::Process, move |tx| {
            let keys = keys.clone();
            Box::pin(async move { tx.put_issuer_keys(&keys).await })
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the keys of an issuer could not be kept");
        }
    }

    /// What this gateway was last told, before this process began or by another node.
    async fn recall_keys(&self, url: &str, provider: &Provider) {
        let read = async { self.ledger.read(Reach::Gateway).await?.issuer_keys(url).await };
        match read.await {
            Ok(kept) => {
                let keys = kept.and_then(|kept| Some((read_set(&kept.keys)?, kept.fetched_at)));
                let mut known = held(&provider.known);
                known.looked_up = true;
                if let Some((keys, fetched_at)) =
                    keys.filter(|(_, at)| known.fetched_at.is_none_or(|newer| newer < *at))
                {
                    known.keys = Arc::new(keys);
                    known.fetched_at = Some(fetched_at);
                }
            }
            Err(error) => tracing::warn!(%error, "the kept keys of an issuer cannot be read"),
        }
    }
}

/// The keys of a set that can be used here. None where it is no set, or none of its keys can be: then what was known before stays.
pub(super) fn read_set(text: &str) -> Option<Vec<ForeignKey>> {
    let set = json::object(text.as_bytes())?;
    let keys = set.get("keys")?.as_array()?;
    let keys: Vec<ForeignKey> =
        keys.iter().take(MAX_KEYS).filter_map(Value::as_object).filter_map(ForeignKey::from_jwk).collect();
    (!keys.is_empty()).then_some(keys)
}
