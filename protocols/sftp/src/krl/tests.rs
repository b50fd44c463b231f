//! Lists that ssh-keygen made, whose answers are held against `ssh-keygen -Q`; and lists by hand for what it never makes.

use std::path::PathBuf;
use std::process::Command;

use causeway_core::identity::{PresenceDemand, PublicKey, Revocations, UserCertificate};
use proptest::prelude::*;
use russh::keys::Certificate;
use sha2::Digest as _;

use super::parse;
use crate::certificate;

/// A folder with keys and certificates of ssh-keygen; none where it is not installed.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Option<Self> {
        let this = Self(tempfile::tempdir().unwrap());
        if Command::new("ssh-keygen").arg("-?").output().is_err() {
            assert!(std::env::var_os("CAUSEWAY_TEST_REQUIRE_ALL").is_none(), "ssh-keygen is not installed");
            eprintln!("SKIPPED: ssh-keygen is not installed");
            return None;
        }
        Some(this)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap().trim().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let done = Command::new("ssh-keygen").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.code() < Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.status.success()
    }

    fn key(&self, name: &str) {
        assert!(self.run(&["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name]));
    }

    /// Signs the key of this name; the certificate is `name-cert.pub`.
    fn sign(&self, ca: &str, name: &str, serial: &str, key_id: &str) {
        self.key(name);
        let public = format!("{name}.pub");
        assert!(self.run(&["-q", "-s", ca, "-I", key_id, "-n", "edi01", "-z", serial, &public]));
    }

    fn public(&self, name: &str) -> PublicKey {
        PublicKey::from_line(&self.read(&format!("{name}.pub"))).unwrap()
    }

    fn certificate(&self, name: &str) -> UserCertificate {
        let certificate = Certificate::from_openssh(&self.read(&format!("{name}-cert.pub"))).unwrap();
        certificate::read(&certificate).unwrap()
    }

    /// A KRL of this specification, for certificates of a CA (or `none`: of all).
    fn krl(&self, ca: &str, specification: &str, more: &[&str]) -> Revocations {
        std::fs::write(self.path("specification"), specification).unwrap();
        let arguments: Vec<&str> = ["-k", "-f", "krl", "-s", ca].iter().chain(more).copied().collect();
        assert!(self.run(&[&arguments[..], &["specification"]].concat()));
        parse(&std::fs::read(self.path("krl")).unwrap()).unwrap()
    }

    /// Whether ssh-keygen says that the last list does not revoke what is in this file.
    fn is_good(&self, file: &str) -> bool {
        self.run(&["-Q", "-f", "krl", file])
    }

    /// What is revoked of these, where both agree.
    fn revoked<'n>(&self, list: &Revocations, names: &[&'n str]) -> Vec<&'n str> {
        let ask = |name: &&&str| {
            let ours = list.revokes(&self.certificate(name));
            assert_eq!(ours, !self.is_good(&format!("{name}-cert.pub")), "the certificate {name}");
            let key = list.revokes_key(&self.public(name));
            assert_eq!(key, !self.is_good(&format!("{name}.pub")), "the key {name}");
            ours
        };
        names.iter().filter(ask).copied().collect()
    }
}

#[test]
fn every_form_of_a_specification() {
    let Some(keys) = Keys::new() else { return };
    keys.key("ca");
    keys.key("other");
    for (ca, name, serial, key_id) in [
        ("ca", "a", "5", "a"),
        ("ca", "b", "1042", "b"),
        ("ca", "c", "1043", "evil twin"),
        ("other", "d", "5", "evil twin"),
        ("ca", "zero", "0", "zero"),
        ("ca", "last", "18446744073709551615", "last"),
    ] {
        keys.sign(ca, name, serial, key_id);
    }
    let all = ["a", "b", "c", "d", "zero", "last"];
    let line = |name: &str| keys.read(&format!("{name}.pub"));
    let fingerprint = |name: &str| {
        let blob = keys.public(name).blob;
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, sha2::Sha256::digest(blob))
    };
    let even: Vec<String> = (1000..1300).step_by(2).map(|serial| format!("serial: {serial}")).collect();
    let even = even.join("\n");
    let cases: Vec<(&str, String, Vec<&str>)> = vec![
        ("ca.pub", String::new(), vec![]),
        ("ca.pub", "serial: 5".to_owned(), vec!["a"]),
        ("none", "serial: 5".to_owned(), vec!["a", "d"]),
        ("other.pub", "serial: 0x5".to_owned(), vec!["d"]),
        ("ca.pub", "serial: 1-5\nserial: 1043-5000000000 # comment".to_owned(), vec!["a", "c"]),
        ("ca.pub", even.clone(), vec!["b"]),
        ("ca.pub", format!("{even}\nserial: 18446744073709551615\n"), vec!["b", "last"]),
        ("ca.pub", "serial: 1-18446744073709551615".to_owned(), vec!["a", "b", "c", "last"]),
        ("ca.pub", "id: evil twin".to_owned(), vec!["c"]),
        ("none", "id: evil twin\nid: zero".to_owned(), vec!["c", "d", "zero"]),
        ("ca.pub", format!("key: {}", line("a")), vec!["a"]),
        ("ca.pub", format!("# comment\n\nsha1: {}\nsha256: {}", line("a"), line("d")), vec!["a", "d"]),
        ("ca.pub", format!("hash: SHA256:{}", fingerprint("b")), vec!["b"]),
        ("ca.pub", format!("key: {}", line("ca")), vec!["a", "b", "c", "zero", "last"]),
        ("ca.pub", line("d"), vec!["d"]),
    ];
    for (ca, specification, wanted) in &cases {
        let list = keys.krl(ca, specification, &[]);
        assert_eq!(keys.revoked(&list, &all), *wanted, "{ca}: {specification}");
    }
    // A certificate in the list itself stands for its serial number, or for its key id where it has none.
    for (name, wanted) in [("b", vec!["b"]), ("zero", vec!["zero"])] {
        let public = format!("{name}-cert.pub");
        assert!(keys.run(&["-k", "-f", "krl", "-s", "ca.pub", "-z", "9", &public]));
        let list = parse(&std::fs::read(keys.path("krl")).unwrap()).unwrap();
        assert_eq!(keys.revoked(&list, &all), wanted);
    }
}

