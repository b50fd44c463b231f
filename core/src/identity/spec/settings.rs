//! Settings of the gateway that were set through the API. What is not set is as the configuration says.

use serde::{Deserialize, Serialize};

use super::{Fault, Faults};
use crate::gateway::Limits;
use crate::identity::texts;

/// `[limits]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Largest file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// Bytes per second that one session may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_up: Option<u64>,
    /// Bytes per second that one session may receive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_down: Option<u64>,
    /// Requests that one identity may make in a minute, on the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Failed logins of one (login, address) in the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_logins: Option<u64>,
    /// The window: a duration as the configuration writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_logins_window: Option<String>,
    /// How long logins are then refused: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<String>,
}

/// `[uploads]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadsSpec {
    /// How long a detached upload can be resumed: a duration as the configuration writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete_expiry: Option<String>,
}

/// A count in the range that the configuration takes, too.
fn count(faults: &mut Faults, field: &str, number: Option<u64>, most: u32) {
    if number.is_some_and(|number| !(1..=u64::from(most)).contains(&number)) {
        faults.note(field, format!("is out of range; give 1 to {most}"));
    }
}

fn duration(faults: &mut Faults, field: &str, text: Option<&String>) {
    if let Some(text) = text {
        faults.take(field, texts::duration(text));
    }
}

impl LimitsSpec {
    /// All that is wrong with it.
    pub fn faults(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        for (field, bytes) in [
            ("max_file_size", self.max_file_size),
            ("bandwidth_up", self.bandwidth_up),
            ("bandwidth_down", self.bandwidth_down),
        ] {
            faults.bytes(field, bytes);
        }
        count(&mut faults, "requests_per_minute", self.requests_per_minute, u32::MAX);
        count(&mut faults, "failed_logins", self.failed_logins, 1_000_000);
        duration(&mut faults, "failed_logins_window", self.failed_logins_window.as_ref());
        duration(&mut faults, "ban", self.ban.as_ref());
        faults.finish(Some(()))
    }

    /// Puts what is set over what is there.
    pub(crate) fn put_over(&self, limits: &mut Limits) {
        let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let time = |text: &Option<String>| text.as_deref().and_then(|text| texts::duration(text).ok());
        limits.max_file_size = self.max_file_size.unwrap_or(limits.max_file_size);
        limits.bandwidth_up = self.bandwidth_up.or(limits.bandwidth_up);
        limits.bandwidth_down = self.bandwidth_down.or(limits.bandwidth_down);
        limits.requests_per_minute = small(self.requests_per_minute).or(limits.requests_per_minute);
        limits.throttle.failures = small(self.failed_logins).unwrap_or(limits.throttle.failures);
        limits.throttle.window = time(&self.failed_logins_window).unwrap_or(limits.throttle.window);
        limits.throttle.ban = time(&self.ban).unwrap_or(limits.throttle.ban);
    }
}

impl UploadsSpec {
    /// All that is wrong with it.
    pub fn faults(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        duration(&mut faults, "incomplete_expiry", self.incomplete_expiry.as_ref());
        faults.finish(Some(()))
    }

    /// Puts what is set over what is there.
    pub(crate) fn put_over(&self, limits: &mut Limits) {
        let set = self.incomplete_expiry.as_deref().and_then(|text| texts::duration(text).ok());
        limits.incomplete_expiry = set.unwrap_or(limits.incomplete_expiry);
    }
}
