//! The limits that can be changed while the gateway runs: what the configuration says, and over it what was set through the API.

use std::time::Duration;

use super::{Inner, Settings};
use crate::identity::ThrottleLimits;
use crate::identity::spec::{LimitsSpec, UploadsSpec};
use crate::records::{ObjectKey, ObjectKind, StoredObject};

/// What nobody may exceed, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Bytes per second that one session may send; none: unlimited.
    pub bandwidth_up: Option<u64>,
    /// Bytes per second that one session may receive; none: unlimited.
    pub bandwidth_down: Option<u64>,
    /// Requests that one identity may make in a minute on the API; none: as the front end was told at its start.
    pub requests_per_minute: Option<u32>,
    /// Failed logins.
    pub throttle: ThrottleLimits,
    /// How long a detached upload can be resumed.
    pub incomplete_expiry: Duration,
}

/// The id of the settings of `[limits]`.
pub const LIMITS: &str = "limits";
/// The id of the settings of `[uploads]`.
pub const UPLOADS: &str = "uploads";

impl Limits {
    /// What the configuration says.
    pub(crate) fn declared(settings: &Settings) -> Self {
        Self {
            max_file_size: settings.max_file_size,
            bandwidth_up: settings.bandwidth_up,
            bandwidth_down: settings.bandwidth_down,
            requests_per_minute: None,
            throttle: settings.throttle,
            incomplete_expiry: settings.incomplete_expiry,
        }
    }

    /// With what was set through the API. What cannot be used is passed over: the configuration counts then.
    pub(crate) fn with(mut self, objects: &[StoredObject]) -> Self {
        if let Some(set) = setting::<LimitsSpec>(objects, LIMITS) {
            set.put_over(&mut self);
        }
        if let Some(set) = setting::<UploadsSpec>(objects, UPLOADS) {
            set.put_over(&mut self);
        }
        self
    }
}

fn setting<S: crate::admin::Spec>(objects: &[StoredObject], id: &str) -> Option<S> {
    let key = ObjectKey::new("", ObjectKind::Setting, id);
    let object = objects.iter().find(|object| object.key == key)?;
    let read = serde_json::from_str::<S>(&object.body).map_err(|_| "its body cannot be read".to_owned());
    let right = read.and_then(|spec| match spec.check(&key, &std::collections::BTreeSet::new()) {
        Ok(()) => Ok(spec),
        Err(faults) => Err(faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.field, fault.detail))
            .collect::<Vec<_>>()
            .join("; ")),
    });
    match right {
        Ok(spec) => Some(spec),
        Err(why) => {
            tracing::error!(id, why, "what was set through the API is left out; the configuration counts");
            None
        }
    }
}

impl Inner {
    /// The limits of now.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    /// Makes the limits those that these objects set.
    pub(crate) fn follow_limits(&self, objects: &[StoredObject]) {
        let next = Limits::declared(&self.rules()).with(objects);
        if self.limits.send_replace(next) != next {
            self.throttle.set_limits(next.throttle);
            self.codes.set_limits(next.throttle);
            tracing::info!(?next, "the limits have changed");
        }
    }
}
