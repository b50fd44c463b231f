//! Lines of `authorized_keys` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"): a key and the options that this gateway honours.
//! A line with an option that it could not honour is refused, never read without it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use subtle::ConstantTimeEq as _;
use time::{Date, Month, PrimitiveDateTime, Time};

use super::source::{lies_in, unmapped};
use super::{Presence, PresenceDemand, PublicKey};

/// Options that only take away, or give back, what is not here at all: forwarding, terminals, start-up files.
const IDLE: &[&str] = &[
    "restrict",
    "pty",
    "no-pty",
    "port-forwarding",
    "no-port-forwarding",
    "agent-forwarding",
    "no-agent-forwarding",
    "x11-forwarding",
    "no-x11-forwarding",
    "user-rc",
    "no-user-rc",
];

/// How IPv4-mapped addresses begin.
const MAPPED: &str = "::ffff:";

/// A key that may log in, and when and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// The key.
    pub key: PublicKey,
    /// `from=`; none: from anywhere.
    from: Option<Vec<Source>>,
    /// `expiry-time=`: from this second on, since 1970, it does not count.
    expires: Option<i64>,
    /// `no-touch-required`, `verify-required`.
    demand: PresenceDemand,
    /// The line, where there was one.
    line: Option<Arc<str>>,
}

/// As it was written; a key that is no line's without options.
impl fmt::Display for AuthorizedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        if let Some(line) = &self.line {
            return f.write_str(line);
        }
        let blob = base64::engine::general_purpose::STANDARD.encode(&self.key.blob);
        write!(f, "{} {blob}", self.key.algorithm().unwrap_or_default())
    }
}

/// One pattern of `from=`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    negated: bool,
    pattern: Pattern,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Network(IpNet),
    /// With `*` and `?`, over the address as text.
    Wild(String),
}

/// Why a line is no key that may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLineError {
    /// There is no key in it.
    NoKey,
    /// The key's kind is not accepted.
    Kind(String),
    /// The RSA key is too short or too long, in bits.
    RsaBits(usize),
    /// An option that is not honoured here.
    Option(String),
    /// A pattern of `from=` that is no address, network or wildcard over addresses.
    From(String),
    /// An `expiry-time=` that is no time.
    Expiry(String),
}

impl fmt::Display for KeyLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => {
                f.write_str("is no OpenSSH public key; write the line of the .pub file (`ssh-ed25519 AAAA… comment`)")
            }
            Self::Kind(kind) => {
                write!(f, "is a key of the kind `{kind}`, which is not accepted; use Ed25519, ECDSA or RSA")
            }
            Self::RsaBits(bits) => write!(f, "is an RSA key of {bits} bits; use one of 2048 to 16384"),
            Self::Option(option) => {
                write!(f, "has the option `{option}`, which is not honoured here; remove it, or do not use the key")
            }
            Self::From(pattern) => {
                write!(f, "has `{pattern}` in from=, but names are not looked up; write addresses or networks")
            }
            Self::Expiry(time) => write!(
                f,
                "has the expiry-time `{time}`, which is no time; write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS (UTC)"
            ),
        }
    }
}

impl std::error::Error for KeyLineError {}

impl From<PublicKey> for AuthorizedKey {
    /// Without options.
    fn from(key: PublicKey) -> Self {
        Self { key, from: None, expires: None, demand: PresenceDemand::default(), line: None }
    }
}

impl AuthorizedKey {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, KeyLineError> {
        let line = line.trim();
        let (options, key) = if let Some(key) = PublicKey::from_line(line) {
            (Vec::new(), key)
        } else {
            let (options, rest) = split_options(line).ok_or(KeyLineError::NoKey)?;
            (options, PublicKey::from_line(rest).ok_or(KeyLineError::NoKey)?)
        };
        let mut out = Self::from(key);
        out.line = Some(line.into());
        for option in options {
            out.take(&option)?;
        }
        out.check()?;
        Ok(out)
    }

    fn check(&self) -> Result<(), KeyLineError> {
        if self.key.is_accepted() {
            return Ok(());
        }
        Err(match (self.key.rsa_bits(), self.key.algorithm()) {
            (Some(bits), _) => KeyLineError::RsaBits(bits),
            (None, Some(kind)) => KeyLineError::Kind(kind.to_owned()),
            (None, None) => KeyLineError::NoKey,
        })
    }

