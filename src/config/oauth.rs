//! What `[oauth]` says of grants: how long what people allow applications counts.

use causeway_core::gateway::OAuthSettings;

use super::reader::Section;
use super::value;

/// Reads the keys of the table that are about grants.
pub fn read(section: &Section<'_>) -> OAuthSettings {
    let default = OAuthSettings::default();
    let duration = |key, default| section.text(key, value::duration).map_or(default, |found| found.value);
    OAuthSettings {
        refresh_idle: duration("refresh_token_idle", default.refresh_idle),
        refresh_lifetime: duration("refresh_token_lifetime", default.refresh_lifetime),
        ..default
    }
}
