//! How an application says who it is (RFC 6749 section 2.3.1): HTTP Basic, whose parts are form-encoded, or parameters of the
//! form. Never in a query, and not in both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_core::gateway::{ClientClaim, OAuthFault, OAuthRefusal};
use http::{HeaderMap, header};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::form::Fields;
use crate::query::percent_decode;

fn refused(sentence: &'static str) -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidRequest, sentence)
}

fn stranger(sentence: &'static str) -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidClient, sentence)
}

/// Who says that it asks.
pub fn claim(headers: &HeaderMap, fields: &Fields) -> Result<ClientClaim, OAuthRefusal> {
    let named = fields.get("client_id");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => {
            let id = named.ok_or_else(|| stranger("the request does not say which client it is"))?;
            Ok(ClientClaim { id: id.to_owned(), secret: fields.get("client_secret").map(SecretString::from) })
        }
        (Some(value), None) => {
            if fields.get("client_secret").is_some() {
                return Err(refused("a client proves who it is in one way alone"));
            }
            let claim = basic(value.to_str().unwrap_or_default())
                .ok_or_else(|| stranger("Authorization has to be Basic with client id and secret"))?;
            if named.is_some_and(|named| named != claim.id) {
                return Err(refused("client_id is another one than Authorization says"));
            }
            Ok(claim)
        }
        (Some(_), Some(_)) => Err(refused("Authorization is there twice")),
    }
}

fn basic(value: &str) -> Option<ClientClaim> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let at = decoded.iter().position(|byte| *byte == b':')?;
    let part = |raw: &[u8]| {
        let bytes = percent_decode(raw, true)?;
        String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
    };
    let (id, secret) = (part(decoded.get(..at)?)?, part(decoded.get(at + 1..)?)?);
    (!id.is_empty()).then(|| ClientClaim { id, secret: Some(secret).filter(|text| !text.is_empty()).map(Into::into) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use secrecy::ExposeSecret as _;

    fn said(header: &[&str], form: &str) -> Result<(String, Option<String>), Option<OAuthFault>> {
        let mut headers = HeaderMap::new();
        for value in header {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let fields = Fields::parse(form.as_bytes()).unwrap();
        match claim(&headers, &fields) {
            Ok(claim) => Ok((claim.id, claim.secret.map(|secret| secret.expose_secret().to_owned()))),
            Err(refusal) => Err(refusal.fault()),
        }
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_client_says_who_it_is_in_one_way() {
        let one = |id: &str, secret: Option<&str>| Ok((id.to_owned(), secret.map(str::to_owned)));
        assert_eq!(said(&[], "client_id=a&client_secret=b"), one("a", Some("b")));
        assert_eq!(said(&[], "client_id=a"), one("a", None));
        assert_eq!(said(&[&basic("a:b")], ""), one("a", Some("b")));
        assert_eq!(said(&[&basic("a%3Ab:c+d%2B:e")], "client_id=a%3Ab"), one("a:b", Some("c d+:e")), "form-encoded");
        assert_eq!(said(&[&basic("a:")], ""), one("a", None));
        let (client, request) = (Err(Some(OAuthFault::InvalidClient)), Err(Some(OAuthFault::InvalidRequest)));
        assert_eq!(said(&[], "client_secret=b"), client);
        for wrong in ["Bearer a", "Basic", "Basic ???", &basic("a"), &basic(":b"), &basic("a:%zz")] {
            assert_eq!(said(&[wrong], "client_id=a"), client, "{wrong}");
        }
        assert_eq!(said(&[&basic("a:b")], "client_id=c"), request);
        assert_eq!(said(&[&basic("a:b")], "client_id=a&client_secret=b"), request);
        assert_eq!(said(&[&basic("a:b"), &basic("a:b")], ""), request);
    }
}
