//! `[[tenant.remote]]`: somebody else's endpoint. Not built yet.

use super::Known;
use crate::config::reader::Section;
use crate::config::secret;
use crate::config::value;

/// What a remote speaks.
pub const KINDS: &[(&str, ())] = &[("sftp", ()), ("ftps", ()), ("https", ()), ("s3", ())];

/// Reads one table; its name.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<String> {
    let report = section.report();
    let name = section.require("name", section.text("name", value::slug));
    section.require("kind", section.text("kind", value::one_of(KINDS)));
    section.text("host", |text| match value::words(text)? {
        host if host.contains(|c: char| c.is_whitespace() || c == '/') => {
            Err(format!("`{host}` is no host; write its name or address alone"))
        }
        _ => Ok(()),
    });
    section.number("port", 1..=65_535);
    section.text("username", value::words);
    section.secret_or_empty("password", secret::any);
    section.secret_or_empty("private_key", secret::any);
    section.text("host_key", value::key_fingerprint);
    report.not_built(&section.spot(), "a remote");
    let name = name?;
    report.claim("remote", known.tenant, &name.value, &name.spot);
    Some(name.value)
}
