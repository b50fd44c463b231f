//! Keys and secrets against RFC 9421's own, and every way to be refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const NOW: i64 = 1_618_884_473;
const P256_SIGNATURE: &str = "c54aab264c5007892488ead27490c2f0c9071c76cfe4ee7ac9f6b1fec4013153\
                              80ac05d553d001e569ce802f35c7daeca36ef31521725a4fe06393efe9b67248";
const BODY_MAC: &str = "a9a1d0c0b447282245977f29c198d5f2d4eec0d7baf28c455b59ada6ecd23cf7";
/// RFC 9421 appendix B.1.5.
const SHARED: &str = "base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
/// RFC 9421 appendix B.1.4.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";
/// RFC 9421 appendix B.1.3.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";

/// RFC 9421 appendix B.2.5: the base and its signature.
fn by_secret() -> MessageSignature {
    let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n\
                \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
    MessageSignature {
        label: "sig-b25".into(),
        key_id: Some("test-shared-secret".into()),
        created: Some(NOW),
        bases: vec![base.into()],
        signature: STANDARD.decode("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=").unwrap(),
        ..MessageSignature::default()
    }
}

/// RFC 9421 appendix B.2.6.
fn by_ed25519() -> MessageSignature {
    let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\
                \"content-type\": application/json\n\"content-length\": 18\n\
                \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");\
                created=1618884473;keyid=\"test-key-ed25519\"";
    MessageSignature {
        label: "sig-b26".into(),
        key_id: Some("test-key-ed25519".into()),
        created: Some(NOW),
        bases: vec![base.into()],
        signature: STANDARD
            .decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
            .unwrap(),
        ..MessageSignature::default()
    }
}

fn signing() -> Signing {
    let keys = [ED25519, P256].map(|pem| SignatureKey::parse(pem).unwrap()).to_vec();
    Signing { require: SignatureRule::Message, secret: Some(SHARED.into()), keys }
}

fn request(messages: Vec<MessageSignature>) -> SignedRequest {
    SignedRequest { messages, plain: None, fault: None, changes: true, window: Duration::from_mins(5) }
}

fn judged(signing: &Signing, message: MessageSignature) -> Result<Examined, String> {
    let key = message.key_id.clone().unwrap_or_default();
    examine(&key, signing, Some(&request(vec![message])), NOW).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        error.message().to_owned()
    })
}

#[test]
fn the_vectors_of_rfc_9421() {
    for message in [by_secret(), by_ed25519()] {
        let base: [u8; 32] = Sha256::digest(&message.bases[0]).into();
        assert_eq!(judged(&signing(), message).unwrap().signed, [(base, NOW + 600)]);
    }
    let named = |message: MessageSignature, name: &str| MessageSignature { algorithm: Some(name.into()), ..message };
    judged(&signing(), named(by_secret(), "hmac-sha256")).unwrap();
    judged(&signing(), named(by_ed25519(), "ed25519")).unwrap();
    for (message, name) in
        [(by_secret(), "ed25519"), (by_ed25519(), "hmac-sha256"), (by_ed25519(), "ecdsa-p256-sha256")]
    {
        assert!(judged(&signing(), named(message, name)).unwrap_err().contains("is not right"), "{name}");
    }
    for name in ["none", "rsa-pss-sha512", "HMAC-SHA256", ""] {
        assert!(judged(&signing(), named(by_secret(), name)).unwrap_err().contains("`alg`"), "{name}");
    }
}

/// Made by OpenSSL over "a message", with the private key of appendix B.1.3; as RFC 9421 section 3.3.4 writes it.
#[test]
fn ecdsa_on_p256() {
    let signature = hex::decode(P256_SIGNATURE).unwrap();
    let key = SignatureKey::parse(P256).unwrap();
    assert_eq!(key.algorithm().as_str(), "ecdsa-p256-sha256");
    assert!(key.verifies(b"a message", &signature));
    assert!(!key.verifies(b"another message", &signature) && !key.verifies(b"a message", &signature[..63]));
}

#[test]
fn a_public_key_is_no_secret() {
    // The old trick: HMAC under what everybody knows.
    let ed25519 = SignatureKey::parse(ED25519).unwrap();
    let mut only = Signing { keys: vec![ed25519.clone()], ..Signing::default() };
    for public in [ed25519.bytes.clone(), ED25519.as_bytes().to_vec(), ed25519.to_string().into_bytes()] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&public).unwrap();
        mac.update(&by_ed25519().bases[0]);
        let signature = mac.finalize().into_bytes().to_vec();
        for algorithm in [None, Some("hmac-sha256".to_owned()), Some("ed25519".to_owned())] {
            let forged = MessageSignature { signature: signature.clone(), algorithm, ..by_ed25519() };
            assert!(judged(&only, forged).unwrap_err().contains("is not right"));
        }
    }
    only.keys.clear();
    assert!(judged(&only, by_ed25519()).unwrap_err().contains("no `signing_secret`"));
}

