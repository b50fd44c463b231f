//! The bases of RFC 9421: its examples, and what of a request can be changed without changing them.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::signatures::fields::inputs;
use http::{HeaderMap, Request};
use proptest::prelude::*;

fn config(url: &str, hosts: Option<&[&str]>) -> ApiConfig {
    let signature_hosts = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
    ApiConfig { signature_hosts, ..ApiConfig::new(url, "") }
}

fn input(components: &str) -> Input {
    let mut headers = HeaderMap::new();
    headers.insert("signature-input", format!("s=({components})").parse().unwrap());
    headers.insert("signature", "s=:AA==:".parse().unwrap());
    inputs(&headers).unwrap().pop().unwrap()
}

fn base(components: &str, request: http::request::Builder) -> Result<String, String> {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let target = called(&parts, &config("https://www.example.com", None)).remove(0);
    of(&input(components), &target, &parts)
        .map(|base| String::from_utf8(base).unwrap())
        .map_err(std::borrow::Cow::into_owned)
}

/// The one line of a component.
fn line(component: &str, request: http::request::Builder) -> Result<String, String> {
    base(component, request).map(|base| base.lines().next().unwrap().to_owned())
}

/// The message of appendix B.2.
fn message() -> http::request::Builder {
    Request::post("/foo?param=Value&Pet=dog")
        .header("host", "example.com")
        .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .header("content-type", "application/json")
        .header("content-length", "18")
}

#[test]
fn the_base_of_rfc_9421_appendix_b_2_6() {
    let said =
        base("\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\"", message()).unwrap();
    assert_eq!(
        said,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\
         \"content-type\": application/json\n\"content-length\": 18\n\
         \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")"
    );
}

#[test]
fn derived_components() {
    let get = || Request::get("/path?param=value&foo=bar&baz=bat%2Dman").header("host", "WWW.example.com:443");
    for (component, expected) in [
        ("\"@method\"", "\"@method\": GET"),
        ("\"@target-uri\"", "\"@target-uri\": https://www.example.com/path?param=value&foo=bar&baz=bat%2Dman"),
        ("\"@authority\"", "\"@authority\": www.example.com"),
        ("\"@scheme\"", "\"@scheme\": https"),
        ("\"@request-target\"", "\"@request-target\": /path?param=value&foo=bar&baz=bat%2Dman"),
        ("\"@path\"", "\"@path\": /path"),
        ("\"@query\"", "\"@query\": ?param=value&foo=bar&baz=bat%2Dman"),
        ("\"@query-param\";name=\"baz\"", "\"@query-param\";name=\"baz\": bat-man"),
    ] {
        assert_eq!(line(component, get()).unwrap(), expected);
    }
    assert_eq!(line("\"@query\"", Request::get("/path")).unwrap(), "\"@query\": ?");
    assert_eq!(
        line("\"@target-uri\"", Request::get("/path")).unwrap(),
        "\"@target-uri\": https://www.example.com/path"
    );
    // Section 2.2.8.
    let get = || {
        Request::get(
            "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&q=1&q=2&qux=",
        )
    };
    for (name, value) in [
        ("var", "this%20is%20a%20big%0Amultiline%20value"),
        ("bar", "with%20plus%20whitespace"),
        ("fa%C3%A7ade%22%3A%20", "something"),
        ("qux", ""),
    ] {
        let component = format!("\"@query-param\";name=\"{name}\"");
        assert_eq!(line(&component, get()).unwrap(), format!("{component}: {value}"));
    }
    assert!(line("\"@query-param\";name=\"q\"", get()).unwrap_err().contains("several times"));
    assert!(line("\"@query-param\";name=\"none\"", get()).unwrap_err().contains("does not have it"));
}

