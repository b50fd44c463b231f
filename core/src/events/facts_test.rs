use super::*;
use crate::error::ErrorKind;
use crate::identity::Factor;

fn facts() -> Facts {
    let peer = Peer {
        ip: "::ffff:192.0.2.7".parse().unwrap(),
        protocol: Protocol::Sftp,
        client_version: Some("OpenSSH_9.2".into()),
        cipher: Some("aes128-gcm@openssh.com".into()),
        required_certificate: None,
    };
    let mut facts = Facts::of_peer(&peer, "gw-1", Operation::Upload);
    facts.at = 1_795_551_302_123_456;
    facts
}

fn uploaded() -> Facts {
    Facts {
        tenant: Some("acme".into()),
        identity: Some("edi-partner".into()),
        login: Some("edi01".into()),
        session: Some(Uuid::from_u128(1)),
        auth_method: Some(AuthMethod::one(Factor::PublicKey)),
        transfer_id: Some(Uuid::from_u128(2)),
        file_id: Some(Uuid::from_u128(3)),
        path: Some("/inbound/orders.csv".into()),
        view_path: Some("/in/orders.csv".into()),
        size: Some(1_048_576),
        bytes: Some(1_048_576),
        complete: Some(true),
        hash: Some([0x9f; 32]),
        content_type: Some("text/csv".into()),
        duration_ms: Some(212),
        ..facts()
    }
}

#[test]
fn an_event_has_the_contracts_fields_in_its_order() {
    let event = uploaded().event("file.uploaded");
    let expected = format!(
        concat!(
            r#"{{"id":"{}","type":"file.uploaded","timestamp":"2026-11-24T20:15:02.123456Z","tenant_id":"acme","#,
            r#""transfer_id":"00000000-0000-0000-0000-000000000002","status":"completed","data":{{"#,
            r#""identity":"edi-partner","login":"edi01","protocol":"sftp","#,
            r#""session":"00000000-0000-0000-0000-000000000001","client_ip":"192.0.2.7","node":"gw-1","#,
            r#""operation":"upload","file_id":"00000000-0000-0000-0000-000000000003","path":"/inbound/orders.csv","#,
            r#""view_path":"/in/orders.csv","previous_path":null,"name":"orders.csv","size":1048576,"#,
            r#""bytes":1048576,"complete":true,"hash":"{}","hash_algorithm":"sha256","content_type":"text/csv","#,
            r#""duration_ms":212,"error_code":null,"error_message":null}}}}"#,
        ),
        event.id,
        "9f".repeat(32)
    );
    assert_eq!(event.body, expected);
    assert_eq!((event.tenant.as_str(), event.kind.as_str()), ("acme", "file.uploaded"));
    assert_eq!(event.path.as_deref(), Some("/inbound/orders.csv"));
    assert_eq!(event.order_keys, ["00000000-0000-0000-0000-000000000003", "/inbound/orders.csv"]);
    assert_eq!(event.id.get_version_num(), 7);
}

#[test]
fn an_audit_entry_is_canonical_and_tells_the_same() {
    let facts = uploaded();
    let entry = facts.audit();
    let expected = format!(
        concat!(
            r#"{{"auth_method":"publickey","bytes":1048576,"cipher":"aes128-gcm@openssh.com","client_ip":"192.0.2.7","#,
            r#""client_version":"OpenSSH_9.2","complete":true,"content_type":"text/csv","duration_ms":212,"#,
            r#""error_code":null,"error_message":null,"file_id":"00000000-0000-0000-0000-000000000003","hash":"{}","#,
            r#""hash_algorithm":"sha256","id":"{}","identity":"edi-partner","login":"edi01","name":"orders.csv","#,
            r#""node":"gw-1","operation":"upload","outcome":"ok","path":"/inbound/orders.csv","previous_path":null,"#,
            r#""protocol":"sftp","session":"00000000-0000-0000-0000-000000000001","size":1048576,"#,
            r#""status":"completed","tenant_id":"acme","timestamp":"2026-11-24T20:15:02.123456Z","#,
            r#""transfer_id":"00000000-0000-0000-0000-000000000002","view_path":"/in/orders.csv"}}"#,
        ),
        "9f".repeat(32),
        entry.id
    );
    assert_eq!(String::from_utf8(entry.body.clone()).unwrap(), expected);
    assert_eq!((entry.chain.as_str(), entry.operation.as_str(), entry.outcome.as_str()), ("acme", "upload", "ok"));
    assert_eq!((entry.identity.as_deref(), entry.login.as_deref()), (Some("edi-partner"), Some("edi01")));
    assert_eq!((entry.path.as_deref(), entry.protocol.as_str()), (Some("/inbound/orders.csv"), "sftp"));

    let entry: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
    let event: serde_json::Value = serde_json::from_str(&facts.event("file.uploaded").body).unwrap();
    for (name, value) in event["data"].as_object().unwrap() {
        assert_eq!(&entry[name], value, "{name}");
    }
    assert!(event["data"].get("cipher").is_none(), "the cipher is for the trail only");
}

