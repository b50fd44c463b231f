//! Which deliveries of a webhook may go now, and when a failed one is tried again. Pure: no clock, no ledger.

use std::collections::HashSet;
use std::time::Duration;

use crate::records::{Delivery, EventRecord, Micros};

/// The longest wait that an endpoint may ask for by `Retry-After`.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// How much longer each wait may be than the one before it.
const GROWTH: u32 = 4;

/// How deliveries are tried again, and when an endpoint is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRules {
    /// How often a delivery is tried before it is given up.
    pub max_attempts: u32,
    /// The longest wait after the first failed attempt; after each further one it is four times as long. The wait itself is a random part
    /// of it (full jitter), half of it on average.
    pub first_wait: Duration,
    /// No wait is longer than this.
    pub longest_wait: Duration,
    /// After so many failed attempts in a row the circuit of an endpoint opens.
    pub breaker_failures: u32,
    /// How long it stays open the first time.
    pub breaker_pause: Duration,
    /// An endpoint that has only failed for so long is disabled.
    pub disable_after: Duration,
}

/// The eleven waits between twelve attempts are 24.07 hours together, on average: 1, 4, 16 … 16,384 seconds, then three times six hours.
impl Default for DeliveryRules {
    fn default() -> Self {
        Self {
            max_attempts: 12,
            first_wait: Duration::from_secs(2),
            longest_wait: Duration::from_hours(12),
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(30),
            disable_after: Duration::from_hours(5 * 24),
        }
    }
}

/// A delivery that is not done, with its event.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its row.
    pub delivery: Delivery,
    /// What is delivered.
    pub event: EventRecord,
    /// Whether an attempt is under way.
    pub in_flight: bool,
}

/// What can be done with the deliveries at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Positions of those that may go now, in order.
    pub send: Vec<i64>,
    /// When the next one that only waits for its time is due.
    pub next: Option<Micros>,
}

/// Plans deliveries that are given in the order of their positions. One may go when it is due and none of its keys is
/// held by an earlier one that is not done, be that one under way, waiting for its time, or held itself: so everything
/// about one file arrives in order, and files do not wait for each other. At most `room` go.
pub(crate) fn plan<'a>(items: impl IntoIterator<Item = &'a Item>, now: Micros, room: usize) -> Plan {
    let mut plan = Plan::default();
    let mut held: HashSet<&str> = HashSet::new();
    for item in items {
        if plan.send.len() >= room {
            break;
        }
        let free = !item.in_flight && !item.event.order_keys.iter().any(|key| held.contains(key.as_str()));
        if free && item.delivery.next_at <= now {
            plan.send.push(item.delivery.position);
        } else if free {
            plan.next = Some(plan.next.map_or(item.delivery.next_at, |next| next.min(item.delivery.next_at)));
        }
        held.extend(item.event.order_keys.iter().map(String::as_str));
    }
    plan
}

