//! How a file or folder of the gateway looks to a client: attributes, and the line of `ls -l`.

use causeway_core::Entry;
use causeway_core::records::{Attributes, Micros};
use time::OffsetDateTime;

use crate::codec::{FileAttributes, NameEntry};

const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const DEFAULT_FOLDER: u32 = 0o755;
const DEFAULT_FILE: u32 = 0o644;

/// What a client sees of an entry. Where no client has set a mode or an owner, files are 0644, folders 0755, and the
/// owner is 0.
pub(super) fn attributes_of(entry: &Entry) -> FileAttributes {
    let set = &entry.attributes;
    let (kind, default) = if entry.folder { (FOLDER, DEFAULT_FOLDER) } else { (REGULAR, DEFAULT_FILE) };
    let modified = seconds(entry.modified_at);
    FileAttributes {
        size: Some(entry.size),
        owner: Some((set.uid.unwrap_or(0), set.gid.unwrap_or(0))),
        permissions: Some(kind | (set.mode.unwrap_or(default) & 0o7777)),
        times: Some((set.accessed_at.map_or(modified, seconds), modified)),
    }
}

/// What a client asked to be set, but for the size, which is content.
pub(super) fn to_be_set(attributes: &FileAttributes) -> Attributes {
    Attributes {
        modified_at: attributes.times.map(|(_, modified)| i64::from(modified) * 1_000_000),
        accessed_at: attributes.times.map(|(accessed, _)| i64::from(accessed) * 1_000_000),
        mode: attributes.permissions.map(|mode| mode & 0o7777),
        uid: attributes.owner.map(|(uid, _)| uid),
        gid: attributes.owner.map(|(_, gid)| gid),
    }
}

/// What a client asked for something that is made now. The bits that let group and others write are left out, as
/// OpenSSH's server does by its usual umask: clients ask for 0777 and count on that. `SETSTAT` sets any bits.
pub(super) fn to_be_made(attributes: &FileAttributes) -> Attributes {
    let set = to_be_set(attributes);
    Attributes { mode: set.mode.map(|mode| mode & !0o022), ..set }
}

/// An entry of a listing under this name. `now` decides, as in `ls`, whether the time or the year is shown.
pub(super) fn named(entry: &Entry, name: &str, now: OffsetDateTime) -> NameEntry {
    let attributes = attributes_of(entry);
    NameEntry { long_name: long_name(name, &attributes, now), name: name.to_owned(), attributes }
}

/// The version 3 protocol counts seconds in 32 unsigned bits.
fn seconds(moment: Micros) -> u32 {
    u32::try_from(moment.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

/// The line that OpenSSH's server writes (`ls_file` of sftp-common.c): mode, links, owner, group, size, date, name.
fn long_name(name: &str, attributes: &FileAttributes, now: OffsetDateTime) -> String {
    let (uid, gid) = attributes.owner.unwrap_or_default();
    let (_, modified) = attributes.times.unwrap_or_default();
    format!(
        "{}  {:>3} {:<8} {:<8} {:>8} {} {}",
        mode_text(attributes.permissions.unwrap_or_default()),
        1,
        uid,
        gid,
        attributes.size.unwrap_or_default(),
        date(modified, now),
        name
    )
}

/// `drwxr-xr-x`, with the special bits where `ls` shows them.
fn mode_text(mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(match mode & 0o170_000 {
        FOLDER => 'd',
        REGULAR => '-',
        _ => '?',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `Nov 24 21:45` for the last half year, `Nov 24  2024` for what is older or to come. In UTC, as clients in several
/// zones see the same listing.
fn date(seconds: u32, now: OffsetDateTime) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(i64::from(seconds)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = match moment.month() {
        time::Month::January => "Jan",
        time::Month::February => "Feb",
        time::Month::March => "Mar",
        time::Month::April => "Apr",
        time::Month::May => "May",
        time::Month::June => "Jun",
        time::Month::July => "Jul",
        time::Month::August => "Aug",
        time::Month::September => "Sep",
        time::Month::October => "Oct",
        time::Month::November => "Nov",
        time::Month::December => "Dec",
    };
    let recent = moment <= now && now - moment < time::Duration::seconds(365 * 24 * 60 * 60 / 2);
    if recent {
        format!("{month} {:>2} {:02}:{:02}", moment.day(), moment.hour(), moment.minute())
    } else {
        format!("{month} {:>2}  {}", moment.day(), moment.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_long_name_is_that_of_openssh() {
        let now = datetime!(2026-11-24 21:45 UTC);
        let file = FileAttributes {
            size: Some(1_048_576),
            owner: Some((0, 0)),
            permissions: Some(0o100_644),
            times: Some((0, datetime!(2026-11-03 08:05 UTC).unix_timestamp() as u32)),
        };
        assert_eq!(
            long_name("orders.csv", &file, now),
            "-rw-r--r--    1 0        0         1048576 Nov  3 08:05 orders.csv"
        );
        let old = FileAttributes {
            size: Some(0),
            owner: Some((1000, 100)),
            permissions: Some(0o041_755),
            times: Some((0, datetime!(2024-02-29 10:00 UTC).unix_timestamp() as u32)),
        };
        assert_eq!(long_name("archive", &old, now), "drwxr-xr-t    1 1000     100             0 Feb 29  2024 archive");
    }

    #[test]
    fn modes_and_times_keep_their_bounds() {
        assert_eq!(mode_text(0o104_644), "-rwSr--r--");
        assert_eq!(mode_text(0o100_777), "-rwxrwxrwx");
        assert_eq!(seconds(-5), 0);
        assert_eq!(seconds(i64::MAX), u32::MAX);
        assert_eq!(seconds(1_999_999), 1);
        let asked = FileAttributes { permissions: Some(0o100_600), times: Some((1, 2)), ..FileAttributes::default() };
        let set = to_be_set(&asked);
        assert_eq!((set.mode, set.accessed_at, set.modified_at), (Some(0o600), Some(1_000_000), Some(2_000_000)));
    }
}
