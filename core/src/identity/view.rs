//! What an identity sees of its tenant's tree.

use super::permission::PermissionSet;
use crate::path::{Name, VirtualPath};

/// One entry of a view: the tenant's `path` appears at `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEntry {
    /// Where the identity sees it.
    pub at: VirtualPath,
    /// Where it is in the tenant's tree.
    pub path: VirtualPath,
    /// What may be done at and below it.
    pub permissions: PermissionSet,
}

/// A view: the longest `at` wins and shadows what lies beneath; nothing else exists.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Sorted by the length of `at`, the longest first.
    entries: Vec<ViewEntry>,
}

/// What a path of a view means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A place in the tenant's tree.
    Place {
        /// The path in the tenant's tree.
        path: VirtualPath,
        /// What may be done there.
        permissions: PermissionSet,
        /// Whether it is itself a mount point of the view, which can be neither renamed nor removed.
        mount_point: bool,
    },
    /// A folder that exists only because a mount point lies below it.
    Above,
    /// Nothing that exists for this identity.
    Nothing,
}

impl View {
    /// A view of these entries. Two with the same `at` are the configuration's error; the first one wins here.
    pub fn new(mut entries: Vec<ViewEntry>) -> Self {
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at.as_str().len()));
        Self { entries }
    }

    /// The entries, the longest `at` first.
    pub fn entries(&self) -> &[ViewEntry] {
        &self.entries
    }

    /// What a path of this view means.
    pub fn resolve(&self, path: &VirtualPath) -> Resolved {
        for entry in &self.entries {
            if let Some(below) = path.below(&entry.at) {
                let Ok(place) = entry.path.append(&below) else { return Resolved::Nothing };
                // Something above a mount point of the view is itself pinned: moving it would move the mount point.
                let mount_point =
                    below.is_root() || self.entries.iter().any(|e| e.at != *path && e.at.below(path).is_some());
                return Resolved::Place { path: place, permissions: entry.permissions, mount_point };
            }
        }
        if path.is_root() || self.entries.iter().any(|e| e.at.below(path).is_some()) {
            Resolved::Above
        } else {
            Resolved::Nothing
        }
    }

    /// The mount points (and folders above mount points) that appear directly in a folder of the view.
    pub fn mount_points_in(&self, folder: &VirtualPath) -> Vec<Name> {
        let mut names: Vec<Name> = self
            .entries
            .iter()
            .filter_map(|e| e.at.below(folder))
            .filter_map(|below| below.parts().next().and_then(|n| Name::parse(n).ok()))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Where a place of the tenant's tree appears in this view, and what may be done there; nothing where it is outside
    /// or shadowed. Of several places the one by the entry with the longest `path` comes first.
    pub fn reverse(&self, place: &VirtualPath) -> impl Iterator<Item = (VirtualPath, PermissionSet)> + use<'_> {
        let mut candidates: Vec<&ViewEntry> = self.entries.iter().filter(|e| place.below(&e.path).is_some()).collect();
        candidates.sort_by_key(|entry| std::cmp::Reverse(entry.path.as_str().len()));
        let place = place.clone();
        candidates.into_iter().filter_map(move |entry| {
            let seen = entry.at.append(&place.below(&entry.path)?).ok()?;
            match self.resolve(&seen) {
                Resolved::Place { path, permissions, .. } if path == place => Some((seen, permissions)),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn p(path: &str) -> VirtualPath {
        VirtualPath::parse(path).unwrap()
    }

    fn view(entries: &[(&str, &str)]) -> View {
        View::new(
            entries
                .iter()
                .map(|(at, path)| ViewEntry { at: p(at), path: p(path), permissions: PermissionSet::all() })
                .collect(),
        )
    }

    #[test]
    fn the_longest_entry_wins_and_shadows() {
        let v = view(&[("/", "/partners/edi"), ("/inbound", "/inbound")]);
        let place = |path: &str| match v.resolve(&p(path)) {
            Resolved::Place { path, mount_point, .. } => (path.as_str().to_owned(), mount_point),
            other => panic!("{other:?}"),
        };
        assert_eq!(place("/x"), ("/partners/edi/x".into(), false));
        assert_eq!(place("/inbound"), ("/inbound".into(), true));
        assert_eq!(place("/inbound/a"), ("/inbound/a".into(), false));
        assert_eq!(v.mount_points_in(&p("/")), vec![Name::parse("inbound").unwrap()]);
        assert_eq!(v.reverse(&p("/partners/edi/inbound/a")).count(), 0, "shadowed");
        assert_eq!(v.reverse(&p("/inbound/a")).next().unwrap().0, p("/inbound/a"));
        assert_eq!(v.reverse(&p("/elsewhere")).count(), 0);
    }

    #[test]
    fn a_place_may_show_twice() {
        let v = view(&[("/a", "/x"), ("/b", "/x")]);
        let seen: Vec<String> = v.reverse(&p("/x/f")).map(|(path, _)| path.as_str().to_owned()).collect();
        assert_eq!(seen.len(), 2);
        assert!(seen.contains(&"/a/f".to_owned()) && seen.contains(&"/b/f".to_owned()));
    }

    #[test]
    fn folders_above_a_mount_point_exist() {
        let v = view(&[("/a/b", "/x")]);
        assert_eq!(v.resolve(&p("/a")), Resolved::Above);
        assert_eq!(v.resolve(&p("/")), Resolved::Above);
        assert_eq!(v.resolve(&p("/c")), Resolved::Nothing);
        assert_eq!(v.mount_points_in(&p("/")), vec![Name::parse("a").unwrap()]);
    }
}
