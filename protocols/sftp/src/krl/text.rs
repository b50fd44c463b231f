//! The text form: public keys, one a line, as OpenSSH's `RevokedKeys` takes them; and, beyond that, the lines that
//! `ssh-keygen -k` makes a KRL of (its manual, KEY REVOCATION LISTS): `serial:`, `id:`, `key:`, `sha1:`, `sha256:` and
//! `hash:`. Serial numbers and key ids stand for the certificates of every CA.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use causeway_core::identity::{PublicKey, Revocations};
use causeway_core::{Error, Result};

use super::invalid;
use crate::certificate;

/// Reads all lines. Empty ones and those that begin with `#` are read over, and so is what follows a `#` behind a serial
/// number, key id or hash; a line that is not understood is an error that names its number.
pub(super) fn parse(bytes: &[u8]) -> Result<Revocations> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| invalid("the revocation list is neither a KRL nor UTF-8 text"))?;
    let mut list = Revocations::default();
    for (nr, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') && add(&mut list, line).is_none() {
            return Err(not_understood(nr + 1));
        }
    }
    Ok(list)
}

fn add(list: &mut Revocations, line: &str) -> Option<()> {
    // No algorithm's name has a colon.
    let Some((kind, value)) = line.split_once(':').filter(|(kind, _)| !kind.contains(char::is_whitespace)) else {
        list.revoke_key(&plain_key(line)?);
        return Some(());
    };
    let value = value.trim();
    let bare = value.split_once('#').map_or(value, |(bare, _)| bare.trim_end());
    match kind.to_ascii_lowercase().as_str() {
        "serial" => {
            let (from, to) = match bare.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None => (number(bare)?, number(bare)?),
            };
            if from > to || from == 0 {
                return None;
            }
            list.revoke_serials(None, from..=to);
        }
        "id" if !bare.is_empty() => list.revoke_key_id(None, bare.to_owned()),
        // Which digest stands for a key makes no difference where the key is known.
        "key" | "sha1" | "sha256" => list.revoke_key(&plain_key(value)?),
        "hash" => {
            let digest = bare.strip_prefix("SHA256:")?.trim_end_matches('=');
            list.revoke_sha256(STANDARD_NO_PAD.decode(digest).ok()?.try_into().ok()?);
        }
        _ => return None,
    }
    Some(())
}

/// The key of this line; of a certificate, the key that it certifies.
fn plain_key(line: &str) -> Option<PublicKey> {
    let mut words = line.split_ascii_whitespace();
    if !words.next()?.ends_with("-cert-v01@openssh.com") {
        return PublicKey::from_line(line);
    }
    certificate::certified_key(&STANDARD.decode(words.next()?).ok()?)
}

/// In decimal, or in hexadecimal behind `0x`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn not_understood(nr: usize) -> Error {
    invalid(format!(
        "line {nr} of the revocation list is neither a public key nor a line of ssh-keygen's revocation lists; correct it"
    ))
}
