//! Names and paths. A value of [`Name`] or [`VirtualPath`] is proof that the name is normal and allowed
//! (SEMANTICS, "Names and views"): UTF-8 in NFC, 1 to 255 bytes, no `/`, no control characters, not `.` or `..`;
//! a path is at most 4,096 bytes. Anything else is refused as it is, never repaired.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, is_nfc_quick};

use crate::error::{Error, ErrorKind, Result};

/// The longest name, in bytes.
pub const MAX_NAME: usize = 255;
/// The longest path, in bytes.
pub const MAX_PATH: usize = 4096;

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidName, message)
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(invalid("a name is empty; give every part of the path a name"));
    }
    if name.len() > MAX_NAME {
        return Err(invalid("a name is longer than 255 bytes; shorten it"));
    }
    if name == "." || name == ".." {
        return Err(invalid("`.` and `..` are not names here; give the full path"));
    }
    if name.chars().any(|c| c == '/' || c.is_control()) {
        return Err(invalid("a name has a control character or a slash in it; rename it"));
    }
    let normal = match is_nfc_quick(name.chars()) {
        IsNormalized::Yes => true,
        IsNormalized::No => false,
        IsNormalized::Maybe => unicode_normalization::is_nfc(name),
    };
    if !normal {
        return Err(invalid("a name is not in Unicode normalization form C (NFC); send it composed"));
    }
    Ok(())
}

/// Checks a prefix inside a storage (`tenant.mount.path`): empty, or plain names with `/` between them, none of which begins
/// with a dot, is longer than 255 bytes or has control characters or a backslash in it; 1,024 bytes at most. So no prefix
/// leads out of its storage, on any backend, and none can be taken for a storage's marker. `InvalidArgument` otherwise.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && !part.starts_with('.')
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if prefix.is_empty() || (prefix.len() <= 1024 && prefix.split('/').all(plain)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "the path inside the storage must be plain names with single slashes between them, such as `acme/in`; \
         no name may begin with a dot",
    ))
}

/// The name of one file or folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a name. Fails with `InvalidName`.
    pub fn parse(name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// An absolute, normal path: `/` or `/a/b`, no trailing slash, every part a [`Name`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualPath(Arc<str>);

impl VirtualPath {
    /// `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Checks a path strictly: with or without the leading `/`, one trailing `/` allowed, every part a name; `.`, `..`
    /// and empty parts are refused. This is what REST and the configuration use. Fails with `InvalidName`.
    pub fn parse(path: &str) -> Result<Self> {
        if path.is_empty() || path == "/" {
            return Ok(Self::root());
        }
        let inner = path.strip_prefix('/').unwrap_or(path);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        for part in inner.split('/') {
            check_name(part)?;
        }
        Self::checked(format!("/{inner}"))
    }

    /// Resolves what an SFTP or FTP client sent against its current folder: `.` and `..` lexically, clamped at the
    /// root; empty parts are skipped. Fails with `InvalidName` where it is not UTF-8 or a part is not a name.
    pub fn resolve(current: &Self, input: &[u8]) -> Result<Self> {
        let input =
            std::str::from_utf8(input).map_err(|_| invalid("the path is not UTF-8; set the client to UTF-8"))?;
        if input.len() > 4 * MAX_PATH {
            return Err(invalid("the path is longer than 4096 bytes; shorten it"));
        }
        let mut parts: Vec<&str> = if input.starts_with('/') { Vec::new() } else { current.parts().collect() };
        for part in input.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                name => {
                    check_name(name)?;
                    parts.push(name);
                }
            }
        }
        if parts.is_empty() {
            return Ok(Self::root());
        }
        let mut text = String::with_capacity(input.len() + 1);
        for part in parts {
            text.push('/');
            text.push_str(part);
        }
        Self::checked(text)
    }

    fn checked(text: String) -> Result<Self> {
        if text.len() > MAX_PATH {
            return Err(invalid("the path is longer than 4096 bytes; shorten it"));
        }
        Ok(Self(text.into()))
    }

    /// The path as text, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The parts, from the top.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last part; none for `/`.
    pub fn name(&self) -> Option<Name> {
        self.0.rsplit('/').next().filter(|n| !n.is_empty()).map(|n| Name(n.into()))
    }

    /// The folder above; none for `/`.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.rsplit_once('/') {
            Some(("", _)) | None => Some(Self::root()),
            Some((above, _)) => Some(Self(above.into())),
        }
    }

    /// This path and one more name. Fails with `InvalidName` where the whole gets too long.
    pub fn join(&self, name: &Name) -> Result<Self> {
        if self.is_root() { Self::checked(format!("/{name}")) } else { Self::checked(format!("{}/{name}", self.0)) }
    }

    /// This path and another one below it. Fails with `InvalidName` where the whole gets too long.
    pub fn append(&self, below: &Self) -> Result<Self> {
        if self.is_root() {
            return Ok(below.clone());
        }
        if below.is_root() {
            return Ok(self.clone());
        }
        Self::checked(format!("{}{}", self.0, below.0))
    }

    /// What remains of this path below `above`: `/` where they are equal, none where it is not below it.
    pub fn below(&self, above: &Self) -> Option<Self> {
        if above.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&*above.0)? {
            "" => Some(Self::root()),
            rest if rest.starts_with('/') => Some(Self(rest.into())),
            _ => None,
        }
    }
}

