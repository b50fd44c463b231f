//! `causeway totp-secret`: a new secret for time-based codes (RFC 6238), for `totp_secret` and for an app.

use causeway_core::identity::generate_totp_secret;
use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::say;
use crate::failure::{Failure, Outcome};

/// What apps show beside the login.
const ISSUER: &str = "causeway";

/// Prints the secret, and the URI in the next line.
pub fn secret(login: &str) -> Outcome {
    let secret = generate_totp_secret()?;
    let uri = uri(login, secret.expose_secret()).ok_or_else(|| Failure::new("that is no login; give its name"))?;
    say(secret.expose_secret());
    say(&uri);
    Ok(())
}

/// The key URI that authenticator apps agreed on: `otpauth://totp/ISSUER:LOGIN?secret=…&issuer=…`.
fn uri(login: &str, secret: &str) -> Option<String> {
    if login.is_empty() || login.contains(':') || login.chars().any(char::is_control) {
        return None;
    }
    let mut uri = Url::parse("otpauth://totp").ok()?;
    uri.path_segments_mut().ok()?.push(&format!("{ISSUER}:{login}"));
    uri.query_pairs_mut().append_pair("secret", secret).append_pair("issuer", ISSUER);
    Some(uri.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_that_apps_read() {
        let said = |login: &str| uri(login, "ABC");
        assert_eq!(said("edi01").as_deref(), Some("otpauth://totp/causeway:edi01?secret=ABC&issuer=causeway"));
        assert_eq!(
            said("a b/ü@acme").as_deref(),
            Some("otpauth://totp/causeway:a%20b%2F%C3%BC@acme?secret=ABC&issuer=causeway")
        );
        assert_eq!(said(""), None);
        assert_eq!(said("a:b"), None);
    }
}
