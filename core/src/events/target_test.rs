use super::AddressKind::{Never, Private, Public};
use super::*;

#[test]
fn addresses_of_both_families() {
    for (kind, addresses) in [
        (
            Public,
            &[
                "1.1.1.1",
                "8.8.8.8",
                "100.63.255.255",
                "100.128.0.1",
                "172.15.255.255",
                "172.32.0.1",
                "192.0.1.1",
                "198.17.255.255",
                "198.20.0.1",
                "223.255.255.255",
                "::ffff:8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2001:200::1",
                "2002:808:808::1",
                "2606:4700::1",
                "2606:4700::5efe:8.8.8.8",
            ][..],
        ),
        (
            Private,
            &[
                "10.1.2.3",
                "127.0.0.1",
                "127.9.9.9",
                "169.254.1.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "100.127.255.255",
                "192.0.0.8",
                "192.0.2.1",
                "192.88.99.1",
                "198.18.0.1",
                "198.51.100.1",
                "203.0.113.1",
                "::1",
                "::7f00:1",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "::ffff:0:10.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b::127.0.0.1",
                "64:ff9b:1::1",
                "64:ff9b:1:a00:0:100::",
                "100::1",
                "2001::1",
                "2001:20::1",
                "2001:db8::1",
                "2002:7f00:1::",
                "2002:a00:1::1",
                "2606:4700::5efe:10.0.0.1",
                "2606:4700::200:5efe:127.0.0.1",
                "3fff::1",
                "4000::1",
                "5f00::1",
                "fc00::1",
                "fd12::1",
                "fe80::1",
                "febf::1",
                "fec0::1",
            ][..],
        ),
        (
            Never,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "169.254.169.254",
                "169.254.170.2",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "::",
                "ff02::1",
                "fd00:ec2::254",
                "fd20:ce::254",
                "::ffff:169.254.169.254",
                "::ffff:0.0.0.0",
                "64:ff9b::169.254.169.254",
                "64:ff9b::a83f:8110",
                "2002:a9fe:a9fe::1",
            ][..],
        ),
    ] {
        for address in addresses {
            let ip: IpAddr = address.parse().unwrap();
            assert_eq!(kind_of(ip), kind, "{address}");
            let (outside, inside) = (Targets::new(false), Targets::new(true));
            assert_eq!((outside.admits(ip), inside.admits(ip)), (kind == Public, kind != Never), "{address}");
        }
    }
}

#[test]
fn urls() {
    let address = |text: &str| Some(Unfit::Address(text.parse().unwrap()));
    // What is wrong with it, and what is still wrong where private addresses are allowed.
    for (text, public, private) in [
        ("https://hooks.example/x?a=b", None, None),
        ("https://hooks.example:8443/", None, None),
        ("https://8.8.8.8/", None, None),
        ("https://[2606:4700::1]/", None, None),
        ("http://hooks.example/", Some(Unfit::Scheme), None),
        ("ftp://hooks.example/", Some(Unfit::Scheme), Some(Unfit::Scheme)),
        ("file:///etc/passwd", Some(Unfit::NoUrl), Some(Unfit::NoUrl)),
        ("gopher://127.0.0.1/", address("127.0.0.1"), Some(Unfit::Scheme)),
        ("//hooks.example/", Some(Unfit::NoUrl), Some(Unfit::NoUrl)),
        ("hooks.example", Some(Unfit::NoUrl), Some(Unfit::NoUrl)),
        ("https://", Some(Unfit::NoUrl), Some(Unfit::NoUrl)),
        ("https://me@hooks.example/", Some(Unfit::Password), Some(Unfit::Password)),
        ("https://me:secret@hooks.example/", Some(Unfit::Password), Some(Unfit::Password)),
        // The parser makes one address of all its spellings.
        ("https://127.0.0.1/", address("127.0.0.1"), None),
        ("https://127.1/", address("127.0.0.1"), None),
        ("https://0x7f000001/", address("127.0.0.1"), None),
        ("https://0177.0.0.1/", address("127.0.0.1"), None),
        ("https://2130706433/", address("127.0.0.1"), None),
        ("https://１２７.0.0.1/", address("127.0.0.1"), None),
        ("https://127.0.0.1./", address("127.0.0.1"), None),
        ("https://[::1]/", address("::1"), None),
        ("https://[::ffff:7f00:1]/", address("::ffff:127.0.0.1"), None),
        ("https://0/", address("0.0.0.0"), address("0.0.0.0")),
        ("https://169.254.169.254/latest/", address("169.254.169.254"), address("169.254.169.254")),
        ("https://localhost/", Some(Unfit::Localhost), None),
        ("https://LOCALHOST./", Some(Unfit::Localhost), None),
        ("https://a.localhost/", Some(Unfit::Localhost), None),
        ("https://notlocalhost/", None, None),
        ("https://hooks.example:80/", None, None),
        ("https://hooks.example:22/", Some(Unfit::Port(22)), None),
        ("https://hooks.example:25/", Some(Unfit::Port(25)), None),
        ("https://hooks.example:6379/", Some(Unfit::Port(6379)), None),
        ("https://hooks.example:6667/", Some(Unfit::Port(6667)), None),
        ("https://hooks.example:0/", Some(Unfit::Port(0)), Some(Unfit::Port(0))),
    ] {
        assert_eq!(Targets::new(false).parse(text).err(), public, "{text}");
        assert_eq!(Targets::new(true).parse(text).err(), private, "{text}, private");
    }
    let long = format!("https://hooks.example/{}", "x".repeat(MAX_URL));
    assert_eq!(Targets::new(false).parse(&long), Err(Unfit::TooLong));
}

#[test]
fn a_name_is_no_literal_address() {
    let refused = |text: &str| Targets::new(false).refused_literal(&Url::parse(text).unwrap());
    assert_eq!(refused("https://hooks.example/"), None);
    assert_eq!(refused("https://8.8.8.8/"), None);
    assert_eq!(refused("http://10.0.0.1/"), Some("10.0.0.1".parse().unwrap()));
}
