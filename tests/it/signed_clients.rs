//! Signed requests of others: Python's `http-message-signatures`, and curl with openssl for the older `X-Signature`.

use std::process::Command;

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::{Gateway, Ledger, Plan, Random, sha256, skip};
use crate::signed::{SECRET, key, plan};

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let made = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_message_signatures_of_python() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with http-message-signatures; ./test makes one");
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ed25519, p256) = (file("ed25519.pem"), file("p256.pem"));
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &ed25519]);
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &p256]);
    let public = |path: &str| String::from_utf8(openssl(&["pkey", "-in", path, "-pubout"])).unwrap();
    let lines = format!(
        "[[tenant.api_key]]\nid = \"python\"\nidentity = \"orders-app\"\nkey_hash = \"{}\"\nrequire_signature = \"message\"\n\
         signing_secret = \"env:SIGNING_SECRET\"\nsignature_keys = [\"\"\"{}\"\"\", \"\"\"{}\"\"\"]",
        sha256(api_key("python").as_bytes()),
        public(&ed25519),
        public(&p256)
    );
    let mut plan = Plan::new(Ledger::Sqlite).acme(&lines);
    plan.env.push(("SIGNING_SECRET".to_owned(), SECRET.to_owned()));
    let gateway = plan.start().await;
    let mut command = Command::new(python);
    command.arg(format!("{}/tests/clients/signed_requests.py", env!("CARGO_MANIFEST_DIR")));
    command
        .arg(format!("https://localhost:{}", gateway.api.port()))
        .arg(gateway.data().join("certs/ca.pem"))
        .arg("/inbound");
    command.env("SIGNING_SECRET", SECRET).env("ED25519_KEY", ed25519).env("P256_KEY", p256);
    command.env("SIGNED_TOKEN", api_key("python"));
    run(command).await;
    let names = gateway.rest("orders").list("/inbound").await;
    assert_eq!(names.len(), 6, "{names:?}");
}

/// What README.md shows: the status, and the answer.
async fn script(gateway: &Gateway, version: &str, key: &str, secret: &str, rest: &str) -> (String, String) {
    let mut command = Command::new("bash");
    command.current_dir(gateway.folder()).args(["-euo", "pipefail", "-c"]).arg(format!(
        r#"signature=$(openssl dgst -sha256 -hmac "$SECRET" -r body | cut -d' ' -f1)
           curl -sS {version} --noproxy '*' --cacert {ca:?} -H "Authorization: Bearer $KEY" -H "X-Signature: $signature" \
             -w '\n%{{http_code}}' {rest}"#,
        ca = gateway.data().join("certs/ca.pem"),
    ));
    command
        .env("SECRET", secret)
        .env("KEY", api_key(key))
        .env("API", format!("https://localhost:{}/api/v1", gateway.api.port()));
    let said = String::from_utf8(run(command).await.stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_openssl_send_x_signature() {
    let gateway = plan(Ledger::Sqlite).acme(&key("older", "\"any\"")).start().await;
    let content = Random::seeded("X-Signature").bytes((3 << 20) + 1);
    let orders = gateway.rest("orders");
    for version in ["--http1.1", "--http2"] {
        for (name, size) in [("small", 1000), ("large", 3 << 20)] {
            let at = format!("{name}{version}");
            std::fs::write(gateway.folder().join("body"), &content[..size]).unwrap();
            let put = format!("-T body \"$API/files/content?path=/inbound/{at}\"");
            let (status, said) = script(&gateway, version, "older", SECRET, &put).await;
            assert_eq!((status.as_str(), said.contains(&sha256(&content[..size]))), ("201", true), "{said}");
            let chunked = format!("-T - \"$API/files/content?path=/inbound/{at}\" < body");
            assert_eq!(script(&gateway, version, "older", SECRET, &chunked).await.0, "200");
            // Another body than was signed, and another secret.
            let other = format!("-T other \"$API/files/content?path=/inbound/other-{at}\"");
            std::fs::write(gateway.folder().join("other"), &content[1..=size]).unwrap();
            for (secret, sent) in [(SECRET, other.as_str()), ("the secret of somebody else, as long", put.as_str())] {
                let (status, said) = script(&gateway, version, "older", secret, sent).await;
                assert!(status == "401" && said.contains("`X-Signature` is not right"), "{status} {said}");
            }
            assert_eq!(orders.read(&format!("/inbound/other-{at}")).await.status, 404);
            assert_eq!(orders.read(&format!("/inbound/{at}")).await.body, &content[..size]);
        }
        // Where there is no body it is the HMAC of nothing.
        std::fs::write(gateway.folder().join("body"), "").unwrap();
        assert_eq!(script(&gateway, version, "older", SECRET, "\"$API/auth/validate\"").await.0, "200");
        let (status, said) = script(&gateway, version, "older", SECRET, "-d x \"$API/folders\"").await;
        assert!(status == "401" && said.contains("is not right"), "{status} {said}");
        // It is the weaker of the two: a key can demand the other one, and one without a secret takes none.
        let (status, said) = script(&gateway, version, "signed", SECRET, "\"$API/auth/validate\"").await;
        assert!(status == "401" && said.contains("is not enough"), "{status} {said}");
        let (status, said) = script(&gateway, version, "orders", SECRET, "\"$API/auth/validate\"").await;
        assert!(status == "401" && said.contains("leave the signature out"), "{status} {said}");
    }
    assert_eq!(orders.get("/uploads").await.ok()["uploads"], serde_json::json!([]));
}