    fn take(&mut self, option: &str) -> Result<(), KeyLineError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let unknown = || KeyLineError::Option(name.to_owned());
        match (name.to_ascii_lowercase().as_str(), value) {
            ("from", Some(value)) => {
                let sources = value.split(',').map(Source::parse).collect::<Result<Vec<_>, _>>()?;
                // OpenSSH takes one alone; two would have to be one list.
                if self.from.replace(sources).is_some() {
                    return Err(unknown());
                }
            }
            ("expiry-time", Some(value)) => {
                let end = moment(value).ok_or_else(|| KeyLineError::Expiry(value.to_owned()))?;
                self.expires = Some(self.expires.map_or(end, |other| other.min(end)));
            }
            ("no-touch-required", None) => self.demand.touch = false,
            // A key in software verifies nobody: with that option it could not be used.
            ("verify-required", None) if self.key.is_in_hardware() => self.demand.verification = true,
            (idle, None) if IDLE.contains(&idle) => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Whether a signature that says so of its holder is enough; none: it says nothing, as those by keys in software.
    pub fn is_content_with(&self, presence: Option<Presence>) -> bool {
        self.demand.is_met(&self.key, presence)
    }

    /// Whether this key lets in `key` that comes from `ip` at `now` (seconds since 1970).
    pub fn admits(&self, key: &PublicKey, ip: IpAddr, now: i64) -> bool {
        bool::from(self.key.blob.ct_eq(&key.blob))
            && self.expires.is_none_or(|end| now < end)
            && self.from.as_ref().is_none_or(|sources| comes_from(sources, ip))
    }
}

/// Reads the text of a whole file: the keys, and what is wrong with which line (from 1). Empty lines and comments are
/// neither.
pub fn parse_key_file(text: &str) -> (Vec<AuthorizedKey>, Vec<(usize, KeyLineError)>) {
    let (mut keys, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match AuthorizedKey::parse(line) {
            Ok(key) => keys.push(key),
            Err(error) => wrong.push((number + 1, error)),
        }
    }
    (keys, wrong)
}

impl Source {
    fn parse(text: &str) -> Result<Self, KeyLineError> {
        let refuse = || KeyLineError::From(text.to_owned());
        let (negated, bare) = text.strip_prefix('!').map_or((false, text), |bare| (true, bare));
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self { negated, pattern: Pattern::Network(IpNet::from(ip.to_canonical())) });
        }
        if let Ok(network) = bare.parse::<IpNet>() {
            let network = unmapped(network).ok_or_else(refuse)?;
            return Ok(Self { negated, pattern: Pattern::Network(network) });
        }
        let bare = unmapped_text(bare);
        let of_addresses = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '*' | '?');
        let wild = bare.contains(['*', '?']) && bare.chars().all(of_addresses);
        // `a*` could be meant as a name as well as an address of version 6; with `:`, `.` or alone it can not.
        let plain = bare.chars().all(|c| !c.is_ascii_alphabetic()) || bare.contains(':');
        // No address is written with both.
        let mixed = bare.contains(':') && bare.contains('.');
        if wild && plain && !mixed && !is_mapped_text(bare) {
            Ok(Self { negated, pattern: Pattern::Wild(bare.to_ascii_lowercase()) })
        } else {
            Err(refuse())
        }
    }

    fn holds(&self, ip: IpAddr) -> bool {
        match &self.pattern {
            Pattern::Network(network) => lies_in(*network, ip),
            Pattern::Wild(pattern) => wild_match(pattern.as_bytes(), ip.to_string().as_bytes()),
        }
    }
}

/// What [`unmapped`] is for networks, for a pattern with wildcards: `::ffff:192.0.2.*` is `192.0.2.*`.
fn unmapped_text(pattern: &str) -> &str {
    if !is_mapped_text(pattern) {
        return pattern;
    }
    pattern.get(MAPPED.len()..).filter(|rest| rest.contains('.') && !rest.contains(':')).unwrap_or(pattern)
}

fn is_mapped_text(pattern: &str) -> bool {
    pattern.get(..MAPPED.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAPPED))
}

/// One pattern must hold, and no negated one (ssh_config(5), "PATTERNS").
fn comes_from(sources: &[Source], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    sources.iter().all(|source| !source.negated || !source.holds(ip))
        && sources.iter().any(|source| !source.negated && source.holds(ip))
}

