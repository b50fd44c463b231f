//! Deliveries as values of a statement.

use causeway_core::records::{Delivery, DeliveryState};

use super::driver::{Value, values};

/// The word of a delivery's state.
pub(super) const fn delivery_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}

/// How rows of deliveries are put in, up to their values: those of [`delivery_rows`].
pub(super) const INSERT_DELIVERIES: &str =
    "INSERT INTO deliveries (webhook, event, position, state, attempts, next_at, last_result) ";

/// The values of deliveries, seven for each.
pub(super) fn delivery_rows(deliveries: &[Delivery]) -> Vec<Value<'_>> {
    deliveries
        .iter()
        .flat_map(|delivery| {
            values![
                &delivery.webhook,
                delivery.event,
                delivery.position,
                delivery_word(delivery.state),
                delivery.attempts,
                delivery.next_at,
                &delivery.last_result,
            ]
        })
        .collect()
}
