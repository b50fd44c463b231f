//! How a receiver knows that a webhook is the gateway's: the Standard Webhooks headers (standard-webhooks.com,
//! specification 1.0.0, "Signature scheme"), and a plain HMAC for receivers of the older kind.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// What stands before the base64 of a Standard Webhooks secret.
const SECRET_PREFIX: &str = "whsec_";

/// Secrets come with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The headers that sign one attempt: `webhook-id` (the event's id, the same on every attempt), `webhook-timestamp` (Unix
/// seconds of this attempt), `webhook-signature` (`v1,` and base64 for each secret: two while one replaces the other) and
/// `x-signature` (hex of the HMAC over the body alone, under the first secret as it is written).
pub fn sign(secrets: &[SecretString], id: &str, unix_seconds: i64, body: &[u8]) -> Result<Vec<(&'static str, String)>> {
    let head = format!("{id}.{unix_seconds}.");
    let mut signatures = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let mac = hmac(&key(secret), &[head.as_bytes(), body])?;
        signatures.push(format!("v1,{}", STANDARD.encode(mac)));
    }
    let mut headers = vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", unix_seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    if let Some(secret) = secrets.first() {
        headers.push(("x-signature", hex::encode(hmac(secret.expose_secret().as_bytes(), &[body])?)));
    }
    Ok(headers)
}

/// The key of a secret: what is base64 after `whsec_`, or the bytes of any other string.
fn key(secret: &SecretString) -> Zeroizing<Vec<u8>> {
    let text = secret.expose_secret();
    let decoded = text.strip_prefix(SECRET_PREFIX).and_then(|encoded| LENIENT.decode(encoded).ok());
    Zeroizing::new(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))
}

fn hmac(key: &[u8], pieces: &[&[u8]]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Error::internal("HMAC refused a key"))?;
    for piece in pieces {
        mac.update(piece);
    }
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const OFFICIAL: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signed(secrets: &[&str]) -> Vec<(&'static str, String)> {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        sign(&secrets, ID, AT, BODY).unwrap()
    }

    #[test]
    fn the_vector_of_the_specification() {
        let expected = [
            ("webhook-id", ID.to_owned()),
            ("webhook-timestamp", "1614265330".to_owned()),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
            ("x-signature", "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c".to_owned()),
        ];
        assert_eq!(signed(&[OFFICIAL]), expected);
    }

    #[test]
    fn any_other_string_is_its_own_key() {
        let headers = signed(&["plain secret"]);
        assert_eq!(headers[2].1, "v1,gke7k785FD6W2FuaDcrvG3sQcmFE9YVaaAmarK4oi68=");
        assert_eq!(headers[3].1, "797226f6d80af931aadfb4986baed664f5483651a359ad6687cb2bd0df5f464b");
    }

    #[test]
    fn two_signatures_while_a_secret_is_replaced() {
        let headers = signed(&[OFFICIAL, "plain secret"]);
        assert_eq!(
            headers[2].1,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,gke7k785FD6W2FuaDcrvG3sQcmFE9YVaaAmarK4oi68="
        );
    }

    #[test]
    fn padding_may_be_left_out() {
        assert_eq!(*key(&SecretString::from("whsec_AAE")), [0, 1]);
        assert_eq!(*key(&SecretString::from("whsec_AAE=")), [0, 1]);
        assert_eq!(*key(&SecretString::from("whsec_?")), b"whsec_?");
    }
}