/// `*` is any text, `?` one character. It goes back to the last `*` alone, so that it takes no more than quadratic time.
fn wild_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(here) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(one) if *one == b'?' || one == byte => {
                at += 1;
                here += 1;
            }
            _ => match star {
                Some((back, taken)) => {
                    star = Some((back, taken + 1));
                    at = back + 1;
                    here = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// The options in front of a key, without their quotes, and the rest of the line. None where a quote is not closed.
fn split_options(line: &str) -> Option<(Vec<String>, &str)> {
    let (mut options, mut one) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = line.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                one.push('"');
            }
            ',' if !quoted => options.push(std::mem::take(&mut one)),
            ' ' | '\t' if !quoted => {
                options.push(one);
                return Some((options, line.get(at..)?.trim_start()));
            }
            c => one.push(c),
        }
    }
    None
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without `Z`: all of them UTC, as the gateway knows no other zone.
fn moment(text: &str) -> Option<i64> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<u16>().ok());
    let small = |from, to| part(from, to).and_then(|part| u8::try_from(part).ok());
    let month = Month::try_from(small(4, 6)?).ok()?;
    let date = Date::from_calendar_date(i32::from(part(0, 4)?), month, small(6, 8)?).ok()?;
    let time = Time::from_hms(small(8, 10)?, small(10, 12)?, small(12, 14)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::public_key::tests::blob;

    fn line(key: &PublicKey) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(&key.blob);
        format!("{} {text} somebody@somewhere", key.algorithm().unwrap())
    }

    fn key() -> PublicKey {
        blob(&[b"ssh-ed25519", &[7; 32]])
    }

    fn admits(options: &str, ip: &str, now: i64) -> bool {
        let line = format!("{options} {}", line(&key()));
        AuthorizedKey::parse(&line).unwrap().admits(&key(), ip.parse().unwrap(), now)
    }

    #[test]
    fn options_that_are_honoured() {
        let cases: &[(&str, &str, i64, bool)] = &[
            ("", "192.0.2.7", 0, true),
            ("restrict", "192.0.2.7", 0, true),
            ("no-pty,no-port-forwarding,No-X11-Forwarding,no-agent-forwarding,no-user-rc", "192.0.2.7", 0, true),
            ("from=\"192.0.2.0/24\"", "192.0.2.7", 0, true),
            ("from=\"192.0.2.0/24\"", "::ffff:192.0.2.7", 0, true),
            ("from=\"192.0.2.0/24\"", "192.0.3.7", 0, false),
            ("from=\"192.0.2.0/24,!192.0.2.7\"", "192.0.2.7", 0, false),
            ("from=\"!192.0.2.7,192.0.2.0/24\"", "192.0.2.8", 0, true),
            ("from=\"!192.0.2.7\"", "192.0.2.8", 0, false),
            ("from=\"192.0.2.*,2001:db8::*\"", "192.0.2.77", 0, true),
            ("from=\"192.0.2.*,2001:DB8::*\"", "2001:db8::1", 0, true),
            ("from=\"192.0.2.?\"", "192.0.2.77", 0, false),
            ("from=\"*\"", "198.51.100.1", 0, true),
            ("from=\"*,!::ffff:192.0.2.0/120\"", "192.0.2.7", 0, false),
            ("from=\"*,!::ffff:192.0.2.0/120\"", "::ffff:192.0.2.7", 0, false),
            ("from=\"*,!::ffff:192.0.2.0/120\"", "192.0.3.7", 0, true),
            ("from=\"*,!::ffff:0:0/96\"", "192.0.2.7", 0, false),
            ("from=\"*,!::ffff:0:0/96\"", "2001:db8::1", 0, true),
            ("from=\"::FFFF:c000:200/120\"", "192.0.2.7", 0, true),
            ("from=\"*,!::FFFF:192.0.2.*\"", "192.0.2.7", 0, false),
            ("from=\"::ffff:192.0.2.*\"", "192.0.2.7", 0, true),
            ("from=\"*,!::/0\"", "192.0.2.7", 0, true),
            ("restrict,from=\"10.0.0.0/8\",pty", "10.1.2.3", 0, true),
            ("expiry-time=\"20300101\"", "192.0.2.7", 1_893_455_999, true),
            ("expiry-time=\"20300101\"", "192.0.2.7", 1_893_456_000, false),
            ("expiry-time=\"203001010000Z\"", "192.0.2.7", 1_893_456_000, false),
            ("expiry-time=\"20300101000001\"", "192.0.2.7", 1_893_456_000, true),
            ("expiry-time=\"20300101\",expiry-time=\"20290101\"", "192.0.2.7", 1_893_455_999, false),
        ];
        for (options, ip, now, wanted) in cases {
            assert_eq!(admits(options, ip, *now), *wanted, "{options} {ip} {now}");
        }
        let other = blob(&[b"ssh-ed25519", &[8; 32]]);
        assert!(!AuthorizedKey::from(key()).admits(&other, "192.0.2.7".parse().unwrap(), 0));
    }

    #[test]
    fn what_a_hardware_key_has_to_show() {
        let hardware = blob(&[b"sk-ssh-ed25519@openssh.com", &[7; 32], b"ssh:"]);
        let content = |options: &str, key: &PublicKey, flags: Option<u8>| {
            let key = AuthorizedKey::parse(&format!("{options} {}", line(key))).unwrap();
            key.is_content_with(flags.map(Presence::from_flags))
        };
        for (options, flags, wanted) in [
            ("restrict", 0x00, false),
            ("restrict", 0x01, true),
            ("no-touch-required", 0x00, true),
            ("verify-required", 0x01, false),
            ("Verify-Required", 0x05, true),
            ("no-touch-required,verify-required", 0x04, true),
            ("no-touch-required,verify-required", 0x01, false),
        ] {
            assert_eq!(content(options, &hardware, Some(flags)), wanted, "{options} {flags:#x}");
        }
        assert!(content("no-touch-required", &key(), None), "a key in software has no touch");
        assert!(!content("no-touch-required", &hardware, None), "no signature of a hardware key is without flags");
    }

    #[test]
    fn lines_that_are_refused() {
        use KeyLineError as Wrong;
        let option = |name: &str| Wrong::Option(name.to_owned());
        let good = line(&key());
        let rsa = blob(&[b"ssh-rsa", &[1, 0, 1], &[0x7f; 128]]);
        let dsa = blob(&[b"ssh-dss", &[1; 20]]);
        let cases: &[(String, KeyLineError)] = &[
            (format!("command=\"echo \\\"hi, there\\\"\" {good}"), option("command")),
            (format!("cert-authority {good}"), option("cert-authority")),
            (format!("principals=\"a,b\" {good}"), option("principals")),
            (format!("verify-required {good}"), option("verify-required")),
            (format!("environment=\"A=b\" {good}"), option("environment")),
            (format!("restrict,tunnel=\"0\" {good}"), option("tunnel")),
            (format!("restrict=\"yes\" {good}"), option("restrict")),
            (format!("from=\"10.0.0.0/8\",from=\"*\" {good}"), option("from")),
            (format!("from=\"*.example\" {good}"), Wrong::From("*.example".into())),
            (format!("from=\"partner\" {good}"), Wrong::From("partner".into())),
            (format!("from=\"\" {good}"), Wrong::From(String::new())),
            (format!("from=\"*,!::ffff:192.0.2.0/24\" {good}"), Wrong::From("!::ffff:192.0.2.0/24".into())),
            (format!("from=\"*,!::ffff:c000:*\" {good}"), Wrong::From("!::ffff:c000:*".into())),
            (format!("from=\"*,!0::ffff:192.0.2.*\" {good}"), Wrong::From("!0::ffff:192.0.2.*".into())),
            (format!("expiry-time=\"2030\" {good}"), Wrong::Expiry("2030".into())),
            (format!("expiry-time=\"20301301\" {good}"), Wrong::Expiry("20301301".into())),
            (format!("from=\"10.0.0.0/8 {good}"), Wrong::NoKey),
            ("ssh-ed25519 nope".to_owned(), Wrong::NoKey),
            (String::new(), Wrong::NoKey),
            (good.replace("ssh-ed25519 ", "ssh-rsa "), Wrong::NoKey),
            (line(&rsa), Wrong::RsaBits(1023)),
            (line(&dsa), Wrong::Kind("ssh-dss".into())),
        ];
        for (line, wanted) in cases {
            assert_eq!(AuthorizedKey::parse(line).unwrap_err(), *wanted, "{line}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_end() {
        let good = line(&key());
        let text = format!("# keys of branch 17\n\n{good}\r\ncommand=\"x\" {good}\n  \n  restrict {good}\nrubbish\n");
        let (keys, wrong) = parse_key_file(&text);
        assert_eq!(keys.len(), 2);
        assert_eq!(wrong, [(4, KeyLineError::Option("command".into())), (7, KeyLineError::NoKey)]);
    }
}
