//! schemathesis reads the API's description and asks the running gateway what follows from it: right data, wrong data, the
//! edges of every limit, methods that are not there, requests without a credential, chains of requests. All its checks, and
//! no operation left out (`tests/clients/schemathesis/`).

use std::path::Path;
use std::process::Command;

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::{Ledger, Plan, on_both_ledgers, skip};

on_both_ledgers!(the_gateway_is_as_it_is_described);

async fn the_gateway_is_as_it_is_described(ledger: Ledger) {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with schemathesis; ./test makes one");
    };
    // Wrong credentials come by the thousand, and no limit of requests may stand before what is asked for.
    let limits = "max_file_size = \"1 MiB\"\nrequests_per_minute = 10000000\nfailed_logins = 1000000";
    let portal = "[[tenant.oauth_client]]\nid = \"portal\"\nredirect_uris = [\"https://portal.example/callback\"]";
    // What is asked is read to its end.
    let streams = "event_stream_time = \"100ms\"";
    let gateway = Plan::new(ledger).acme(portal).limits(limits).api(streams).start().await;
    let (base, ca) = (format!("https://localhost:{}", gateway.api.port()), gateway.data().join("certs/ca.pem"));
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/schemathesis");
    // It leaves notes of its own where it runs.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(Path::new(&python).with_file_name("schemathesis"));
    command.current_dir(folder.path()).arg("--config-file").arg(scripts.join("schemathesis.toml"));
    // Out of a file: read from the gateway, the route that it was read from would be left out.
    let document = gateway.rest("orders").get("/openapi.json").await;
    let described = folder.path().join("openapi.json");
    std::fs::write(&described, &document.body).unwrap();
    command.arg("run").arg(&described).arg("--url").arg(&base).arg("--tls-verify").arg(&ca);
    command.args(["--checks", "all", "--no-color"]);
    command.env("SCHEMATHESIS_HOOKS", scripts.join("hooks.py")).env("REQUESTS_CA_BUNDLE", &ca);
    command.env("CAUSEWAY_BASE", &base).env("CAUSEWAY_KEY", api_key("orders")).env("NO_PROXY", "localhost");
    let told = String::from_utf8(run(command).await.stdout).unwrap();
    for line in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(told.contains(&format!("✅ {line}")), "{line} has run: {told}");
    }
    let operations: usize =
        document.json()["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert!(told.contains(&format!("Tested: {operations}\n")), "all {operations} of them: {told}");
    let log = gateway.log();
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
}