#[test]
fn the_text_form_says_the_same() {
    let Some(keys) = Keys::new() else { return };
    keys.key("ca");
    for (name, serial) in [("a", "5"), ("b", "6"), ("c", "7")] {
        keys.sign("ca", name, serial, name);
    }
    let line = |name: &str| keys.read(&format!("{name}.pub"));
    let cases: Vec<(String, Vec<&str>)> = vec![
        (String::new(), vec![]),
        ("# nobody\r\n\r\n".to_owned(), vec![]),
        (format!("{}\n  {} \n", line("a"), line("c")), vec!["a", "c"]),
        (keys.read("b-cert.pub"), vec!["b"]),
        (format!("serial: 6-7 # comment\nID: a\nsha256: {}", line("a")), vec!["a", "b", "c"]),
        (format!("key:{}\nserial:0x7", line("a")), vec!["a", "c"]),
        (line("ca"), vec!["a", "b", "c"]),
    ];
    for (text, wanted) in cases {
        let list = parse(text.as_bytes()).unwrap();
        let found: Vec<&str> =
            ["a", "b", "c"].into_iter().filter(|name| list.revokes(&keys.certificate(name))).collect();
        assert_eq!(found, wanted, "{text}");
    }
    let list = parse(line("a").as_bytes()).unwrap();
    assert!(list.revokes_key(&keys.public("a")) && !list.revokes_key(&keys.public("b")));
}

#[test]
fn text_that_is_not_understood_is_an_error_with_its_line() {
    for bad in [
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "serial: 0",
        "serial: 7-6",
        "serial: x",
        "serial:",
        "serial: 18446744073709551616",
        "id:",
        "id: # comment",
        "hash: MD5:00",
        "hash: SHA256:AAAA",
        "colour: red",
        "ssh-ed25519-cert-v01@openssh.com AAAA",
        "from=\"10.0.0.1\" ssh-ed25519 AAAA",
    ] {
        let error = parse(format!("# one\n{bad}\n").as_bytes()).unwrap_err();
        assert!(error.message().starts_with("line 2 "), "{bad}: {}", error.message());
    }
    assert!(parse(b"SSHKRL\n").is_err());
    assert!(parse(&[0xff, 0xfe]).is_err());
}

/// A string of RFC 4251.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u32).to_be_bytes().to_vec();
    all.extend_from_slice(bytes);
    all
}

fn section(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut all = vec![kind];
    all.extend(string(content));
    all
}

fn krl(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut all = b"SSHKRL\n\0\0\0\0\x01".to_vec();
    all.extend_from_slice(&[0; 24]);
    all.extend(string(b"reserved"));
    all.extend(string(b"comment"));
    all.extend(sections.concat());
    all
}

fn certificates(sections: &[Vec<u8>]) -> Vec<u8> {
    section(1, &[string(b""), string(b""), sections.concat()].concat())
}

fn extension(kind: u8, critical: u8) -> Vec<u8> {
    section(kind, &[string(b"x@example.org"), vec![critical], string(b"content")].concat())
}

fn bitmap(offset: u64, bits: &[u8]) -> Vec<u8> {
    certificates(&[section(0x22, &[offset.to_be_bytes().to_vec(), string(bits)].concat())])
}

