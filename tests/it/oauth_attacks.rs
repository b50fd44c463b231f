//! OAuth 2.0 under attack: what RFC 9700 tells of, each tried.

use std::time::Instant;

use crate::harness::browser::Browser;
use crate::harness::plan::{PASSWORD, api_key};
use crate::harness::{Ledger, on_both_ledgers, say};
use crate::oauth::{
    BACKEND_SECRET, CALLBACK, COOKIE, VERIFIER, agree, asked, code_of, exchange, lets_in, logins, plan, post, refresh,
    refused, text,
};

on_both_ledgers!(
    a_code_counts_once_and_only_with_what_belongs_to_it,
    a_spent_refresh_token_ends_its_family,
    one_of_many_wins,
    answers_go_nowhere_else,
    forms_of_other_pages_do_nothing,
    logins_that_may_not_come_are_refused_alike,
);

async fn a_code_counts_once_and_only_with_what_belongs_to_it(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let rest = gateway.rest("orders");
    let fresh = async |path: &str| code_of(&agree(&mut Browser::new(&gateway), path, "ann").await);
    // Reuse: what came of it dies, at once.
    let code = fresh(&asked(&[])).await;
    let tokens = exchange(&rest, &code).await.ok();
    assert!(lets_in(&rest, text(&tokens, "access_token")).await);
    refused(&exchange(&rest, &code).await, 400, "invalid_grant");
    assert!(!lets_in(&rest, text(&tokens, "access_token")).await);
    refused(&refresh(&rest, text(&tokens, "refresh_token"), &[]).await, 400, "invalid_grant");
    let trail = logins(&rest).await;
    let said = trail.iter().find(|e| e["error_message"].as_str().is_some_and(|m| m.contains("shown again"))).unwrap();
    assert_eq!((&said["outcome"], &said["login"]), (&"denied".into(), &"ann".into()), "{said}");
    // What does not belong to it, each with a code of its own, which is spent by it.
    let grant = ("grant_type", "authorization_code");
    let long = "x".repeat(129);
    let other_verifier = "a".repeat(43);
    for (what, basic, client, redirect, verifier, error) in [
        ("another client", Some(("backend", BACKEND_SECRET)), None, Some(CALLBACK), Some(VERIFIER), "invalid_grant"),
        ("another public client", None, Some("reader-app"), Some(CALLBACK), Some(VERIFIER), "invalid_grant"),
        ("no redirect", None, Some("portal"), None, Some(VERIFIER), "invalid_grant"),
        ("another redirect", None, Some("portal"), Some("http://127.0.0.1/callback"), Some(VERIFIER), "invalid_grant"),
        (
            "a longer redirect",
            None,
            Some("portal"),
            Some("https://portal.example/callback/"),
            Some(VERIFIER),
            "invalid_grant",
        ),
        ("a wrong verifier", None, Some("portal"), Some(CALLBACK), Some(other_verifier.as_str()), "invalid_grant"),
        ("the challenge", None, Some("portal"), Some(CALLBACK), Some(crate::oauth::CHALLENGE), "invalid_grant"),
        ("a long verifier", None, Some("portal"), Some(CALLBACK), Some(long.as_str()), "invalid_grant"),
    ] {
        let code = fresh(&asked(&[])).await;
        let mut fields = vec![grant, ("code", code.as_str())];
        fields.extend(client.map(|client| ("client_id", client)));
        fields.extend(redirect.map(|redirect| ("redirect_uri", redirect)));
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let answer = post(&rest, "/oauth/token", basic, &fields).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        refused(&answer, 400, error);
        refused(&exchange(&rest, &code).await, 400, "invalid_grant");
    }
    // Without a verifier nothing is looked up.
    let code = fresh(&asked(&[])).await;
    let fields = [grant, ("client_id", "portal"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    refused(&post(&rest, "/oauth/token", None, &fields).await, 400, "invalid_request");
    // Another tenant's application does not even spend it.
    let fields = [
        grant,
        ("client_id", "other-portal"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    refused(&post(&rest, "/oauth/token", None, &fields).await, 400, "invalid_grant");
    exchange(&rest, &code).await.ok();
    // A secret that is wrong, and one that there is none of.
    for (id, secret) in [("backend", "wrong"), ("portal", "guessed")] {
        let answer =
            post(&rest, "/oauth/token", Some((id, secret)), &[grant, ("code", "x"), ("code_verifier", VERIFIER)]).await;
        refused(&answer, 401, "invalid_client");
    }
    let bare = post(
        &rest,
        "/oauth/token",
        None,
        &[grant, ("client_id", "backend"), ("code", "x"), ("code_verifier", VERIFIER)],
    )
    .await;
    refused(&bare, 401, "invalid_client");
    // A flood of wrong secrets is throttled, and others go on.
    let mut seen = Vec::new();
    for _ in 0..12 {
        let answer = post(
            &rest,
            "/oauth/token",
            Some(("backend", "wrong")),
            &[grant, ("code", "x"), ("code_verifier", VERIFIER)],
        )
        .await;
        seen.push(answer.status);
    }
    assert_eq!(seen.last(), Some(&429), "{seen:?}");
    let key = api_key("orders");
    post(&rest, "/oauth/token", Some(("orders", &key)), &[("grant_type", "client_credentials")]).await.ok();
}

async fn a_spent_refresh_token_ends_its_family(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let rest = gateway.rest("orders");
    let family = async || {
        let code = code_of(&agree(&mut Browser::new(&gateway), &asked(&[]), "ann").await);
        exchange(&rest, &code).await.ok()
    };
    let first = family().await;
    let second = refresh(&rest, text(&first, "refresh_token"), &[]).await.ok();
    let bystander = family().await;
    assert!(lets_in(&rest, text(&second, "access_token")).await);
    refused(&refresh(&rest, text(&first, "refresh_token"), &[]).await, 400, "invalid_grant");
    for tokens in [&first, &second] {
        assert!(!lets_in(&rest, text(tokens, "access_token")).await, "at once");
    }
    refused(&refresh(&rest, text(&second, "refresh_token"), &[]).await, 400, "invalid_grant");
    assert!(lets_in(&rest, text(&bystander, "access_token")).await, "another grant stands");
    // In the hands of another application it ends its family, too; of another tenant's it is unknown.
    let renewing = text(&bystander, "refresh_token");
    let shown = |client| [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", renewing)];
    refused(&post(&rest, "/oauth/token", None, &shown("other-portal")).await, 400, "invalid_grant");
    assert!(lets_in(&rest, text(&bystander, "access_token")).await);
    refused(&post(&rest, "/oauth/token", None, &shown("reader-app")).await, 400, "invalid_grant");
    assert!(!lets_in(&rest, text(&bystander, "access_token")).await);
}

async fn one_of_many_wins(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    // On PostgreSQL half of them come to another node.
    let other = if ledger == Ledger::Postgres {
        let issuer = format!("public_url = \"https://localhost:{}\"", gateway.api.port());
        Some(gateway.beside(|plan| plan.api(&issuer)).await)
    } else {
        None
    };
    let nodes = [gateway.rest("orders"), other.as_ref().unwrap_or(&gateway).rest("orders")];
    for round in 0..4 {
        let code = code_of(&agree(&mut Browser::new(&gateway), &asked(&[]), "ann").await);
        let all = (0..8).map(|n| exchange(&nodes[n % 2], &code));
        let answers = futures::future::join_all(all).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "round {round}: {answers:?}");
        let code = code_of(&agree(&mut Browser::new(&gateway), &asked(&[]), "ann").await);
        let tokens = exchange(&nodes[0], &code).await.ok();
        let renewing = text(&tokens, "refresh_token");
        let all = (0..8).map(|n| refresh(&nodes[n % 2], renewing, &[]));
        let answers = futures::future::join_all(all).await;
        let won: Vec<_> = answers.into_iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "round {round}");
        // Whoever it was, the grant is over.
        let next = won[0].json();
        for node in &nodes {
            crate::harness::eventually("every node knows it", std::time::Duration::from_secs(5), async || {
                (!lets_in(node, text(&next, "access_token")).await).then_some(())
            })
            .await;
            refused(&refresh(node, text(&next, "refresh_token"), &[]).await, 400, "invalid_grant");
        }
    }
    // One decision, sent several times.
    let mut browser = Browser::new(&gateway);
    let page = browser.open(&asked(&[])).await;
    let page = browser.submit(&page, &[("username", "ann"), ("password", PASSWORD)]).await;
    let clicks = (0..4).map(|_| {
        let (mut browser, page) = (browser.clone(), &page);
        async move { browser.submit(page, &[("decision", "allow")]).await.0.status }
    });
    let mut statuses = futures::future::join_all(clicks).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [302, 400, 400, 400]);
}

async fn answers_go_nowhere_else(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let mut browser = Browser::new(&gateway);
    // Who asks, or where the answer would go, is not certain: nobody is sent anywhere.
    let tricks = [
        "https://portal.example/callback/",
        "https://portal.example/callback/../evil",
        "https://portal.example/callbac",
        "https://portal.example/callback?x=y",
        "https://portal.example/callback#fragment",
        "https://portal.example/CALLBACK",
        "https://portal.example/%63allback",
        "https://portal.example:443/callback",
        "https://portal.example:8443/callback",
        "https://PORTAL.example/callback",
        "HTTPS://portal.example/callback",
        "http://portal.example/callback",
        "//portal.example/callback",
        "https://portal.example.evil.example/callback",
        "https://portal.example@evil.example/callback",
        "https://evil.example/callback",
        "https://evil.example/?https://portal.example/callback",
        "https://portal.example\\@evil.example/callback",
        "https://portal.example/callback\r\nLocation: https://evil.example",
        " https://portal.example/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://localhost:8080/callback",
        "http://[::1]:8080/callback",
        "https://backend.example/cb?from=gw",
        "javascript:alert(1)",
        "data:text/html,x",
    ];
    let mut paths: Vec<String> = tricks.iter().map(|uri| asked(&[("redirect_uri", uri)])).collect();
    paths.extend([
        asked(&[("client_id", "")]),
        asked(&[("client_id", "nobody")]),
        asked(&[("client_id", "PORTAL")]),
        asked(&[("client_id", "orders")]),
        asked(&[("redirect_uri", "")]),
        format!("{}&redirect_uri=https%3A%2F%2Fevil.example", asked(&[])),
        format!("{}&redirect_uri=", asked(&[])),
        format!("{}&client_id=backend", asked(&[])),
        format!("{}&%72edirect_uri=x", asked(&[])),
        format!("{}&x=%zz", asked(&[])),
    ]);
    for path in &paths {
        let page = browser.open(path).await;
        page.is(400, "You cannot sign in here");
        assert_eq!(page.0.header("location"), "", "{path}");
        assert!(!page.text().contains("evil"), "{path}");
    }
    // Both are: the application is told.
    for (path, error) in [
        (asked(&[("response_type", "")]), "invalid_request"),
        (asked(&[("response_type", "token")]), "unsupported_response_type"),
        (asked(&[("response_type", "code token")]), "unsupported_response_type"),
        (asked(&[("code_challenge", "")]), "invalid_request"),
        (asked(&[("code_challenge_method", "")]), "invalid_request"),
        (asked(&[("code_challenge_method", "plain")]), "invalid_request"),
        (asked(&[("code_challenge_method", "s256")]), "invalid_request"),
        (asked(&[("code_challenge", "short")]), "invalid_request"),
        (asked(&[("code_challenge", "a".repeat(44).as_str())]), "invalid_request"),
        (asked(&[("scope", "files:eat")]), "invalid_scope"),
        (asked(&[("scope", "openid")]), "invalid_scope"),
        (asked(&[("state", "über")]), "invalid_request"),
        (format!("{}&state=x", asked(&[])), "invalid_request"),
        (format!("{}&scope=admin", asked(&[])), "invalid_request"),
    ] {
        let page = browser.open(&path).await;
        assert_eq!(page.error(), error, "{path}");
        let (to, answer) = page.answer();
        assert_eq!(to, CALLBACK);
        let lost = path.contains("state=x") || path.contains("ber");
        assert_eq!(answer.get("state").map(String::as_str), (!lost).then_some("a state/&=\""), "{path}");
    }
    // A port of the application's own choice on this machine, and the only address where none is named.
    let (to, _) =
        agree(&mut browser, &asked(&[("redirect_uri", "http://127.0.0.1:49152/callback")]), "ann").await.answer();
    assert_eq!(to, "http://127.0.0.1:49152/callback");
    let page = agree(&mut browser, &asked(&[("client_id", "backend"), ("redirect_uri", "")]), "ann").await;
    assert!(page.0.header("location").starts_with("https://backend.example/cb?from=gw&code="), "{:?}", page.0);
    // Who answers can be told apart (RFC 9207), and is no reflection of what was asked.
    let (_, answer) =
        browser.open(&format!("{}&iss=https%3A%2F%2Fevil.example", asked(&[("scope", "x")]))).await.answer();
    assert_eq!(answer["iss"], format!("https://localhost:{}", gateway.api.port()));
    // An application with bounds of its own, and a login that has none of what is asked for.
    let path = asked(&[("client_id", "reader-app"), ("redirect_uri", "https://reader.example/cb"), ("scope", "")]);
    let page = browser.open(&path).await;
    let page = browser.submit(&page, &[("username", "ann"), ("password", PASSWORD)]).await;
    assert!(page.text().contains("files:read") && !page.text().contains("files:write"), "{}", page.text());
    let page = browser.open(&asked(&[("scope", "admin")])).await;
    let page = browser.submit(&page, &[("username", "ann"), ("password", PASSWORD)]).await;
    page.is(200, "The &#60;Portal&#62; cannot be allowed");
    assert_eq!(browser.submit(&page, &[("decision", "allow")]).await.error(), "invalid_scope");
}

async fn forms_of_other_pages_do_nothing(ledger: Ledger) {
    let gateway = plan(ledger).api("cors_origins = [\"*\"]").start().await;
    let mut browser = Browser::new(&gateway);
    browser.headers.push(("origin", "https://evil.example".to_owned()));
    let page = browser.open(&asked(&[])).await;
    page.is(200, "Sign in");
    // Not to be framed, kept, referred from or read by scripts, and with nothing from outside.
    let policy = page.0.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self' https://portal.example",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("access-control-allow-origin", ""),
    ] {
        assert_eq!(page.0.header(name), value, "{name}");
    }
    let set = page.0.header("set-cookie");
    assert!(set.starts_with(COOKIE) && set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
    for outside in ["<script", "<link", "<img", " src=", " style=", "url(", "@import", " onclick"] {
        assert!(!page.text().contains(outside), "{outside}");
    }
    assert!(page.text().contains("<html lang=\"en\">") && page.text().contains("<label for=\"password\">"));
    // A foreign origin, as its browser tells it in one way or the other.
    let right = [("username", "ann"), ("password", PASSWORD)];
    for headers in [
        vec![("origin", "https://evil.example".to_owned())],
        vec![("sec-fetch-site", "cross-site".to_owned())],
        vec![("sec-fetch-site", "same-site".to_owned()), ("origin", "null".to_owned())],
    ] {
        browser.headers.clone_from(&headers);
        let refused = browser.submit(&page, &right).await;
        refused.is(403, "Sign in");
        assert!(!refused.text().contains(PASSWORD), "{headers:?}");
    }
    browser.headers = vec![("sec-fetch-site", "same-origin".to_owned()), ("origin", "null".to_owned())];
    // No cookie, and another's: nothing of the form counts.
    let mut stranger = Browser::new(&gateway);
    stranger.submit(&page, &right).await.is(403, "Sign in");
    stranger.open(&asked(&[])).await;
    stranger.submit(&page, &right).await.is(403, "Sign in");
    let audit = gateway.rest("orders");
    assert!(logins(&audit).await.iter().all(|entry| entry["login"] != "ann"), "nobody was looked at");
    // Fixation: the cookie of before the sign-in is worth nothing after it.
    let fixed = browser.cookies.clone();
    let consent = browser.submit(&page, &right).await;
    consent.is(200, "Allow The &#60;Portal&#62;?");
    let mut attacker = Browser::new(&gateway);
    attacker.cookies = fixed;
    attacker.open("/oauth/authorize").await.is(400, "This sign-in has lapsed");
    // The decision needs its own mark and its cookie.
    for (fields, cookies) in [
        (vec![("step", "decision"), ("decision", "allow")], browser.cookies.clone()),
        (vec![("step", "decision"), ("decision", "allow"), ("mark", "x")], browser.cookies.clone()),
    ] {
        attacker.cookies = cookies;
        attacker.post(&fields).await.is(403, "That did not work");
    }
    let (sign_in_mark, mark) = (page.hidden()[1].1.clone(), consent.hidden()[1].1.clone());
    attacker
        .post(&[("step", "decision"), ("decision", "allow"), ("mark", sign_in_mark.as_str())])
        .await
        .is(403, "That did not work");
    attacker.cookies.clear();
    attacker
        .post(&[("step", "decision"), ("decision", "allow"), ("mark", mark.as_str())])
        .await
        .is(403, "That did not work");
    attacker.cookies = browser.cookies.clone();
    attacker.headers = vec![("origin", "https://evil.example".to_owned())];
    attacker.submit(&consent, &[("decision", "allow")]).await.is(403, "That did not work");
    // Damaged forms decide nothing, and the step of a password cannot be left out.
    browser.post(&[("step", "decision"), ("mark", mark.as_str())]).await.is(400, "You cannot sign in here");
    browser
        .post(&[("step", "decision"), ("mark", mark.as_str()), ("decision", "allow"), ("decision", "deny")])
        .await
        .is(400, "You cannot sign in here");
    browser.post(&[("step", "nothing")]).await.is(400, "You cannot sign in here");
    let done = browser.submit(&consent, &[("decision", "allow")]).await;
    assert_eq!(done.0.header("access-control-allow-origin"), "");
    code_of(&done);
    // Once decided it is over.
    browser.cookies = attacker.cookies;
    browser.submit(&consent, &[("decision", "allow")]).await.is(400, "This sign-in has lapsed");
    // The second step cannot be had for the first, and is none of the last.
    let mut half = Browser::new(&gateway);
    let page = half.open(&asked(&[])).await;
    let page = half.submit(&page, &[("username", "ben"), ("password", PASSWORD)]).await;
    page.is(200, "Enter your code");
    half.post(&[("step", "decision"), ("decision", "allow"), ("mark", page.hidden()[1].1.as_str())])
        .await
        .is(403, "That did not work");
}

async fn logins_that_may_not_come_are_refused_alike(ledger: Ledger) {
    let gateway = plan(ledger).trusted_proxies("127.0.0.1").start().await;
    let mut browser = Browser::new(&gateway);
    browser.headers = vec![("x-forwarded-for", "203.0.113.7".to_owned())];
    let page = browser.open(&asked(&[])).await;
    let mut told = Vec::new();
    for (login, password) in [
        ("ann", "wrong"),
        ("nobody", PASSWORD),
        ("other01", PASSWORD),
        ("other01@other", PASSWORD),
        ("ann@other", PASSWORD),
        ("cat", PASSWORD),
        ("dan", PASSWORD),
        ("eve", PASSWORD),
        ("edi01", PASSWORD),
    ] {
        let refused = browser.submit(&page, &[("username", login), ("password", password)]).await;
        refused.is(403, "Sign in");
        let field = format!("value=\"{login}\"");
        assert!(refused.text().contains(&field), "{login}");
        told.push(refused.text().replace(&field, ""));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "one answer for all of them");
    browser.headers = vec![("x-forwarded-for", "192.0.2.9".to_owned())];
    browser.submit(&page, &[("username", "eve"), ("password", PASSWORD)]).await.is(200, "Allow The &#60;Portal&#62;?");
    // A flood from one address: it is told to wait, and the partner's own address is served.
    let mut flood = Browser::new(&gateway);
    flood.headers = vec![("x-forwarded-for", "203.0.113.66".to_owned())];
    let page = flood.open(&asked(&[])).await;
    let mut last = None;
    for _ in 0..12 {
        last = Some(flood.submit(&page, &[("username", "ann"), ("password", "wrong")]).await);
    }
    let last = last.unwrap();
    last.is(429, "Sign in");
    assert!(last.0.header("retry-after").parse::<u32>().unwrap() > 0 && last.text().contains("Wait a while"));
    flood.submit(&page, &[("username", "ann"), ("password", PASSWORD)]).await.is(429, "Sign in");
    let mut partner = Browser::new(&gateway);
    partner.headers = vec![("x-forwarded-for", "203.0.113.67".to_owned())];
    code_of(&agree(&mut partner, &asked(&[]), "ann").await);
}

/// The medians of many wrong passwords, for a login that there is and for one that there is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn time_tells_no_logins() {
    let gateway = plan(Ledger::Sqlite).limits("failed_logins = 1000000").start().await;
    let mut browser = Browser::new(&gateway);
    let page = browser.open(&asked(&[])).await;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..200 {
        for (at, login) in ["ann", "cat", format!("nobody{round}").as_str()].into_iter().enumerate() {
            let begun = Instant::now();
            browser.submit(&page, &[("username", login), ("password", "wrong")]).await.is(403, "Sign in");
            times[at].push(begun.elapsed());
        }
    }
    for (times, what) in times.iter_mut().zip(["known", "known, not over the API", "unknown"]) {
        times.sort_unstable();
        say(&format!("{what}: median {:?}, quartiles {:?} and {:?}", times[100], times[50], times[150]));
    }
}
