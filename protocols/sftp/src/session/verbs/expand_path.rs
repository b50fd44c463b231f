//! `expand-path@openssh.com` (OpenSSH's PROTOCOL, section 4.9) and `home-directory` (section 4.11, and
//! draft-ietf-secsh-filexfer-extensions-00 section 5). A session's home is its root, and it knows of no other one.

use causeway_core::{Error, ErrorKind, Result, VirtualPath};

/// The path that `~`, `~/x` or any other path stands for. `NotFound` for the home of somebody else.
pub(in crate::session) fn expand(raw: &[u8], login: &str) -> Result<VirtualPath> {
    let Some(tilde) = raw.strip_prefix(b"~") else { return VirtualPath::resolve(&VirtualPath::root(), raw) };
    let end = tilde.iter().position(|byte| *byte == b'/').unwrap_or(tilde.len());
    let (user, rest) = tilde.split_at(end);
    let home = home_of(user, login)?;
    VirtualPath::resolve(&home, rest.strip_prefix(b"/").unwrap_or(rest))
}

/// The home of a user: of nobody in particular, or of this login.
pub(in crate::session) fn home_of(user: &[u8], login: &str) -> Result<VirtualPath> {
    if user.is_empty() || user == login.as_bytes() {
        Ok(VirtualPath::root())
    } else {
        Err(Error::new(ErrorKind::NotFound, "only your own home folder is known here; use ~ without a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tildes() {
        for (raw, expanded) in [
            ("~", "/"),
            ("~/", "/"),
            ("~/a/../b", "/b"),
            ("~edi01/x", "/x"),
            ("~edi01", "/"),
            ("a/~", "/a/~"),
            ("./~", "/~"),
            ("", "/"),
            ("~//etc", "/etc"),
            ("~/../..", "/"),
        ] {
            assert_eq!(expand(raw.as_bytes(), "edi01").unwrap().as_str(), expanded, "{raw}");
        }
        assert_eq!(expand(b"~root/x", "edi01").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(home_of(b"root", "edi01").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
