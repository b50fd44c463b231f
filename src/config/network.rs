//! `[network]`: proxies in front of the gateway.

use ipnet::IpNet;

use super::reader::Section;
use super::value;

/// Reads the table: the networks of the proxies that are believed.
pub fn read(section: &Section<'_>) -> Vec<IpNet> {
    let proxies = section.texts("trusted_proxies", value::network);
    proxies.map(|proxies| proxies.value.into_iter().map(|network| network.value).collect()).unwrap_or_default()
}
