//! The circuit breaker of an endpoint, and when it is given up. Pure: no clock, no ledger. What it decides is in the endpoint's
//! [`WebhookHealth`], which the ledger keeps for all nodes and the dispatcher that holds the endpoint's lease writes.
//!
//! ```text
//!          `breaker_failures` in a row, or asked to wait
//!   closed ────────────────────────────────────────────► open ◄─────────┐
//!     ▲                                                    │            │ the probe failed: twice as long
//!     │                                                    ▼ its time   │
//!     └─────────────────────────────────────────────── half open ───────┘
//!                       an attempt was accepted
//! ```

use std::time::Duration;

use super::schedule::DeliveryRules;
use crate::records::{Circuit, Micros, WebhookHealth, later, micros};

/// The circuit is not open longer than this, but for an endpoint that is asked for.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);
/// The longest time for which an endpoint may ask to be sent nothing at all.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// What an attempt says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It accepted.
    Accepted,
    /// It did not.
    Failed {
        /// For how long it wants to be sent nothing (429 or 503 with `Retry-After`).
        hold: Option<Duration>,
    },
    /// It is gone for good (410).
    Gone,
}

/// How many attempts may be under way, where `most` may be at an endpoint that is well.
pub(crate) fn room(health: &WebhookHealth, now: Micros, most: usize) -> usize {
    if health.disabled_at.is_some() {
        return 0;
    }
    match health.circuit(now) {
        Circuit::Closed => most,
        Circuit::Open { .. } => 0,
        Circuit::HalfOpen => 1,
    }
}

/// How an endpoint fares after an attempt. It is the same one where nothing has changed, so that what is well costs no writing.
pub(crate) fn after(
    health: &WebhookHealth,
    verdict: Verdict,
    rules: &DeliveryRules,
    now: Micros,
    random: u64,
) -> WebhookHealth {
    // What is off stays off: an answer that was under way changes nothing.
    if health.disabled_at.is_some() {
        return health.clone();
    }
    match verdict {
        Verdict::Accepted if health.failures == 0 && health.probe_at.is_none() => health.clone(),
        // It has asked to wait, and has not failed: that an attempt which was under way is accepted does not shorten the wait.
        Verdict::Accepted if health.trips == 0 && matches!(health.circuit(now), Circuit::Open { .. }) => {
            WebhookHealth { probe_at: health.probe_at, changed_at: now, ..WebhookHealth::new(&health.webhook) }
        }
        Verdict::Accepted => WebhookHealth { changed_at: now, ..WebhookHealth::new(&health.webhook) },
        Verdict::Gone => {
            let health = WebhookHealth { failures: health.failures + 1, ..health.clone() };
            disabled(health, "the endpoint answered 410: it is gone", now)
        }
        Verdict::Failed { hold } => {
            let mut next = WebhookHealth { failures: health.failures + 1, changed_at: now, ..health.clone() };
            let since = *next.failing_since.get_or_insert(now);
            let trips = match health.circuit(now) {
                Circuit::Closed => next.failures >= i64::from(rules.breaker_failures),
                // Others that were under way when it was opened.
                Circuit::Open { .. } => false,
                Circuit::HalfOpen => true,
            };
            if trips {
                next.trips += 1;
                next.probe_at = Some(later(now, pause(next.trips, rules, random)));
            }
            if let Some(hold) = hold {
                let until = later(now, hold.min(LONGEST_HOLD));
                next.probe_at = Some(next.probe_at.map_or(until, |at| at.max(until)));
            }
            let long = now.saturating_sub(since) >= micros(rules.disable_after);
            if long && next.failures >= i64::from(rules.breaker_failures) {
                return disabled(next, "the endpoint has failed for too long", now);
            }
            next
        }
    }
}

fn disabled(health: WebhookHealth, why: &str, now: Micros) -> WebhookHealth {
    let why = Some(why.to_owned());
    WebhookHealth { disabled_at: Some(now), disabled_why: why, probe_at: None, changed_at: now, ..health }
}

