//! The texts that stand in the configuration: durations, sizes, addresses, names, globs … Each parser answers the
//! value, or what is wrong and what to write instead. Those that the API reads, too, are core's.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

pub use causeway_core::identity::texts::{
    certificate_match, duration, duration_or_zero, key_line, network, one_of, require, size, slug, storage_path,
    tree_path, username,
};
use causeway_core::identity::{PublicKey, SignatureKey};
use globset::{Glob, GlobBuilder};
use reqwest::Url;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reader::{Parsed, nearest};
use crate::startups::StartupLimits;

/// Any text that is not empty and has no control characters.
pub fn words(text: &str) -> Parsed<String> {
    if text.is_empty() {
        return Err("is empty; write a value".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character in it; remove it".to_owned());
    }
    Ok(text.to_owned())
}

/// A rate in bytes per second: a size and `/s`.
pub fn rate(text: &str) -> Parsed<u64> {
    let wrong = || format!("`{text}` is no rate; write it like \"50 MiB/s\"");
    size(text.strip_suffix("/s").ok_or_else(wrong)?.trim_end()).map_err(|_| wrong())
}

/// Bounds for connections that have not logged in: `begin:percent:full`, or one number for a plain limit.
pub fn startups(text: &str) -> Parsed<StartupLimits> {
    let wrong = || format!("`{text}` is not understood; write begin:percent:full like \"200:30:1000\", or one number");
    let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let limits = match numbers.as_deref() {
        Some([full]) => StartupLimits { begin: *full, percent: 100, full: *full },
        Some([begin, percent, full]) => StartupLimits { begin: *begin, percent: *percent, full: *full },
        _ => return Err(wrong()),
    };
    if limits.begin == 0
        || limits.full < limits.begin
        || limits.full > 1_000_000
        || !(1..=100).contains(&limits.percent)
    {
        return Err(format!(
            "`{text}` is out of range; the first number is at least 1 and not above the third, the second is 1 to 100"
        ));
    }
    Ok(limits)
}

/// A literal address and port to listen on; port 0 lets the system choose one.
pub fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        format!("`{text}` is no address; write IP:PORT like \"127.0.0.1:2022\", \"0.0.0.0:22\" or \"[::]:22\"")
    })
}

/// A range of ports.
pub fn ports(text: &str) -> Parsed<RangeInclusive<u16>> {
    let wrong = || format!("`{text}` is no range of ports; write it like \"50000-50099\"");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let parse = |port: &str| port.trim().parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(wrong);
    let (first, last) = (parse(first)?, parse(last)?);
    if first > last {
        return Err(format!("`{text}` ends before it begins; write the lower port first"));
    }
    Ok(first..=last)
}

/// A path on this machine. It is not looked at here.
pub fn file_path(text: &str) -> Parsed<String> {
    words(text)
}

/// A glob over one name or word: `*`, `?`, `[…]`, `{a,b}`.
pub fn name_glob(text: &str) -> Parsed<Glob> {
    if text.is_empty() || text.contains('/') {
        return Err(format!("`{text}` is matched against the name alone; write a pattern without / like \"*.part\""));
    }
    glob(text)
}

/// A glob over paths of the tree: `*` stays inside a folder, `**` goes below.
pub fn path_glob(text: &str) -> Parsed<Glob> {
    causeway_core::identity::spec::path_glob(text)
}

fn glob(text: &str) -> Parsed<Glob> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|e| format!("`{text}` is no pattern: {}; correct it", e.kind()))
}

/// An event's kind, or a glob over kinds that matches one of them at least.
pub fn event_kinds(text: &str) -> Parsed<Glob> {
    let kinds = causeway_core::events::EVENT_KINDS;
    let glob = glob(text)?;
    let matcher = glob.compile_matcher();
    if kinds.iter().any(|kind| matcher.is_match(kind)) {
        return Ok(glob);
    }
    let hint = nearest(text, kinds.iter().copied()).unwrap_or("file.uploaded");
    Err(format!("`{text}` is no kind of event; write one like \"{hint}\" or \"transfer.*\""))
}

/// A moment.
pub fn moment(text: &str) -> Parsed<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("`{text}` is no RFC 3339 time; write it like \"2027-12-31T00:00:00Z\""))
}

/// An absolute URL with one of these schemes and a host, without a password in it.
pub fn url(text: &str, schemes: &[&str]) -> Parsed<Url> {
    let expected = || format!("write one that begins with {}://", schemes.join(":// or "));
    let url = Url::parse(text).map_err(|e| format!("`{text}` is no URL ({e}); {}", expected()))?;
    if url.password().is_some() {
        return Err("has a password in clear in it; take it out".to_owned());
    }
    if !schemes.contains(&url.scheme()) || url.host().is_none() {
        return Err(format!("`{text}` is no URL for this; {}", expected()));
    }
    Ok(url)
}

