//! `[ftps]`: FTP over TLS.

use super::listen;
use super::reader::Section;
use super::value;

/// `off`, `optional` or `required`.
pub const CLIENT_CERTIFICATES: &[(&str, &str)] = &[("off", "off"), ("optional", "optional"), ("required", "required")];
/// `required` or `optional`.
pub const STRICTNESS: &[(&str, &str)] = &[("required", "required"), ("optional", "optional")];

/// Reads the table. The protocol is not built yet.
pub fn read(section: &Section<'_>) {
    listen::addresses(section, "listen", "127.0.0.1:2121");
    listen::addresses(section, "listen_implicit", "127.0.0.1:2990");
    section.text("passive_ports", value::ports);
    section.text("passive_address", |text| match text {
        "auto" => Ok(()),
        text if text.parse::<std::net::IpAddr>().is_ok() => Ok(()),
        text => Err(format!("`{text}` is no address to announce; write \"auto\" or an IP address")),
    });
    section.flag("active_mode");
    section.text("client_certificates", value::one_of(CLIENT_CERTIFICATES));
    section.text("session_reuse", value::one_of(STRICTNESS));
    section.text("close_notify", value::one_of(STRICTNESS));
    section.text("idle_timeout", value::duration);
    if section.is_present() {
        section.report().not_built(&section.spot(), "FTPS");
    }
}