impl fmt::Display for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(path: &str) -> VirtualPath {
        VirtualPath::parse(path).unwrap()
    }

    #[test]
    fn strict_paths() {
        assert_eq!(p("a/b").as_str(), "/a/b");
        assert_eq!(p("/a/b/").as_str(), "/a/b");
        assert_eq!(p("").as_str(), "/");
        for bad in ["/a//b", "/a/../b", ".", "/a/\u{0}", "/a\n", "/e\u{301}", "//"] {
            assert_eq!(VirtualPath::parse(bad).unwrap_err().kind(), ErrorKind::InvalidName, "{bad:?}");
        }
        assert!(VirtualPath::parse(&"x".repeat(256)).is_err());
        assert!(VirtualPath::parse(&"x".repeat(255)).is_ok());
        assert!(VirtualPath::parse(&"/abcdefg".repeat(513)).is_err());
    }

    #[test]
    fn lexical_resolution_is_clamped() {
        let cwd = p("/a/b");
        let r = |input: &str| VirtualPath::resolve(&cwd, input.as_bytes()).unwrap();
        assert_eq!(r("../../../../etc").as_str(), "/etc");
        assert_eq!(r(".").as_str(), "/a/b");
        assert_eq!(r("/x//y/./z/").as_str(), "/x/y/z");
        assert!(VirtualPath::resolve(&cwd, b"\xff\xfe").is_err());
    }

    #[test]
    fn above_and_below() {
        assert_eq!(p("/a/b/c").below(&p("/a")).unwrap().as_str(), "/b/c");
        assert_eq!(p("/ab").below(&p("/a")), None);
        assert_eq!(p("/a").below(&p("/a")).unwrap().as_str(), "/");
        assert_eq!(p("/a/b").parent().unwrap().as_str(), "/a");
        assert_eq!(p("/a").parent().unwrap().as_str(), "/");
        assert_eq!(p("/a/b").name().unwrap().as_str(), "b");
    }

    proptest! {
        #[test]
        fn no_input_escapes_or_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(path) = VirtualPath::resolve(&p("/in"), &input) {
                prop_assert!(path.as_str().starts_with('/'));
                prop_assert!(path.parts().all(|part| part != ".." && part != "." && !part.is_empty()));
                prop_assert_eq!(VirtualPath::parse(path.as_str()).unwrap(), path);
            }
        }
    }
}
