//! `[network]`: proxies in front of the gateway.

use super::reader::Section;
use super::value;

/// Reads the table. Nothing of it is built yet.
pub fn read(section: &Section<'_>) {
    if let Some(proxies) = section.texts("trusted_proxies", value::network)
        && !proxies.value.is_empty()
    {
        section.report().not_built(&proxies.spot, "the PROXY protocol");
    }
}
