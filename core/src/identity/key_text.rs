//! What an API key looks like: `cwk_`, 32 random bytes in base64url, and a checksum. It can be told from other text by its
//! form alone: by scanners of secrets, and by what keeps keys out of logs and the trail.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::verify::KEY_PREFIX;
use crate::error::{Error, Result};

/// Letters of 32 bytes in base64url.
const RANDOM: usize = 43;
/// Letters of the checksum: 36 bits of a SHA-256.
const CHECKSUM: usize = 6;
/// So many letters behind the prefix make a key, or most of one: what is missing of the 43 cannot be guessed any more. Keys of
/// before had no checksum.
const TELLING: usize = 40;
/// What stands for a key.
const MASK: &str = "cwk_***";

/// The checksum of a key, which anybody can compute: it tells a key that was copied whole from other text, and nothing else.
fn checksum(key: &str) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_bytes()));
    digest.get(..CHECKSUM).unwrap_or_default().to_owned()
}

/// A new API key: `cwk_`, 32 random bytes in unpadded base64url (RFC 4648 section 5), and the first six letters of the SHA-256,
/// in base64url, of all that is before them.
pub fn generate_key() -> Result<SecretString> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    // Room for all of it at once: growing would leave a part of the key behind in freed memory.
    let mut key = String::with_capacity(KEY_PREFIX.len() + RANDOM + CHECKSUM);
    key.push_str(KEY_PREFIX);
    URL_SAFE_NO_PAD.encode_string(random, &mut key);
    random.zeroize();
    let checksum = checksum(&key);
    key.push_str(&checksum);
    Ok(SecretString::from(key))
}

/// The spans of a text that are API keys by their form.
fn spans(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.match_indices(KEY_PREFIX).filter_map(move |(begin, prefix)| {
        let from = begin + prefix.len();
        let letters = text.get(from..)?.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let letters = letters.count();
        (letters >= TELLING).then_some((begin, from + letters))
    })
}

/// The first API key in a text, by its form; nobody says that there is such a key.
pub fn key_in(text: &str) -> Option<&str> {
    spans(text).next().and_then(|(begin, end)| text.get(begin..end))
}

/// The text with every API key in it masked.
pub fn without_keys(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut done = 0;
    for (begin, end) in spans(text) {
        // One that begins inside another is gone with it.
        if begin >= done {
            out.push_str(text.get(done..begin).unwrap_or_default());
            out.push_str(MASK);
            done = end;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn keys_are_random_and_have_a_checksum() {
        let (one, two) = (generate_key().unwrap(), generate_key().unwrap());
        let text = one.expose_secret();
        assert_ne!(text, two.expose_secret());
        assert_eq!(text.len(), 53);
        let (key, sum) = text.split_at(47);
        assert_eq!(URL_SAFE_NO_PAD.decode(key.strip_prefix(KEY_PREFIX).unwrap()).unwrap().len(), 32);
        assert_eq!(sum, checksum(key));
        assert_eq!(checksum("cwk_abc"), "VLGL2V", "it stays what it is: others compute it, too");
    }

    #[test]
    fn keys_are_found_by_their_form_and_masked() {
        let key = generate_key().unwrap();
        let key = key.expose_secret();
        let old = &key[..47];
        for text in [key, old] {
            assert_eq!(key_in(text), Some(text));
            assert_eq!(key_in(&format!("/files?token={text}&x=1")), Some(text));
            assert_eq!(without_keys(&format!("a {text}/b {text}")), "a cwk_***/b cwk_***");
        }
        for plain in ["", "cwk_", "/in/cwk_orders_2026-11-24.csv", &key[..40], "cwk", "é cwk_é"] {
            assert_eq!(key_in(plain), None, "{plain}");
            assert!(matches!(without_keys(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(without_keys(&format!("cwk_{key}é")), "cwk_***é", "one in another goes with it");
    }
}
