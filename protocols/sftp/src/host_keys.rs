//! Who is told all host keys (`hostkeys-00@openssh.com`, section 2.5 of OpenSSH's PROTOCOL), so that a client that knows one
//! learns the next before it is used. Of each kind the first key of the configuration is used, the others are only told.

/// How the names of clients begin that end the connection when they are told. OpenSSH has the same list.
const CANNOT: [&str; 4] = ["Cisco-1.", "TeraTerm SSH", "TTSSH/1.", "TTSSH/2."];

/// Whether the client with this identification (RFC 4253 section 4.2) can be told.
pub(crate) fn may_be_announced_to(identification: &[u8]) -> bool {
    let mut parts = identification.splitn(3, |byte| *byte == b'-');
    let software = parts.nth(2).unwrap_or_default();
    !CANNOT.iter().any(|name| software.starts_with(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_are_spared() {
        for told in
            ["SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-2.0-paramiko_3.5", "SSH-2.0-WinSCP_release_6.3", "", "SSH-2.0-"]
        {
            assert!(may_be_announced_to(told.as_bytes()), "{told}");
        }
        for spared in ["SSH-2.0-Cisco-1.25", "SSH-2.0-TTSSH/2.72 Win32", "SSH-1.99-TeraTerm SSH 1.5"] {
            assert!(!may_be_announced_to(spared.as_bytes()), "{spared}");
        }
    }
}
