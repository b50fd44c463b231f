//! `[events] nats_…`: the stream of NATS JetStream that events are sent to. A build without the Cargo feature `nats` reads it, and says
//! that it has no such sink.

use std::path::PathBuf;

use secrecy::SecretString;

use super::reader::{Parsed, Section};
use super::report::Located;
use super::secret::{self, Secret};
use super::value;

/// The stream, where none is named.
const STREAM: &str = "CAUSEWAY";
/// What subjects begin with, where nothing else is said.
const SUBJECT: &str = "causeway.events";

/// Where events go.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "nats"), allow(dead_code))]
pub struct Target {
    /// A server: `nats://HOST:PORT` or `tls://HOST:PORT`. The others of its cluster are learned from it.
    pub url: String,
    /// The stream that must take the events.
    pub stream: String,
    /// What their subjects begin with.
    pub subject: String,
    /// How the gateway says who it is.
    pub login: Login,
    /// The certificates that the server's own must be under, PEM; none: those that this machine trusts.
    pub ca: Option<PathBuf>,
}

/// How the gateway says who it is.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "nats"), allow(dead_code))]
pub enum Login {
    /// It does not.
    Nobody,
    /// By name and password.
    Password(String, SecretString),
    /// By a token.
    Token(SecretString),
    /// By the text of a credentials file (`nsc generate creds`): a JWT, and the key that signs with it.
    Credentials(SecretString),
}

/// Reads the keys.
pub fn read(section: &Section<'_>) -> Option<Target> {
    let report = section.report();
    let url = section.text_or_empty("nats_url", |text| value::url(text, &["nats", "tls"]));
    let stream = section.text("nats_stream", |text| token(text).map(|()| text.to_owned()));
    let subject = section.text("nats_subject", subject);
    let user = section.text_or_empty("nats_user", value::words);
    let password = section.secret_or_empty("nats_password", secret::any);
    let by_token = section.secret_or_empty("nats_token", secret::any);
    let credentials = section.secret_or_empty("nats_credentials", secret::any);
    let ca = section.text_or_empty("nats_ca", value::file_path).map(|found| report.path(&found.value));
    let url = url?;
    if cfg!(not(feature = "nats")) {
        report.error(
            &url.spot,
            "this causeway was built without the JetStream sink; build it with `cargo build --release --features nats`, or leave this out",
        );
        return None;
    }
    let ways = usize::from(user.is_some()) + usize::from(by_token.is_some()) + usize::from(credentials.is_some());
    if ways > 1 {
        report.error(
            &url.spot,
            "has more than one way to log in; keep one of nats_user, nats_token and nats_credentials",
        );
    }
    match (&user, &password) {
        (Some(alone), None) => report.error(&alone.spot, "stands here without `nats_password`; give both or neither"),
        (None, Some(alone)) => report.error(&alone.spot, "stands here without `nats_user`; give both or neither"),
        _ => {}
    }
    Some(Target {
        url: url.value.to_string(),
        stream: stream.map_or_else(|| STREAM.to_owned(), |found| found.value),
        subject: subject.map_or_else(|| SUBJECT.to_owned(), |found| found.value),
        login: login(user, password, by_token, credentials),
        ca,
    })
}

/// A secret that is not looked up is no way in, and nobody goes by it.
fn login(
    user: Option<Located<String>>,
    password: Option<Located<Secret>>,
    token: Option<Located<Secret>>,
    credentials: Option<Located<Secret>>,
) -> Login {
    let secret = |found: Option<Located<Secret>>| found.and_then(|found| found.value);
    let by_password = user.zip(secret(password)).map(|(user, password)| Login::Password(user.value, password));
    by_password
        .or_else(|| secret(token).map(Login::Token))
        .or_else(|| secret(credentials).map(Login::Credentials))
        .unwrap_or(Login::Nobody)
}

/// The name of a stream, or a part of a subject: what means nothing else in either.
fn token(text: &str) -> Parsed<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || !text.chars().all(good) {
        return Err(format!("`{text}` is not made of letters, digits, - and _ alone; write it so"));
    }
    Ok(())
}

/// What subjects begin with: parts with dots between.
fn subject(text: &str) -> Parsed<String> {
    text.split('.').try_for_each(token)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::bad_test::GOOD;
    use crate::config::{Config, Secrets, parse};

    fn read(events: &str) -> (Option<Config>, Vec<String>) {
        let (config, problems) = parse(Path::new("c.toml"), &format!("{GOOD}[events]\n{events}"), Secrets::Skip);
        (config, problems.render(true).lines().map(ToOwned::to_owned).collect())
    }

    #[cfg(feature = "nats")]
    #[test]
    fn a_url_is_enough() {
        let (config, errors) = read("nats_url = \"nats://127.0.0.1:4222\"\n");
        assert!(errors.is_empty(), "{errors:?}");
        let target = config.unwrap().events.nats.unwrap();
        assert_eq!((target.stream.as_str(), target.subject.as_str()), ("CAUSEWAY", "causeway.events"));
        assert!(read("").0.unwrap().events.nats.is_none());
        assert!(read("nats_url = \"\"\nnats_stream = \"X\"\n").0.unwrap().events.nats.is_none());
    }

    #[cfg(feature = "nats")]
    #[test]
    fn what_cannot_be_meant_is_told() {
        let url = "nats_url = \"nats://127.0.0.1\"\n";
        let told = |lines: &str| read(&format!("{url}{lines}")).1.join("\n");
        assert!(told("nats_stream = \"a.b\"\n").contains("events.nats_stream: `a.b` is not made of"));
        assert!(told("nats_subject = \"a..b\"\n").contains("events.nats_subject: `` is not made of"));
        assert!(told("nats_subject = \"a.>\"\n").contains("events.nats_subject: `>` is not made of"));
        assert!(told("nats_user = \"u\"\n").contains("without `nats_password`"));
        assert!(told("nats_password = \"env:P\"\n").contains("without `nats_user`"));
        assert!(told("nats_password = \"hunter2\"\n").contains("in clear"));
        assert!(told("nats_token = \"env:T\"\nnats_credentials = \"file:c\"\n").contains("more than one way"));
        assert!(read("nats_url = \"nats://u:p@127.0.0.1\"\n").1.join("\n").contains("password in clear"));
        assert!(read("nats_url = \"ws://127.0.0.1\"\n").1.join("\n").contains("nats:// or tls://"));
    }

    #[cfg(not(feature = "nats"))]
    #[test]
    fn a_build_without_it_says_how_to_get_one() {
        assert!(read("nats_url = \"nats://127.0.0.1\"\n").1.join("\n").contains("--features nats"));
        assert!(read("nats_stream = \"X\"\n").1.is_empty());
    }
}