#[test]
fn fields() {
    // Sections 2.1 to 2.1.3.
    let request = || {
        Request::get("/")
            .header("cache-control", "  max-age=60 ")
            .header("cache-control", "    must-revalidate")
            .header("content-digest", "  sha-256=:AAAA:;x,   sha-512=:BBBB:")
            .header("example-dict", "  a=1,    b=2;x=1;y=2,   c=(a   b    c), d")
            .header("example", "value, with, lots")
            .header("example", "of, commas")
            .header("empty", "")
    };
    for (component, expected) in [
        ("\"cache-control\"", "\"cache-control\": max-age=60, must-revalidate"),
        ("\"content-digest\";sf", "\"content-digest\";sf: sha-256=:AAAA:;x, sha-512=:BBBB:"),
        ("\"example-dict\"", "\"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b    c), d"),
        ("\"example-dict\";key=\"a\"", "\"example-dict\";key=\"a\": 1"),
        ("\"example-dict\";key=\"d\"", "\"example-dict\";key=\"d\": ?1"),
        ("\"example-dict\";key=\"b\"", "\"example-dict\";key=\"b\": 2;x=1;y=2"),
        ("\"example-dict\";key=\"c\"", "\"example-dict\";key=\"c\": (a b c)"),
        ("\"example\";bs", "\"example\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"),
        ("\"empty\"", "\"empty\": "),
    ] {
        assert_eq!(line(component, request()).unwrap(), expected);
    }
    for (component, word) in [
        ("\"missing\"", "does not have it"),
        ("\"example-dict\";key=\"z\"", "does not have it"),
        ("\"example-dict\";sf", "leave `sf` out"),
        ("\"example\";key=\"a\"", "does not have it"),
    ] {
        assert!(line(component, request()).unwrap_err().contains(word), "{component}");
    }
    let latin = Request::get("/").header("x", http::HeaderValue::from_bytes(b"\xe9").unwrap());
    assert!(line("\"x\"", latin).unwrap_err().contains("not ASCII"));
}

#[test]
fn only_names_of_the_gateways_own_are_believed() {
    let targets = |config: &ApiConfig, host: &str| {
        let (parts, ()) = Request::get("/a").header("host", host).body(()).unwrap().into_parts();
        let uris = called(&parts, config)
            .iter()
            .map(|target| value(&Kind::TargetUri, target, &parts).unwrap())
            .collect::<Vec<_>>();
        uris.join(" ")
    };
    let derived = config("https://localhost:8443", None);
    assert_eq!(targets(&derived, "10.0.0.1:8443"), "https://10.0.0.1:8443/a", "nobody has said what it is called");
    let set = config("https://files.example.com/gw", Some(&["10.0.0.1:8443"]));
    let public = "https://files.example.com/gw/a https://files.example.com/a";
    for host in ["files.example.com", "FILES.example.com:443", "other.example", "internal:8443", ""] {
        assert_eq!(targets(&set, host), public, "{host}");
    }
    assert_eq!(targets(&set, "10.0.0.1:8443"), "https://10.0.0.1:8443/a");
    // HTTP/2 has it in the target.
    let (parts, ()) = Request::get("https://10.0.0.1:8443/a").body(()).unwrap().into_parts();
    assert_eq!(called(&parts, &set).len(), 1);
}

proptest! {
    /// Two requests that differ in anything that is covered have two bases.
    #[test]
    fn no_two_requests_have_one_base(
        one in ("[A-Z]{3}", "(/[a-z]{0,2}){1,2}", prop::option::of("[a-z=&]{0,3}"), "[a-c, ]{0,4}", "[a-c, ]{0,4}"),
        other in ("[A-Z]{3}", "(/[a-z]{0,2}){1,2}", prop::option::of("[a-z=&]{0,3}"), "[a-c, ]{0,4}", "[a-c, ]{0,4}"),
    ) {
        let made = |(method, path, query, a, b): &(String, String, Option<String>, String, String)| {
            let uri = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
            let request = Request::builder().method(method.as_str()).uri(uri).header("a", a).header("b", b);
            base("\"@method\" \"@target-uri\" \"a\" \"b\"", request).unwrap()
        };
        let same = (&one.0, &one.1, &one.2, one.3.trim(), one.4.trim()) == (&other.0, &other.1, &other.2, other.3.trim(), other.4.trim());
        prop_assert_eq!(made(&one) == made(&other), same);
        prop_assert_eq!(made(&one).lines().count(), 5);
    }
}
