//! `causeway hash-password` and `causeway hash-key`: from a prompt or standard input, never from an argument, which
//! every user of the machine could see.

use std::io::{BufRead as _, IsTerminal as _};

use causeway_core::identity::{KEY_PREFIX, hash_key, hash_password};
use secrecy::{ExposeSecret as _, SecretString};

use super::say;
use crate::failure::{Failure, Outcome};

/// The longest secret, in bytes.
const MAX: usize = 4096;

/// Prints the PHC string of a password.
pub fn password() -> Outcome {
    let password = ask("Password: ", true)?;
    say(&hash_password(&password)?);
    Ok(())
}

/// Prints the SHA-256 of an API key.
pub fn key() -> Outcome {
    let key = ask("API key: ", false)?;
    if !key.expose_secret().starts_with(KEY_PREFIX) {
        return Err(Failure::new(format!("an API key begins with {KEY_PREFIX}; give the whole key")));
    }
    say(&hex::encode(hash_key(key.expose_secret())));
    Ok(())
}

/// A secret, from the terminal (where it does not show) or from a line of standard input.
pub fn ask(prompt: &str, twice: bool) -> Outcome<SecretString> {
    let failed = |e: std::io::Error| Failure::step("nothing could be read", e);
    let text = if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password(prompt).map_err(failed)?;
        if twice && rpassword::prompt_password("Once more: ").map_err(failed)? != first {
            return Err(Failure::new("the two are not the same; try again"));
        }
        first
    } else {
        let mut line = String::with_capacity(MAX);
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if text.is_empty() {
        return Err(Failure::new("nothing was given; write it in one line"));
    }
    if text.len() > MAX {
        return Err(Failure::new("that is longer than 4096 bytes; give a shorter one"));
    }
    Ok(text.into())
}