#[test]
fn a_refusal_of_nobody_known() {
    let denied = facts().failed(&Error::new(ErrorKind::Unauthenticated, "the login or the password is wrong"));
    assert_eq!(denied.status, Status::Denied);
    let entry = denied.audit();
    assert_eq!((entry.chain.as_str(), entry.outcome.as_str(), entry.identity), ("", "denied", None));
    let event: serde_json::Value = serde_json::from_str(&denied.event("auth.failed").body).unwrap();
    assert!(
        event["tenant_id"].is_null() && event["data"]["name"].is_null() && event["data"]["hash_algorithm"].is_null()
    );
    assert_eq!(event["status"], "denied");
    assert_eq!(event["data"]["error_code"], "unauthenticated");
    assert_eq!(event["data"]["error_message"], "the login or the password is wrong");
    assert!(denied.event("auth.failed").order_keys.is_empty());

    let failed = facts().failed(&Error::new(ErrorKind::NoSpace, "full"));
    assert_eq!((failed.status.as_str(), failed.status.outcome()), ("failed", "error"));
    assert_eq!((Status::Cancelled.as_str(), Status::Cancelled.outcome()), ("cancelled", "error"));
}

#[test]
fn a_rename_is_in_order_with_both_names() {
    let renamed = Facts { previous_path: Some("/inbound/orders.tmp".into()), ..uploaded() };
    let keys = renamed.event("file.renamed").order_keys;
    assert_eq!(keys, ["00000000-0000-0000-0000-000000000003", "/inbound/orders.csv", "/inbound/orders.tmp"]);
    let root = Facts { path: Some("/".into()), previous_path: Some("/".into()), ..facts() };
    let event = root.event("folder.renamed");
    assert_eq!(event.order_keys, ["/"]);
    assert!(event.body.contains(r#""name":null"#));
}

#[test]
fn what_clients_send_is_cut() {
    let long = Facts {
        login: Some("ü\0".repeat(400)),
        client_version: Some("v".repeat(4000)),
        path: Some("/p".repeat(4000)),
        error: Some(("internal".into(), "m".repeat(4000))),
        ..facts()
    };
    let entry = long.audit();
    let login = entry.login.clone().unwrap();
    assert_eq!(login.chars().count(), MAX_TEXT);
    assert!(!login.contains('\0'));
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
    assert_eq!(body["login"], login);
    assert_eq!(body["path"].as_str(), entry.path.as_deref());
    let lengths = |name: &str| body[name].as_str().unwrap().len();
    assert_eq!((lengths("client_version"), lengths("path"), lengths("error_message")), (255, 4096, 1024));
}

#[test]
fn what_clients_send_deceives_nobody() {
    let hostile = "a\u{202e}\r\n\u{85}\u{2028}\u{1b}[2Jb";
    let facts = Facts {
        login: Some(hostile.into()),
        client_version: Some(hostile.into()),
        path: Some(format!("/in/{hostile}")),
        error: Some(("internal".into(), hostile.into())),
        ..facts()
    };
    let replaced = "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}[2Jb";
    let (entry, event) = (facts.audit(), facts.event("file.uploaded"));
    assert_eq!(entry.login.as_deref(), Some(replaced));
    assert!(!event.body.contains(crate::events::is_hidden), "{}", event.body);
    let (body, told): (serde_json::Value, serde_json::Value) =
        (serde_json::from_slice(&entry.body).unwrap(), serde_json::from_str(&event.body).unwrap());
    for field in ["login", "client_version", "error_message"] {
        assert_eq!(body[field], replaced, "{field}");
    }
    for (path, name) in [(&body["path"], &body["name"]), (&told["data"]["path"], &told["data"]["name"])] {
        assert_eq!((path, name), (&format!("/in/{hostile}").into(), &hostile.into()), "names are what they are");
    }
}

#[test]
fn moments_are_rfc_3339() {
    assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
    assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999999Z");
    assert_eq!(timestamp(1_795_551_302_000_007), "2026-11-24T20:15:02.000007Z");
}
