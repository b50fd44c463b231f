//! The texts by which people declare who is there, in the configuration and over the API alike: ids, names, networks,
//! paths, durations, sizes. Each parser answers the value, or what is wrong and what to write instead.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{AuthorizedKey, CertificateMatcher, Protocol, Require, unmapped};
use crate::path::{VirtualPath, check_prefix};

/// What a parser answers: the value, or what is wrong and what to do.
pub type Parsed<T> = Result<T, String>;

/// The longest id, in characters.
pub const MAX_SLUG: usize = 64;
/// The longest username, in characters.
pub const MAX_USERNAME: usize = 128;

/// The protocols that a login may come by, by their words.
pub const LOGIN_PROTOCOLS: &[(&str, Protocol)] =
    &[("sftp", Protocol::Sftp), ("ftps", Protocol::Ftps), ("api", Protocol::Api)];

/// An id: `[a-z0-9-]`, at most 64, not beginning or ending with a hyphen.
pub fn slug(text: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !text.is_empty()
        && text.len() <= MAX_SLUG
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no id; use a-z, 0-9 and inner hyphens, at most 64", text.escape_debug()))
    }
}

/// A login's name: 1 to 128 characters, no white space, no control character, no slash.
pub fn username(text: &str) -> Parsed<String> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if text.is_empty() || text.len() > MAX_USERNAME || text.chars().any(bad) {
        return Err(format!(
            "`{}` is no username; use 1 to 128 characters without spaces or slashes",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

fn amount<'t>(text: &'t str, example: &str) -> Parsed<(u64, &'t str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number.parse().map_err(|_| format!("`{text}` is not understood; write it like {example}"))?;
    Ok((number, unit.trim()))
}

/// A duration: a whole number and one of ms, s, m, h, d. May be zero.
pub fn duration_or_zero(text: &str) -> Parsed<Duration> {
    const EXAMPLE: &str = "\"30s\", \"15m\", \"24h\" or \"7d\"";
    let (number, unit) = amount(text, EXAMPLE)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is no duration; write it like {EXAMPLE}")),
    };
    // A century is enough for everybody, and keeps every later sum in range.
    match number.checked_mul(millis) {
        Some(millis) if millis <= 36_525 * 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err(format!("`{text}` is too long; write at most \"36525d\"")),
    }
}

/// A duration above zero.
pub fn duration(text: &str) -> Parsed<Duration> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err(format!("`{text}` is no time at all; write more than 0")),
        duration => Ok(duration),
    }
}

/// A duration as [`duration_or_zero`] reads it, in the largest unit that it is a whole number of.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, length)| millis > 0 && millis.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", millis / length),
        None => format!("{millis}ms"),
    }
}

/// A size in bytes: a whole number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB.
pub fn size(text: &str) -> Parsed<u64> {
    const EXAMPLE: &str = "\"512 MiB\" or \"100 GiB\"";
    let (number, unit) = amount(text, EXAMPLE)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(format!("`{text}` is no size; write it like {EXAMPLE}")),
    };
    match number.checked_mul(factor) {
        Some(bytes) => bytes_in_range(bytes, text),
        None => Err(format!("`{text}` is too large; write at most 2^63-1 bytes")),
    }
}

/// A number of bytes that a quota or limit may be: above zero, at most 2^63-1. `text`: how it was written.
pub fn bytes_in_range(bytes: u64, text: &str) -> Parsed<u64> {
    match bytes {
        0 => Err(format!("`{text}` is nothing; write more than 0, or leave the key out")),
        bytes if i64::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(format!("`{text}` is too large; write at most 2^63-1 bytes")),
    }
}

/// A network, or one address.
pub fn network(text: &str) -> Parsed<IpNet> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is no network; write it like \"192.0.2.0/24\" or \"2001:db8::/32\""))?;
    unmapped(network).ok_or_else(|| {
        format!("`{text}` goes beyond the IPv4 addresses that it is written with; write it like \"192.0.2.0/24\"")
    })
}

/// A path in a tree: absolute, normal (`/` or `/a/b`).
pub fn tree_path(text: &str) -> Parsed<VirtualPath> {
    if !text.starts_with('/') {
        return Err(format!("`{}` is no path in the tree; begin it with /", text.escape_debug()));
    }
    VirtualPath::parse(text).map_err(|e| format!("`{}`: {e}", text.escape_debug()))
}

/// A folder inside a storage: relative, plain names, without the slashes around it.
pub fn storage_path(text: &str) -> Parsed<String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    match check_prefix(path) {
        Ok(()) if !path.is_empty() => Ok(path.to_owned()),
        Ok(()) => Err(format!("`{text}` is no folder inside the storage; write a relative one like \"acme\"")),
        Err(error) => Err(format!("`{}`: {error}", text.escape_debug())),
    }
}

/// `sha256:` and 64 hex digits, or `san:` and a name.
pub fn certificate_match(text: &str) -> Parsed<CertificateMatcher> {
    CertificateMatcher::parse(text)
        .ok_or_else(|| format!("`{text}` names no certificate; write \"sha256:<64 hex digits>\" or \"san:<name>\""))
}

/// A line of `authorized_keys`.
pub fn key_line(text: &str) -> Parsed<AuthorizedKey> {
    AuthorizedKey::parse(text).map_err(|error| error.to_string())
}

/// What a login must prove.
pub fn require(text: &str) -> Parsed<Require> {
    Require::parse(text).ok_or_else(|| {
        format!(
            "`{text}` is not known here; write \"any\", or several of publickey or certificate, password and totp with + between them"
        )
    })
}

/// A protocol that a login may come by.
pub fn login_protocol(text: &str) -> Parsed<Protocol> {
    one_of(LOGIN_PROTOCOLS)(text)
}

/// One of a few words.
pub fn one_of<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("`{text}` is not known here; write {}", words.join(" or "))
        })
    }
}

/// One of the words of a set (permissions, scopes).
pub fn word<T: Copy>(all: &[T], spell: fn(T) -> &'static str, what: &str, text: &str) -> Parsed<T> {
    all.iter().copied().find(|word| spell(*word) == text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|word| spell(*word)).collect();
        format!("`{text}` is no {what}; write one of {}", words.join(", "))
    })
}

/// What is wrong with a `require` that asks for a code where the login has no secret, or the other way round.
pub fn code_fault(require: Require, has_secret: bool) -> Option<&'static str> {
    match (require.names(super::Factor::Totp), has_secret) {
        (true, false) => Some("asks for a code (totp), and there is no `totp_secret`; add it (`causeway totp-secret`)"),
        (false, true) => Some("is never asked for; write totp into `require`, like \"password+totp\""),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["7d", "36h", "90s", "15m", "1500ms", "1d", "0ms"] {
            let duration = duration_or_zero(text).unwrap();
            assert_eq!(duration_or_zero(&duration_text(duration)).unwrap(), duration);
            assert_eq!(duration_text(duration), text);
        }
        assert_eq!(duration_text(duration("48h").unwrap()), "2d");
    }

    #[test]
    fn a_code_needs_its_secret_and_the_other_way_round() {
        let asked = Require::parse("password+totp").unwrap();
        assert!(code_fault(asked, true).is_none() && code_fault(Require::Any, false).is_none());
        assert!(code_fault(asked, false).is_some() && code_fault(Require::Any, true).is_some());
    }
}