#[test]
fn every_way_to_be_refused_says_what_to_do() {
    let changed = |change: &dyn Fn(&mut MessageSignature)| {
        let mut message = by_secret();
        change(&mut message);
        examine("test-shared-secret", &signing(), Some(&request(vec![message])), NOW)
            .map_err(|e| e.message().to_owned())
    };
    assert!(changed(&|_| {}).is_ok());
    let refused = |word: &str, change: &dyn Fn(&mut MessageSignature)| {
        let said = changed(change).unwrap_err();
        assert!(said.contains("`sig-b25`") && said.contains(word), "{said}");
    };
    refused("`keyid`", &|m| m.key_id = None);
    refused("another `keyid`", &|m| m.key_id = Some("orders".into()));
    refused("`created`", &|m| m.created = None);
    refused("older than 300 seconds", &|m| m.created = Some(NOW - 301));
    refused("from the future", &|m| m.created = Some(NOW + 301));
    refused("older", &|m| m.created = Some(i64::MIN));
    refused("future", &|m| m.created = Some(i64::MAX));
    refused("expired", &|m| m.expires = Some(NOW));
    refused("does not cover \"@method\", \"content-digest\"", &|m| {
        m.uncovered = vec!["@method".into(), "content-digest".into()];
    });
    refused("is not right", &|m| m.signature[0] ^= 1);
    refused("is not right", &|m| m.signature.clear());
    refused("is not right", &|m| m.bases[0][0] ^= 1);
    refused("is not right", &|m| m.bases.clear());
    assert!(changed(&|m| m.created = Some(NOW - 300)).is_ok() && changed(&|m| m.expires = Some(NOW + 1)).is_ok());
    assert!(changed(&|m| m.bases.insert(0, b"another URL".to_vec())).is_ok(), "the one that was called is among them");
}

#[test]
fn one_wrong_signature_spoils_the_right_one_beside_it() {
    let wrong = MessageSignature { signature: vec![0; 32], label: "proxy".into(), ..by_secret() };
    let all = request(vec![by_secret(), wrong]);
    let said = examine("test-shared-secret", &signing(), Some(&all), NOW).unwrap_err();
    assert!(said.message().contains("`proxy`"), "{said}");
    let twice = request(vec![by_secret(), by_secret()]);
    assert_eq!(examine("test-shared-secret", &signing(), Some(&twice), NOW).unwrap().signed.len(), 2);
}

#[test]
fn what_a_key_demands() {
    let with = |require| Signing { require, ..signing() };
    let ask = |require, request: Option<SignedRequest>| {
        examine("k", &with(require), request.as_ref(), NOW).map(|examined| examined.mac.is_some()).is_ok()
    };
    let plain = || Some(SignedRequest { plain: Some([0; 32]), ..request(Vec::new()) });
    let faulty = || Some(SignedRequest { fault: Some("nonsense".into()), ..plain().unwrap() });
    for (require, nothing, body) in
        [(SignatureRule::Off, true, true), (SignatureRule::Any, false, true), (SignatureRule::Message, false, false)]
    {
        assert_eq!(ask(require, None), nothing, "{require:?}");
        assert_eq!(ask(require, plain()), body, "{require:?}");
        assert!(!ask(require, faulty()), "{require:?}");
    }
    let no_secret = Signing { secret: None, require: SignatureRule::Any, ..signing() };
    assert!(examine("k", &no_secret, plain().as_ref(), NOW).is_err(), "a body is signed with a secret");
}

#[test]
fn the_hmac_of_a_body() {
    // What `openssl dgst -sha256 -hmac` makes of `hello world`.
    let secret = "an old partner's shared secret, long";
    let signing = Signing { secret: Some(secret.into()), ..Signing::default() };
    let judge = |claimed: &str, body: &[&[u8]]| {
        let claimed = hex::decode(claimed).unwrap().try_into().unwrap();
        let request = SignedRequest { plain: Some(claimed), ..request(Vec::new()) };
        let mut mac = examine("k", &signing, Some(&request), NOW).unwrap().mac.unwrap();
        for piece in body {
            mac.update(piece);
        }
        mac.is_right()
    };
    assert!(judge(BODY_MAC, &[b"hello ", b"world"]));
    assert!(!judge(BODY_MAC, &[b"hello world!"]) && !judge(BODY_MAC, &[]));
}

#[test]
fn secrets_and_keys_are_read_strictly() {
    let check = |secret: &str| check_signing_secret(&secret.into()).is_ok();
    assert!(check(SHARED) && check(&"x".repeat(32)));
    for wrong in ["", "short", &"x".repeat(31), "base64:", "base64:!!", "base64:c2hvcnQ="] {
        assert!(!check(wrong), "{wrong}");
    }
    let key = SignatureKey::parse(ED25519).unwrap();
    let raw = STANDARD.encode(&key.bytes);
    assert_eq!(SignatureKey::parse(&raw), Some(key.clone()), "the bytes alone");
    for pem in [ED25519, P256] {
        let key = SignatureKey::parse(pem).unwrap();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<SignatureKey>(&json).unwrap(), key);
        assert_eq!(SignatureKey::parse(&key.to_string()), Some(key));
    }
    let rsa = format!("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A{}", "MIIB".repeat(60));
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----";
    for wrong in ["", "!", "AAAA", &rsa, private, &P256.replace("qIVY", "AIVY").replace("QgAE", "QgAC")] {
        assert_eq!(SignatureKey::parse(wrong), None, "{wrong}");
    }
    assert_eq!(serde_json::to_string(&SignatureRule::Message).unwrap(), "\"message\"");
    assert_eq!(serde_json::from_str::<SignatureRule>("\"any\"").unwrap(), SignatureRule::Any);
}
