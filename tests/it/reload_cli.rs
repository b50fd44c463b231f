//! What the command line tells editors and shells of the configuration and of itself.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::gateway::PROGRAM;
use crate::harness::{has_tool, skip};

fn printed(arguments: &[&str]) -> String {
    let ran = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_schema_of_the_configuration() {
    let schema: Value = serde_json::from_str(&printed(&["config", "schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let banner = &schema["properties"]["sftp"]["properties"]["banner"];
    assert_eq!((&banner["type"], &banner["default"]), (&"string".into(), &"".into()), "{banner}");
    assert!(banner["description"].as_str().unwrap().starts_with("Shown before the login."), "{banner}");
    let tries = &schema["properties"]["sftp"]["properties"]["max_auth_tries"];
    assert_eq!((&tries["minimum"], &tries["maximum"], &tries["default"]), (&1.into(), &100.into(), &6.into()));
    let min = &schema["properties"]["tls"]["properties"]["min_version"];
    assert_eq!(min["enum"], serde_json::json!(["1.2", "1.3"]));
}

/// A real validator finds the two good files right, and wrong ones wrong.
#[test]
fn the_schema_judges_as_a_validator_does() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with jsonschema_rs; ./test makes one");
    };
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    std::fs::write(&schema, printed(&["config", "schema"])).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let ran = Command::new(python)
        .arg(format!("{root}/tests/clients/config_schema.py"))
        .arg(schema)
        .args([format!("{root}/causeway.example.toml"), format!("{root}/tests/fixtures/contract.toml")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn completions_for_shells() {
    let bash = printed(&["completions", "bash"]);
    for word in ["serve", "check", "quickstart", "completions", "--config", "--no-secrets"] {
        assert!(bash.contains(word), "{word}");
    }
    let zsh = printed(&["completions", "zsh"]);
    assert!(zsh.starts_with("#compdef causeway"), "{}", &zsh[..60]);
    assert!(printed(&["completions", "fish"]).contains("complete -c causeway"));
    assert!(!Command::new(PROGRAM).args(["completions", "sh"]).output().unwrap().status.success());
    if has_tool("bash") {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("causeway.bash");
        std::fs::write(&script, &bash).unwrap();
        let asked = "source \"$1\"; COMP_WORDS=(causeway ser); COMP_CWORD=1; _causeway causeway ser causeway; echo \"${COMPREPLY[@]}\"";
        let ran = Command::new("bash").args(["--norc", "-c", asked, "bash"]).arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.trim() == "serve", "{said}{}", String::from_utf8_lossy(&ran.stderr));
    }
}
