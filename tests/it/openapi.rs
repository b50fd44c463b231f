//! The API's description: it is as the golden file has it (`UPDATE_GOLDEN=1` writes it anew), it has every route and no
//! other, and the page for people shows all of it without anything from outside.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::rest::{Answer, Rest};
use crate::harness::{Gateway, Ledger, Plan, skip};
use crate::problems::{UNKNOWN, as_written};

const GOLDEN: &str = "tests/it/golden/openapi.json";
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

async fn started() -> (Gateway, Rest) {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    (gateway, rest)
}

/// The document of a running gateway, with what differs from run to run cut out.
async fn document(rest: &Rest) -> Value {
    let mut document = rest.with_key("").get("/openapi.json").await.ok();
    document["info"]["version"] = "…".into();
    document
}

/// Path, method and description of every operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
            all.push((path.as_str(), method.as_str(), operation));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_as_it_was() {
    let (_gateway, rest) = started().await;
    let mut document = document(&rest).await;
    document["servers"][0]["url"] = "https://gateway.example".into();
    // The page's examples are not here; the addresses of this run are nowhere else.
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    assert!(!text.contains("localhost") && !text.contains("127.0.0.1"), "nothing of this run is in it");
    as_written(GOLDEN, &text);
}

/// The router names the methods of a path in `Allow`: they are those that are described, and every described path is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_described_and_every_description_has_its_route() {
    let (_gateway, rest) = started().await;
    let document = document(&rest).await;
    let mut ids = BTreeSet::new();
    for (path, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands twice ({path})");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id} has no summary");
        let named: BTreeSet<&str> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let told: BTreeSet<&str> =
            parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(named, told, "{id}: the parameters of the path");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut described: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if described.contains("GET") {
            described.insert("HEAD".to_owned());
        }
        let at = path
            .replace("{n}", "0")
            .replace("{file_id}", UNKNOWN)
            .replace("{session_id}", UNKNOWN)
            .replace("{transfer_id}", UNKNOWN);
        let request = rest.request(Method::TRACE, &format!("/../..{}", at.replace("{id}", UNKNOWN)));
        let answer = rest.send(request.header("tus-resumable", "1.0.0")).await;
        answer.problem(405, "method_not_allowed");
        let allowed: BTreeSet<String> = answer.header("allow").split(',').map(|word| word.trim().to_owned()).collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_needs_no_credential_and_may_be_kept() {
    let (gateway, rest) = started().await;
    let open = rest.with_key("");
    for path in ["/openapi.json", "/../docs"] {
        let answer = open.get(path).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "public, max-age=300"), "{answer:?}");
        let tag = answer.header("etag").to_owned();
        let again = open.send(open.request(Method::GET, path).header("if-none-match", &tag)).await;
        assert_eq!((again.status, again.header("etag"), again.body.len()), (304, &*tag, 0), "{again:?}");
        let other = open.send(open.request(Method::GET, path).header("if-none-match", "\"x\"")).await;
        assert_eq!(other.status, 200);
        assert_eq!(open.head(path).await.status, 200);
    }
    let document = open.get("/openapi.json").await.ok();
    assert_eq!(document["openapi"], "3.1.1");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["servers"][0]["url"].as_str().unwrap().starts_with("https://"), "{}", document["servers"]);
    drop(gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_all_of_it_and_loads_nothing() {
    let (_gateway, rest) = started().await;
    let open = rest.with_key("");
    let document = document(&rest).await;
    let answer: Answer = open.get("/../docs").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy");
    let style = policy.strip_prefix("default-src 'none'; style-src 'sha256-").unwrap_or_else(|| panic!("{policy}"));
    let (digest, rest_of_it) = style.split_once("'; ").unwrap();
    assert_eq!(rest_of_it, "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    let css = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    {
        use base64::Engine as _;
        use sha2::{Digest as _, Sha256};
        assert_eq!(digest, base64::engine::general_purpose::STANDARD.encode(Sha256::digest(css)));
    }
    let outside =
        [" src=", "href=\"http", "href=\"//", "url(", "@import", "<script", "<link", "<img", " style=", " onclick="];
    for word in outside {
        assert!(!page.contains(word), "{word}");
    }
    for anchor in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "#{anchor} leads nowhere");
    }
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let article = page.split(&format!("<article id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("{id} is missing"));
        let article = article.split("</article>").next().unwrap();
        assert!(article.contains(&format!(">{}</span> <code>{path}</code>", method.to_uppercase())), "{id}");
        assert!(article.contains("<pre>curl"), "{id} has no example");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(article.contains(&format!("<code>{name}</code>")), "{id} does not tell of {name}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(article.contains(&format!("<strong>{status}</strong>")), "{id} does not tell of {status}");
            let shared = response["$ref"].as_str().and_then(|at| document.pointer(at.trim_start_matches('#')));
            let response = shared.unwrap_or(response);
            for code in response["content"]["application/problem+json"]["examples"].as_object().into_iter().flatten() {
                assert!(article.contains(code.0.as_str()), "{id} does not tell of {}", code.0);
            }
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
}

/// The document is one of OpenAPI 3.1, and its examples are what their schemas say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_valid_and_so_are_its_examples() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with schemathesis; ./test makes one");
    };
    let (gateway, _) = started().await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/openapi_examples.py"));
    command.arg(format!("https://localhost:{}", gateway.api.port()));
    command.arg(gateway.data().join("certs/ca.pem")).arg(api_key("orders"));
    command.env("NO_PROXY", "localhost");
    let told = String::from_utf8(run(command).await.stdout).unwrap();
    let counted: usize = told.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
    assert!(counted > 200, "the examples were looked at: {told}");
}
