//! Addresses to listen on, for every listener alike.

use std::net::SocketAddr;

use super::reader::Section;
use super::value;

/// The addresses under a key, or the default. No two listeners of the file may have the same one.
pub fn addresses(section: &Section<'_>, key: &'static str, default: &str) -> Vec<SocketAddr> {
    let Some(found) = section.texts(key, value::address) else {
        return if section.is_present() { default.parse().into_iter().collect() } else { Vec::new() };
    };
    let report = section.report();
    if found.value.is_empty() && key == "listen" {
        report.error(&found.spot, "has no address; give one, or remove the whole table to switch the protocol off");
    }
    for address in &found.value {
        if address.value.port() != 0 {
            report.claim("address", "", &address.value.to_string(), &address.spot);
        }
    }
    found.value.into_iter().map(|address| address.value).collect()
}
