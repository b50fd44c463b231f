//! `causeway totp-secret`: a new secret for time-based codes (RFC 6238), for `totp_secret` and for an app.

use causeway_core::identity::{generate_totp_secret, totp_uri};
use secrecy::ExposeSecret as _;

use super::say;
use crate::failure::Outcome;

/// Prints the secret, and the URI in the next line.
pub fn secret(login: &str) -> Outcome {
    let secret = generate_totp_secret()?;
    let uri = totp_uri(login, &secret)?;
    say(secret.expose_secret());
    say(uri.expose_secret());
    Ok(())
}