/// How long the circuit stays open when it is opened for this time in a row: twice as long each time, less a random part of up to a half,
/// so that endpoints that failed together are not probed together.
fn pause(trips: i64, rules: &DeliveryRules, random: u64) -> Duration {
    let doublings = u32::try_from(trips.saturating_sub(1).clamp(0, 31)).unwrap_or(0);
    let longest = LONGEST_PAUSE.max(rules.breaker_pause);
    let pause = rules.breaker_pause.saturating_mul(1 << doublings).min(longest);
    pause / 2 + (pause / 2).mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Micros = 1_000_000;
    const FAILED: Verdict = Verdict::Failed { hold: None };

    fn rules() -> DeliveryRules {
        DeliveryRules {
            breaker_failures: 3,
            breaker_pause: Duration::from_secs(30),
            disable_after: Duration::from_hours(1),
            ..DeliveryRules::default()
        }
    }

    /// After these attempts, all at one moment, with the longest pauses that there may be.
    fn through(mut health: WebhookHealth, verdicts: &[Verdict], now: Micros) -> WebhookHealth {
        for verdict in verdicts {
            health = after(&health, *verdict, &rules(), now, u64::MAX);
        }
        health
    }

    fn new() -> WebhookHealth {
        WebhookHealth::new("acme/hook")
    }

    #[test]
    fn it_opens_after_failures_in_a_row_alone() {
        let mixed = [FAILED, FAILED, Verdict::Accepted, FAILED, FAILED];
        assert_eq!(through(new(), &mixed, 0).circuit(0), Circuit::Closed);
        let open = through(new(), &[FAILED; 3], SECOND);
        assert_eq!(open.circuit(SECOND), Circuit::Open { until: 31 * SECOND });
        assert_eq!((open.failures, open.failing_since, open.trips), (3, Some(SECOND), 1));
        assert_eq!([room(&new(), 0, 8), room(&open, SECOND, 8), room(&open, 31 * SECOND, 8)], [8, 0, 1]);
    }

    #[test]
    fn a_probe_closes_it_or_opens_it_for_twice_as_long() {
        let open = through(new(), &[FAILED; 3], 0);
        // Answers of attempts that were under way prolong nothing.
        let late = through(open.clone(), &[FAILED], SECOND);
        assert_eq!(late.probe_at, open.probe_at);
        let again = through(open.clone(), &[FAILED], 30 * SECOND);
        assert_eq!(again.circuit(30 * SECOND), Circuit::Open { until: 90 * SECOND });
        let closed = through(again, &[Verdict::Accepted], 90 * SECOND);
        assert_eq!(closed, WebhookHealth { changed_at: 90 * SECOND, ..new() });
        // One that was under way shows as well that it is there again.
        assert_eq!(through(open, &[Verdict::Accepted], SECOND).circuit(SECOND), Circuit::Closed);
    }

    #[test]
    fn pauses_have_an_end_and_are_not_all_the_same() {
        let pauses: Vec<u64> = (1..9).map(|trips| pause(trips, &rules(), u64::MAX).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1800, 1800]);
        assert_eq!(pause(1, &rules(), 0), Duration::from_secs(15));
        assert_eq!(pause(i64::MAX, &rules(), u64::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn an_endpoint_that_asks_for_a_pause_gets_it() {
        let hold = |seconds| Verdict::Failed { hold: Some(Duration::from_secs(seconds)) };
        let held = through(new(), &[hold(7)], 0);
        assert_eq!((held.circuit(0), held.trips), (Circuit::Open { until: 7 * SECOND }, 0));
        assert_eq!(through(new(), &[hold(86_400)], 0).probe_at, Some(3600 * SECOND), "but not for ever");
        // The longer of the two.
        assert_eq!(through(new(), &[FAILED, FAILED, hold(7)], 0).probe_at, Some(30 * SECOND));
        // What was under way and is accepted does not shorten it; nor does it count as failed any more.
        let still = through(held.clone(), &[Verdict::Accepted], SECOND);
        assert_eq!((still.probe_at, still.failures, still.failing_since), (held.probe_at, 0, None));
        for one in [held, still] {
            assert_eq!(through(one, &[Verdict::Accepted], 7 * SECOND).circuit(7 * SECOND), Circuit::Closed);
        }
    }

    #[test]
    fn it_is_disabled_by_410_and_by_a_long_run_of_failures() {
        let gone = through(new(), &[Verdict::Gone], 5);
        assert_eq!((gone.disabled_at, room(&gone, 6, 8)), (Some(5), 0));
        assert!(gone.disabled_why.as_deref().unwrap().contains("410"));
        // Nothing that comes later changes that.
        assert_eq!(through(gone.clone(), &[Verdict::Accepted, FAILED], 9), gone);

        let hour = 3600 * SECOND;
        let few = through(through(new(), &[FAILED], 0), &[FAILED], hour);
        assert_eq!(few.disabled_at, None, "two failures are no run");
        assert_eq!(through(few, &[FAILED], hour).disabled_at, Some(hour));
        let early = through(new(), &[FAILED; 30], hour - 1);
        assert_eq!(early.disabled_at, None, "many at once are no long run");
    }

    #[test]
    fn what_is_well_is_not_written() {
        let well = WebhookHealth { changed_at: 7, ..new() };
        assert_eq!(through(well.clone(), &[Verdict::Accepted; 3], 9), well);
    }

    proptest! {
        /// Whatever an endpoint answers, and whenever: it is probed again in bounded time unless it is disabled.
        #[test]
        fn nothing_is_held_for_ever(
            steps in proptest::collection::vec((0u8..4, 0i64..4000, any::<u64>()), 0..60),
        ) {
            let (mut health, mut now) = (new(), 0);
            for (answer, wait, random) in steps {
                now += wait * SECOND;
                let verdict = match answer {
                    0 => Verdict::Accepted,
                    1 => Verdict::Failed { hold: Some(Duration::from_secs(random)) },
                    _ => FAILED,
                };
                health = after(&health, verdict, &rules(), now, random);
                prop_assert!(health.probe_at.is_none_or(|at| at - now <= 3600 * SECOND));
                prop_assert!(health.disabled_at.is_some() || room(&health, now + 3600 * SECOND, 8) > 0);
                prop_assert_eq!(health.failures == 0, health.failing_since.is_none());
            }
        }
    }
}