/// An http or https URL.
pub fn web_url(text: &str) -> Parsed<Url> {
    url(text, &["https", "http"])
}

/// An origin as browsers send it: scheme, host, port, nothing behind; or `*`.
pub fn origin(text: &str) -> Parsed<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = web_url(text)?;
    if url.origin().ascii_serialization() == text {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no origin; write \"{}\"", url.origin().ascii_serialization()))
    }
}

/// A host as clients write it behind `https://`: a name or an address, and a port where it is not 443.
pub fn authority(text: &str) -> Parsed<String> {
    let wrong = || format!("`{text}` is no host; write \"files.example.com\" or \"10.0.0.5:8443\"");
    let url = Url::parse(&format!("https://{text}")).map_err(|_| wrong())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let written = format!("{}{port}", url.host_str().unwrap_or_default());
    if written == text.to_ascii_lowercase() { Ok(written) } else { Err(wrong()) }
}

/// A public key that requests are signed with.
pub fn signature_key(text: &str) -> Parsed<SignatureKey> {
    SignatureKey::parse(text).ok_or_else(|| {
        "is no public key of Ed25519 or ECDSA on P-256; write what `openssl pkey -pubout` prints".to_owned()
    })
}

/// One line of an OpenSSH public key.
pub fn public_key(text: &str) -> Parsed<PublicKey> {
    PublicKey::from_line(text).ok_or_else(|| {
        "is no OpenSSH public key; write the line of the .pub file (`ssh-ed25519 AAAA… comment`), without options"
            .to_owned()
    })
}

/// The fingerprint of a host key as OpenSSH prints it.
pub fn key_fingerprint(text: &str) -> Parsed<String> {
    use base64::Engine as _;
    let digest =
        text.strip_prefix("SHA256:").and_then(|t| base64::engine::general_purpose::STANDARD_NO_PAD.decode(t).ok());
    match digest {
        Some(digest) if digest.len() == 32 => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is no fingerprint; write SHA256: and what `ssh-keygen -lf` prints")),
    }
}

/// A time zone of the IANA database, by its shape; whether it exists is asked when schedules run.
pub fn timezone(text: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_uppercase()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no time zone; write one like \"Europe/Berlin\" or \"UTC\""))
    }
}

/// A cron expression of five fields: minute, hour, day of month, month, day of week.
pub fn cron(text: &str) -> Parsed<String> {
    const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let fields: [(&str, u32, u32, &[&str], u32); 5] = [
        ("minute", 0, 59, &[], 0),
        ("hour", 0, 23, &[], 0),
        ("day of month", 1, 31, &[], 0),
        ("month", 1, 12, MONTHS, 1),
        ("day of week", 0, 7, DAYS, 0),
    ];
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    if parts.len() != fields.len() {
        return Err(format!("`{text}` has {} fields; write five like \"0 2 * * *\"", parts.len()));
    }
    for (part, (name, low, high, names, base)) in parts.into_iter().zip(fields) {
        let number = |t: &str| {
            let named = names.iter().position(|n| n.eq_ignore_ascii_case(t)).map(|i| i as u32 + base);
            named.or_else(|| t.parse().ok()).filter(|n| (low..=high).contains(n))
        };
        let item = |item: &str| {
            let (range, step) = item.split_once('/').map_or((item, None), |(r, s)| (r, Some(s)));
            let step_good = step.is_none_or(|s| s.parse::<u32>().is_ok_and(|n| n > 0 && n <= high));
            let range_good = range == "*"
                || match range.split_once('-') {
                    Some((a, b)) => number(a).zip(number(b)).is_some_and(|(a, b)| a <= b),
                    None => number(range).is_some(),
                };
            step_good && range_good
        };
        if !part.split(',').all(item) {
            return Err(format!(
                "`{part}` is no {name} of a cron expression; write {low} to {high}, *, */n, a-b or a list"
            ));
        }
    }
    Ok(text.to_owned())
}

/// A word of a set that core knows (permissions, scopes).
pub fn word<T: Copy + 'static>(
    all: &'static [T],
    spell: fn(T) -> &'static str,
    what: &'static str,
) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        all.iter().copied().find(|w| spell(*w) == text).ok_or_else(|| {
            let words: Vec<&str> = all.iter().map(|w| spell(*w)).collect();
            let hint = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of {}", words.join(", ")),
            };
            format!("`{text}` is no {what}; {hint}")
        })
    }
}
