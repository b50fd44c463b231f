//! Facts of MLST and MLSD (RFC 3659 section 7).

use causeway_core::Entry;
use causeway_core::identity::{Permission, PermissionSet};

use super::listing::mode_of;
use super::moment;

macro_rules! facts {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// The facts that can be told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fact { $(#[doc = $name] $variant),* }

        impl Fact {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, as FEAT writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

facts! {
    Type = "type",
    Size = "size",
    Modify = "modify",
    Create = "create",
    Unique = "unique",
    Perm = "perm",
    MediaType = "media-type",
    Mode = "UNIX.mode",
    Owner = "UNIX.owner",
    Group = "UNIX.group",
}

/// The facts that a client wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactSet(u16);

impl Default for FactSet {
    fn default() -> Self {
        Self(u16::MAX)
    }
}

impl FactSet {
    /// Those of a list `type;size;`; unknown ones are left out (RFC 3659 section 7.9).
    pub fn parse(list: &str) -> Self {
        Fact::ALL
            .iter()
            .filter(|fact| list.split(';').any(|name| name.trim().eq_ignore_ascii_case(fact.name())))
            .fold(Self(0), |set, fact| Self(set.0 | 1 << *fact as u16))
    }

    /// Whether it has this one.
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u16) != 0
    }

    /// `type;size;`.
    pub fn names(self) -> String {
        Fact::ALL.iter().filter(|fact| self.has(**fact)).flat_map(|fact| [fact.name(), ";"]).collect()
    }

    /// `type*;size;`: the star marks those that are told now (RFC 3659 section 7.8).
    pub fn feature(self) -> String {
        Fact::ALL.iter().flat_map(|fact| [fact.name(), if self.has(*fact) { "*;" } else { ";" }]).collect()
    }
}

/// What a session may do with an entry, in the letters of RFC 3659 section 7.5.5. `here`: the permissions at the entry.
pub fn permissions(entry: &Entry, here: PermissionSet) -> String {
    let fixed = entry.mount_point;
    let letters: &[(char, bool)] = &if entry.folder {
        [
            ('c', here.has(Permission::Upload)),
            ('d', here.has(Permission::Delete) && !fixed),
            ('e', here.has(Permission::List)),
            ('f', here.has(Permission::Rename) && !fixed),
            ('l', here.has(Permission::List)),
            ('m', here.has(Permission::Mkdir)),
            ('p', here.has(Permission::Delete)),
        ]
    } else {
        let write = if entry.sha256.is_none() { Permission::Upload } else { Permission::Overwrite };
        [
            ('a', here.has(write)),
            ('d', here.has(Permission::Delete)),
            ('f', here.has(Permission::Rename)),
            ('r', here.has(Permission::Download)),
            ('w', here.has(write)),
            ('-', false),
            ('-', false),
        ]
    };
    letters.iter().filter(|(_, may)| *may).map(|(letter, _)| letter).collect()
}

/// One line, without its end: facts, a space, the name.
pub fn line(entry: &Entry, name: &str, wanted: FactSet, here: PermissionSet) -> String {
    let mut out = String::with_capacity(160);
    let mut put = |fact: Fact, value: Option<String>| {
        if let Some(value) = value.filter(|_| wanted.has(fact)) {
            out.push_str(fact.name());
            out.push('=');
            out.push_str(&value);
            out.push(';');
        }
    };
    put(Fact::Type, Some(if entry.folder { "dir" } else { "file" }.to_owned()));
    put(Fact::Size, (!entry.folder).then(|| entry.size.to_string()));
    put(Fact::Modify, Some(moment::stamp(entry.modified_at)));
    put(Fact::Create, Some(moment::stamp(entry.created_at)));
    put(Fact::Unique, (!entry.id.is_nil()).then(|| entry.id.simple().to_string()));
    put(Fact::Perm, Some(permissions(entry, here)));
    // A media type may have parameters; a semicolon would end the fact.
    put(Fact::MediaType, entry.content_type.as_ref().filter(|t| !t.contains([';', ' '])).cloned());
    put(Fact::Mode, Some(format!("{:04o}", mode_of(entry))));
    put(Fact::Owner, entry.attributes.uid.map(|id| id.to_string()));
    put(Fact::Group, entry.attributes.gid.map(|id| id.to_string()));
    out.push(' ');
    out.push_str(name);
    out
}

#[cfg(test)]
mod tests {
    use super::super::listing::tests::entry;
    use super::*;

    #[test]
    fn facts_of_a_file_and_a_folder() {
        let here = PermissionSet::all();
        assert_eq!(
            line(&entry("/a b.csv", false), "a b.csv", FactSet::default(), here),
            "type=file;size=1234567;modify=20261124093000;create=20261101080000;unique=00000000000000000000000000000007;\
             perm=adfrw;media-type=text/csv;UNIX.mode=0644; a b.csv"
        );
        let mut folder = entry("/in", true);
        folder.mount_point = true;
        assert_eq!(line(&folder, "in", FactSet::parse("Type;PERM;nonsense"), here), "type=dir;perm=celmp; in");
        assert_eq!(line(&folder, "in", FactSet::parse(""), here), " in");
    }

    #[test]
    fn the_feature_marks_what_is_told() {
        let set = FactSet::parse("size;type;");
        assert_eq!(set.names(), "type;size;");
        assert!(set.feature().starts_with("type*;size*;modify;create;"));
        assert!(FactSet::default().feature().ends_with("UNIX.group*;"));
    }
}
