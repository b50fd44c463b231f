//! OpenSSH's authorities and lists of revoked keys: mistakes, and what they are told.

use super::Secrets;
use super::bad_test::{GOOD, said};

/// A CA is a line or a file of lines; a revocation list that cannot be read would lock its tenant out.
#[test]
fn authorities_and_revocation_lists() {
    const CA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtm7BgJU+yzE7+Amkoa9mmk9osBbrnMf52OanGYPXX3 ca";
    const SHORT_RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDJM9/ck+UwgbyNSla5/A33dl0W3whCyJYgFa8fVop/PUCn8bnQUcVL5K5boZuUP2eqIgsDz3GSFEhZoaUoiwLiMPKoDDYg7d251lDwBfonIM3lfWu+FP7eFHS/ShfBWr7qQ9xBAn2XzTWa36binT6ZwHdgsD0TpGt2tWwZlUy54Q==";
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        format!("{path:?}")
    };
    let said = |lines: &str| {
        let text = GOOD.replace("id = \"acme\"", &format!("id = \"acme\"\n{lines}"));
        said(&text, Secrets::Skip).join("\n").replace(&folder.path().display().to_string(), "…")
    };
    let (keys, list) = (file("ca.pub", &format!("# ours\n{CA}\n\n{CA}\n")), file("list", "serial: 7\n"));
    assert_eq!(said(&format!("trusted_user_ca_keys = [{CA:?}, {keys}]\nrevoked_keys = [{list}]")), "");
    let (short, empty) = (file("short.pub", &format!("{CA}\n{SHORT_RSA}\n")), file("empty.pub", "# none\n"));
    let lines = format!("trusted_user_ca_keys = [{SHORT_RSA:?}, {short}, {empty}, \"nowhere\"]");
    let wrong = said(&lines);
    let wrong: Vec<&str> = wrong.lines().map(|line| line.split_once("trusted_user_ca_keys: ").unwrap().1).collect();
    let weak = "is a key that is not accepted of a CA; take Ed25519, ECDSA or RSA from 2048 bits";
    assert_eq!(wrong[..3], [weak, &format!("a line of …/short.pub {weak}"), "…/empty.pub has no public key"]);
    assert!(wrong[3].starts_with("is no OpenSSH public key, and no file that can be read (./nowhere: "), "{wrong:?}");
    let broken = file("broken", "serial: 7\ncolour: red\n");
    let wrong = said(&format!("revoked_keys = [{broken}, \"nowhere\"]"));
    let (first, second) = wrong.split_once('\n').unwrap();
    assert!(first.contains("tenant.revoked_keys: …/broken: line 2 of the revocation list is neither"), "{first}");
    assert!(second.contains("tenant.revoked_keys: ./nowhere cannot be read: entity not found; until"), "{second}");
}
