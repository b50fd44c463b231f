//! Lines of LIST, as `ls -l` writes them: the one form that every client can read.

use causeway_core::Entry;

use super::moment;

/// The nine letters of a mode.
fn letters(mode: u32) -> String {
    "rwxrwxrwx".chars().zip((0..9).rev()).map(|(c, bit)| if mode & (1 << bit) == 0 { '-' } else { c }).collect()
}

/// The mode of an entry, where a client has set one; otherwise what is usual.
pub fn mode_of(entry: &Entry) -> u32 {
    entry.attributes.mode.unwrap_or(if entry.folder { 0o755 } else { 0o644 }) & 0o7777
}

/// One line, without its end. `now`: microseconds since 1970.
pub fn line(entry: &Entry, name: &str, now: i64) -> String {
    let (kind, links) = if entry.folder { ('d', 2) } else { ('-', 1) };
    let owner = entry.attributes.uid.map_or_else(|| "owner".to_owned(), |id| id.to_string());
    let group = entry.attributes.gid.map_or_else(|| "group".to_owned(), |id| id.to_string());
    format!(
        "{kind}{} {links:>4} {owner:<8} {group:<8} {:>12} {} {name}",
        letters(mode_of(entry)),
        entry.size,
        moment::listed(entry.modified_at, now),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use causeway_core::VirtualPath;
    use causeway_core::records::Attributes;

    pub(in crate::wire) fn entry(path: &str, folder: bool) -> Entry {
        let path = VirtualPath::parse(path).unwrap();
        Entry {
            id: uuid::Uuid::from_u128(7),
            name: path.name().map(|n| n.as_str().to_owned()).unwrap_or_default(),
            path,
            folder,
            size: if folder { 0 } else { 1_234_567 },
            sha256: None,
            content_type: (!folder).then(|| "text/csv".to_owned()),
            created_at: moment::parse("20261101080000").unwrap(),
            modified_at: moment::parse("20261124093000").unwrap(),
            attributes: Attributes::default(),
            created_by: None,
            classification: None,
            tags: std::collections::BTreeMap::new(),
            partial: false,
            mount_point: false,
        }
    }

    #[test]
    fn lines_are_those_of_ls() {
        let now = moment::parse("20261125003444").unwrap();
        let mut file = entry("/inbound/a b.csv", false);
        assert_eq!(line(&file, &file.name, now), "-rw-r--r--    1 owner    group         1234567 Nov 24 09:30 a b.csv");
        file.attributes.mode = Some(0o100_750);
        file.attributes.uid = Some(1001);
        assert_eq!(line(&file, "x", now), "-rwxr-x---    1 1001     group         1234567 Nov 24 09:30 x");
        let folder = entry("/inbound", true);
        assert_eq!(
            line(&folder, "inbound", now),
            "drwxr-xr-x    2 owner    group               0 Nov 24 09:30 inbound"
        );
    }
}
