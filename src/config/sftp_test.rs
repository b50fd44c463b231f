//! Bad algorithms and limits under `[sftp]`, and the exact lines that say so.

use super::Secrets;
use super::bad_test::{GOOD, said};

/// `[sftp]` with these lines; the first of them is line 2.
fn sftp(lines: &str) -> Vec<String> {
    said(&GOOD.replacen("[sftp]\n", &format!("[sftp]\n{lines}\n"), 1), Secrets::Skip)
}

#[test]
fn algorithms_are_known_and_strong() {
    assert_eq!(
        sftp("ciphers = [\"aes128-gmc@openssh.com\", \"aes128-cbc\"]"),
        [
            "c.toml:2:13: error: sftp.ciphers: `aes128-gmc@openssh.com` is not known here; did you mean `aes128-gcm@openssh.com`? There are: aes128-gcm@openssh.com, aes256-gcm@openssh.com, chacha20-poly1305@openssh.com, aes256-ctr, aes192-ctr, aes128-ctr",
            "c.toml:2:39: error: sftp.ciphers: `aes128-cbc` is broken; it is there only with legacy_algorithms = true",
        ]
    );
    assert_eq!(
        sftp("macs = [\"hmac-sha2-256\", \"hmac-sha2-256\"]\nkex = []"),
        [
            "c.toml:2:27: error: sftp.macs: `hmac-sha2-256` stands here twice; remove one",
            "c.toml:3:1: error: sftp.kex: the list is empty; leave the key out for the default",
        ]
    );
    assert_eq!(sftp("kex = [\"ecdh-sha2-nistp256\", \"curve25519-sha256\"]"), [""; 0]);
    assert_eq!(
        sftp("host_key_algorithms = [\"ecdsa-sha2-nistp256\"]\npublic_key_algorithms = [\"ssh-ed25519\"]"),
        [""; 0]
    );
    let said = sftp("legacy_algorithms = true\nkex = [\"diffie-hellman-group1-sha1\"]\nciphers = [\"none\"]");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("broken algorithms are offered (aes128-cbc") && said[0].contains("group1-sha1"),
        "{said:?}"
    );
    assert!(said[1].contains("`none` is not known here. There are: aes128-gcm@openssh.com, "), "{said:?}");
}

#[test]
fn what_a_connection_may_do_is_in_range() {
    assert_eq!(
        sftp("max_startups = \"10:30\"\nrekey_limit_bytes = \"2 GiB\"\nrekey_limit_time = \"10ms\"\nmax_channels = 0"),
        [
            "c.toml:2:1: error: sftp.max_startups: `10:30` is not understood; write begin:percent:full like \"200:30:1000\", or one number",
            "c.toml:3:1: error: sftp.rekey_limit_bytes: `2 GiB` is out of range; give \"64 KiB\" to \"1 GiB\"",
            "c.toml:4:1: error: sftp.rekey_limit_time: `10ms` is too short; write at least \"1s\"",
            "c.toml:5:1: error: sftp.max_channels: 0 is out of range; give 1 to 1000",
        ]
    );
    assert_eq!(
        sftp("max_startups = \"20:30:10\""),
        [
            "c.toml:2:1: error: sftp.max_startups: `20:30:10` is out of range; the first number is at least 1 and not above the third, the second is 1 to 100",
        ]
    );
    assert_eq!(sftp("max_startups = \"50\"\nkeepalive = \"0s\"\ncompression = false"), [""; 0]);
}