fn with_serial(serial: u64) -> UserCertificate {
    UserCertificate {
        key: PublicKey { blob: b"key".to_vec() },
        ca: PublicKey { blob: b"ca".to_vec() },
        key_id: String::new(),
        serial,
        principals: Vec::new(),
        valid_after: 0,
        valid_before: u64::MAX,
        source_addresses: Vec::new(),
        demand: PresenceDemand::default(),
    }
}

#[test]
fn sections_that_are_read_over_and_those_that_are_refused() {
    let key = section(2, &string(b"key"));
    let signature = [section(4, b"the key that signs"), string(b"its signature")].concat();
    let range = |from: u64, to: u64| section(0x21, &[from.to_be_bytes(), to.to_be_bytes()].concat());
    let good: [&[Vec<u8>]; 5] = [
        &[],
        &[extension(255, 0), key.clone()],
        &[key.clone(), signature.clone(), signature],
        &[certificates(&[extension(0x39, 0), range(1, 9)])],
        &[section(5, &string(&[7; 32])), section(3, &string(&[7; 20]))],
    ];
    for (nr, sections) in good.iter().enumerate() {
        let list = krl(sections);
        assert_eq!(parse(&list).unwrap().revokes(&with_serial(3)), [false, true, true, true, false][nr], "{nr}");
        for end in 8..list.len() {
            // What is cut between two sections is a list, too; everything else is an error.
            let whole = (0..=sections.len()).any(|count| krl(&sections[..count]).len() == end);
            assert!(whole || parse(&list[..end]).is_err(), "{nr} cut at {end}");
        }
    }
    let bad: [Vec<u8>; 12] = [
        extension(255, 1),
        certificates(&[extension(0x39, 1)]),
        section(255, &[string(b"x"), vec![0], string(b""), vec![0]].concat()),
        section(6, b""),
        certificates(&[section(0x24, b"")]),
        certificates(&[range(5, 4)]),
        certificates(&[section(0x21, &[0; 17])]),
        certificates(&[section(0x20, &[0; 15])]),
        certificates(&[section(0x23, &string(&[0xff]))]),
        section(3, &string(&[7; 32])),
        section(5, &string(&[7; 20])),
        section(1, &string(b"no reserved field")),
    ];
    for (nr, section) in bad.into_iter().enumerate() {
        assert!(parse(&krl(&[section])).is_err(), "{nr}");
    }
    let mut version = krl(&[]);
    version[11] = 2;
    assert!(parse(&version).is_err());
}

#[test]
fn bitmaps_are_bounded() {
    let list = parse(&krl(&[bitmap(100, &[0b0000_0001, 0b1000_0110])])).unwrap();
    let revoked: Vec<u64> = (90..120).filter(|serial| list.revokes(&with_serial(*serial))).collect();
    assert_eq!(revoked, [101, 102, 107, 108]);
    let longest = [&[0x7f][..], &[0xff; 2047]].concat();
    let list = parse(&krl(&[bitmap(1, &longest)])).unwrap();
    assert!(list.revokes(&with_serial(16_383)) && !list.revokes(&with_serial(16_384)));
    assert!(parse(&krl(&[bitmap(u64::MAX - 7, &[0, 0x80])])).unwrap().revokes(&with_serial(u64::MAX)));
    assert!(parse(&krl(&[bitmap(u64::MAX - 6, &[0, 0x80])])).is_err(), "beyond the last");
    assert!(parse(&krl(&[bitmap(1, &[0x80])])).is_err(), "negative");
    assert!(parse(&krl(&[bitmap(1, &[&[0][..], &[0x55; 2049]].concat())])).is_err(), "too long");
    assert!(parse(&krl(&[bitmap(1, b"")])).unwrap().is_empty());
    let many = vec![bitmap(1, &[&[0][..], &[0x55; 2048]].concat()); 123];
    assert!(parse(&krl(&many)).is_err(), "more than a million runs");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..6, sub in 0x1fu8..0x26) {
        let _ = parse(&bytes);
        let _ = parse(&krl(std::slice::from_ref(&bytes)));
        let _ = parse(&krl(&[section(kind, &bytes)]));
        let _ = parse(&krl(&[section(255, &bytes), certificates(&[section(sub, &bytes), bytes.clone()])]));
    }

    #[test]
    fn no_text_panics(text in "(serial|id|key|hash|sha1|x)?:?[ -~\n]{0,60}") {
        let _ = parse(text.as_bytes());
    }

    /// A change of one byte of a good list is an error or another list, never a panic.
    #[test]
    fn a_changed_list_does_not_panic(at in 0usize..200, value in any::<u8>()) {
        let mut list = krl(&[
            bitmap(9, &[0x55; 9]),
            certificates(&[section(0x20, &[1; 16]), section(0x23, &string(b"id"))]),
            section(5, &string(&[7; 32])),
            extension(255, 0),
        ]);
        let at = at % list.len();
        list[at] = value;
        let _ = parse(&list);
    }
}
