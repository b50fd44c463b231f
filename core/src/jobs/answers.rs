//! What an endpoint's answer means: for the delivery, and for the endpoint. Pure.

use crate::events::DeliveryRules;
use crate::events::breaker::Verdict;
use crate::events::schedule::backoff;
use crate::ports::Answer;
use crate::records::{Delivery, DeliveryState, Micros, later};

/// The longest result that is kept, in characters.
const MAX_RESULT: usize = 255;

/// What a delivery is after an attempt: 2xx ends it; 410 says that the endpoint is gone for good; anything else is tried
/// again later until the attempts are used up.
pub(super) fn judge(
    mut delivery: Delivery,
    answer: Answer,
    rules: &DeliveryRules,
    now: Micros,
    random: u64,
) -> Delivery {
    delivery.attempts += 1;
    let (state, result, retry_after) = match answer {
        Answer::Status(status @ 200..=299, _) => (DeliveryState::Delivered, status.to_string(), None),
        Answer::Status(410, _) => (DeliveryState::Dead, "410".to_owned(), None),
        Answer::Status(status, retry_after) => (DeliveryState::Pending, status.to_string(), retry_after),
        Answer::Failed(why) => {
            (DeliveryState::Pending, why.chars().filter(|c| *c != '\0').take(MAX_RESULT).collect(), None)
        }
    };
    delivery.last_result = Some(result);
    delivery.state = state;
    if state == DeliveryState::Pending {
        if delivery.attempts >= i64::from(rules.max_attempts) {
            delivery.state = DeliveryState::Dead;
        } else {
            delivery.next_at = later(now, backoff(rules, delivery.attempts, random, retry_after));
        }
    }
    delivery
}

/// What an answer says of the endpoint.
pub(super) const fn verdict(answer: &Answer) -> Verdict {
    match answer {
        Answer::Status(200..=299, _) => Verdict::Accepted,
        Answer::Status(410, _) => Verdict::Gone,
        Answer::Status(429 | 503, hold) => Verdict::Failed { hold: *hold },
        Answer::Status(..) | Answer::Failed(_) => Verdict::Failed { hold: None },
    }
}
