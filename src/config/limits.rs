//! `[limits]`: sizes, bandwidth, failed logins, sessions, penalties.

use std::time::Duration;

use causeway_core::identity::{Overflow, PenaltyLimits, SessionLimits};

use super::reader::Section;
use super::value;

const REQUESTS_PER_MINUTE: u32 = 6000;
/// One address may ask for several identities: as with failed logins, ten times what one may.
const OF_AN_ADDRESS: u32 = 10;

/// No single client takes all that there is. It is far above what a partner needs, since many of them may come through
/// one address (NAT, a balancer).
const SESSIONS_PER_ADDRESS: u32 = 1_000;

/// What becomes of sources that the tables have no room for.
pub const OVERFLOW: &[(&str, Overflow)] = &[("permissive", Overflow::Permissive), ("deny-all", Overflow::DenyAll)];

/// What nobody may exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Bytes per second that one session may send.
    pub bandwidth_up: Option<u64>,
    /// Bytes per second that one session may receive.
    pub bandwidth_down: Option<u64>,
    /// Requests that one identity may make in a minute, on the API.
    pub requests_per_minute: u32,
    /// Requests that may come from one address in a minute, on the API.
    pub requests_per_minute_per_address: u32,
    /// Failed logins of one (login, address) in the window.
    pub failed_logins: u32,
    /// The window.
    pub failed_logins_window: Duration,
    /// How long logins are then refused.
    pub ban: Duration,
    /// Sessions at once.
    pub sessions: SessionLimits,
    /// What connections without a login cost.
    pub penalties: PenaltyLimits,
}

impl Limits {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let requests = |key, default| section.number(key, 1..=u32::MAX).map_or(default, |f| f.value);
        let requests_per_minute = requests("requests_per_minute", REQUESTS_PER_MINUTE);
        let of_an_address = requests_per_minute.saturating_mul(OF_AN_ADDRESS);
        let duration = |key: &'static str, default: u64| {
            section.text(key, value::duration).map_or(Duration::from_secs(default), |f| f.value)
        };
        Self {
            max_file_size: section.text("max_file_size", value::size).map_or(100 << 30, |f| f.value),
            bandwidth_up: section.text_or_empty("bandwidth_up", value::rate).map(|f| f.value),
            bandwidth_down: section.text_or_empty("bandwidth_down", value::rate).map(|f| f.value),
            requests_per_minute,
            requests_per_minute_per_address: requests("requests_per_minute_per_address", of_an_address),
            failed_logins: section.number("failed_logins", 1..=1_000_000).map_or(10, |f| f.value),
            failed_logins_window: duration("failed_logins_window", 600),
            ban: duration("ban", 900),
            sessions: SessionLimits {
                per_login: section.number("sessions_per_login", 1..=1_000_000).map(|f| f.value),
                per_address: Some(
                    section.number("sessions_per_address", 1..=1_000_000).map_or(SESSIONS_PER_ADDRESS, |f| f.value),
                ),
            },
            penalties: penalties(section),
        }
    }
}

/// The keys are OpenSSH's words, with underscores.
fn penalties(limits: &Section<'_>) -> PenaltyLimits {
    let section = limits.table("penalties");
    let default = PenaltyLimits::default();
    let time = |key, default| section.text(key, value::duration_or_zero).map_or(default, |f| f.value);
    let count = |key, default| section.number(key, 1..=10_000_000).map_or(default, |f| f.value as usize);
    let bits = |key, most, default| section.number(key, 1..=most).map_or(default, |f| f.value as u8);
    let exempt = limits.texts("penalty_exempt", value::network).map(|f| f.value).unwrap_or_default();
    let (min, max) = (time("min", default.min), time("max", default.max));
    if max < min {
        section.report().error(&section.spot(), "min is above max; nobody would ever be refused");
    }
    PenaltyLimits {
        enabled: section.flag("enabled").is_none_or(|f| f.value),
        no_auth: time("noauth", default.no_auth),
        auth_fail: time("authfail", default.auth_fail),
        invalid_user: time("invaliduser", default.invalid_user),
        refuse_connection: time("refuseconnection", default.refuse_connection),
        grace_exceeded: time("grace_exceeded", default.grace_exceeded),
        min,
        max,
        max_sources4: count("max_sources4", default.max_sources4),
        max_sources6: count("max_sources6", default.max_sources6),
        overflow: section.text("overflow", value::one_of(OVERFLOW)).map_or(default.overflow, |f| f.value),
        netblock4: bits("netblock4", 32, default.netblock4),
        netblock6: bits("netblock6", 128, default.netblock6),
        exempt: exempt.into_iter().map(|network| network.value).collect(),
    }
}
