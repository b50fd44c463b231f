//! `[[tenant.mapping]]`: a rule instead of a list of logins. Not built yet.

use regex::Regex;

use super::Known;
use super::login;
use crate::config::reader::{Parsed, Section};
use crate::config::value;

/// Reads one table.
pub fn read(section: &Section<'_>, known: &Known<'_>) {
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    login::protocols(section);
    let pattern = section.require("username", section.text("username", pattern));
    let names: Option<Vec<String>> =
        pattern.map(|f| f.value.capture_names().flatten().map(ToOwned::to_owned).collect());
    let identity = section.require("identity", section.text("identity", value::slug));
    section.text("home", |text| {
        let filled = fill(text, names.as_deref())?;
        value::tree_path(&filled).map(|_| ())
    });
    section.text_or_empty("authorized_keys_file", |text| {
        let filled = fill(text, names.as_deref())?;
        if filled.starts_with('/') || filled.split('/').any(|part| part == "..") {
            return Err(format!("`{text}` is outside this file's folder; write a path below it"));
        }
        Ok(())
    });
    login::require(section);
    section.texts("allow_from", value::network);
    if let Some(id) = id {
        report.claim("mapping", known.tenant, &id.value, &id.spot);
    }
    if let Some(identity) = identity {
        known.identity(section, identity);
    }
    report.not_built(&section.spot(), "a rule for logins");
}

/// A regular expression that the whole name must match.
fn pattern(text: &str) -> Parsed<Regex> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("`{text}` is too large a regular expression; write a simpler one"),
        _ => format!("`{text}` is no regular expression; correct it, named groups are written (?<name>…)"),
    })
}

/// The text with `x` for each `${name}`; fails where a name is no group of the username.
fn fill(text: &str, names: Option<&[String]>) -> Parsed<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else {
            return Err(format!("`{text}` has a ${{ without its }}; close it"));
        };
        if names.is_some_and(|names| !names.iter().any(|known| known == name)) {
            return Err(format!("`${{{name}}}` is no named group of `username`; write (?<{name}>…) there"));
        }
        filled.push_str(before);
        filled.push('x');
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}