/// How long to wait after failed attempt number `attempts` (from 1): a random part of a bound that grows exponentially (full jitter); or as
/// long as the endpoint asked for, where that is longer.
pub(crate) fn backoff(rules: &DeliveryRules, attempts: i64, random: u64, retry_after: Option<Duration>) -> Duration {
    let earlier = u32::try_from(attempts.saturating_sub(1).max(0)).unwrap_or(u32::MAX);
    let most = rules.first_wait.saturating_mul(GROWTH.saturating_pow(earlier)).min(rules.longest_wait);
    let jittered = most.mul_f64(random as f64 / u64::MAX as f64);
    retry_after.map_or(jittered, |asked| asked.min(LONGEST_WAIT).max(jittered))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::records::DeliveryState;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn item(position: i64, keys: &[&str], next_at: Micros, in_flight: bool) -> Item {
        let id = Uuid::now_v7();
        Item {
            delivery: Delivery {
                webhook: "acme/hook".into(),
                event: id,
                position,
                state: DeliveryState::Pending,
                attempts: 0,
                next_at,
                last_result: None,
            },
            event: EventRecord {
                id,
                tenant: "acme".into(),
                kind: "file.uploaded".into(),
                at: 0,
                path: None,
                order_keys: keys.iter().map(|k| (*k).to_owned()).collect(),
                body: "{}".into(),
                transfer: None,
                quiet: false,
                trace: None,
            },
            in_flight,
        }
    }

    #[test]
    fn files_do_not_wait_for_each_other() {
        let items =
            [item(1, &["a"], 0, false), item(2, &["b"], 0, false), item(3, &["a"], 0, false), item(4, &[], 0, false)];
        assert_eq!(plan(&items, 0, 8), Plan { send: vec![1, 2, 4], next: None });
        assert_eq!(plan(&items, 0, 2).send, [1, 2]);
        assert_eq!(plan(&items, 0, 0), Plan::default());
    }

    #[test]
    fn one_that_waits_or_is_under_way_holds_its_file() {
        let items = [
            item(1, &["a"], 50, false),
            item(2, &["a"], 0, false),
            item(3, &["b"], 0, true),
            item(4, &["b"], 0, false),
        ];
        assert_eq!(plan(&items, 10, 8), Plan { send: vec![], next: Some(50) });
        assert_eq!(plan(&items, 50, 8).send, [1]);
    }

    #[test]
    fn a_rename_ties_two_names_together() {
        // 1 waits; 2 moves it to another name; 3 is about that name, and must come after both.
        let items = [
            item(1, &["id", "/a"], 99, false),
            item(2, &["id", "/b", "/a"], 0, false),
            item(3, &["new", "/b"], 0, false),
        ];
        assert_eq!(plan(&items, 0, 8).send, Vec::<i64>::new());
    }

    fn wait(attempts: i64, random: u64, retry_after: Option<Duration>) -> Duration {
        backoff(&DeliveryRules::default(), attempts, random, retry_after)
    }

    #[test]
    fn twelve_attempts_take_about_a_day() {
        let total = |random: u64| (1..12).map(|n| wait(n, random, None)).sum::<Duration>().as_secs_f64() / 3600.0;
        assert!((total(u64::MAX / 2) - 24.0).abs() < 0.2, "{}", total(u64::MAX / 2));
        assert!(total(0) < 0.1 && total(u64::MAX) < 49.0);
    }

    #[test]
    fn the_jitter_is_full_and_the_bound_grows_to_its_end() {
        assert_eq!(wait(1, 0, None), Duration::ZERO);
        let most: Vec<u64> = (1..12).map(|n| wait(n, u64::MAX, None).as_secs()).collect();
        assert_eq!(most, [2, 8, 32, 128, 512, 2048, 8192, 32_768, 43_200, 43_200, 43_200]);
        assert_eq!(wait(i64::MAX, u64::MAX, None), Duration::from_hours(12));
        let rules = DeliveryRules {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            ..DeliveryRules::default()
        };
        let most: Vec<u128> = (1..5).map(|n| backoff(&rules, n, u64::MAX, None).as_millis()).collect();
        assert_eq!(most, [100, 400, 1000, 1000]);
    }

    #[test]
    fn the_endpoint_may_ask_for_more_but_not_for_ever() {
        assert_eq!(wait(1, 0, Some(Duration::from_mins(1))), Duration::from_mins(1));
        assert_eq!(wait(10, u64::MAX, Some(Duration::from_secs(1))), Duration::from_hours(12));
        assert_eq!(wait(1, 0, Some(Duration::MAX)), LONGEST_WAIT);
    }

    proptest! {
        /// Sends all that the plan allows, fails some, and looks at the order in which things about one key are done.
        #[test]
        fn whatever_fails_the_order_in_each_file_holds(
            keys in proptest::collection::vec(proptest::collection::vec(0u8..5, 0..3), 1..20),
            failures in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut items: Vec<Item> = (1..).zip(&keys).map(|(position, keys)| {
                let keys: Vec<String> = keys.iter().map(u8::to_string).collect();
                item(position, &keys.iter().map(String::as_str).collect::<Vec<_>>(), 0, false)
            }).collect();
            let mut failures = failures.into_iter();
            let mut done: Vec<Item> = Vec::new();
            let mut now = 0;
            while !items.is_empty() {
                let planned = plan(&items, now, 8);
                prop_assert!(!planned.send.is_empty() || planned.next.is_some(), "stuck");
                for position in planned.send {
                    let at = items.iter().position(|i| i.delivery.position == position).unwrap();
                    if failures.next() == Some(true) {
                        items[at].delivery.next_at = now + 10;
                    } else {
                        done.push(items.remove(at));
                    }
                }
                now += 5;
            }
            for (at, late) in done.iter().enumerate() {
                for early in &done[..at] {
                    let shared = early.event.order_keys.iter().any(|k| late.event.order_keys.contains(k));
                    prop_assert!(!shared || early.delivery.position < late.delivery.position);
                }
            }
        }
    }
}
