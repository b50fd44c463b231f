//! Signature algorithms (RFC 7518 section 3, RFC 8037 section 3.1), and the public keys that they are verified by (RFC 7517).
//! Which algorithms a key is for follows from the key; what a token says of itself only chooses among those. There is none that
//! is no signature: neither `none` nor a shared secret can be named here.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::jws::is_kid;

/// RSA keys below this many bits are not believed (NIST SP 800-131A, RFC 7518 section 3.3), nor above the other one.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The longest public exponent of an RSA key, in bytes.
const RSA_EXPONENT: usize = 8;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// RSA, PKCS #1 1.5.
    Rs(Hash),
    /// RSA, PSS.
    Ps(Hash),
}

/// The digest of an RSA signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The one of this name; none for all that is not taken here.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            // RFC 9864 gives the second name to what the first one means here.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "RS256" => Self::Rs(Hash::Sha256),
            "RS384" => Self::Rs(Hash::Sha384),
            "RS512" => Self::Rs(Hash::Sha512),
            "PS256" => Self::Ps(Hash::Sha256),
            "PS384" => Self::Ps(Hash::Sha384),
            "PS512" => Self::Ps(Hash::Sha512),
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs(Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs(Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs(Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps(Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
            Self::Ps(Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
            Self::Ps(Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
            Self::EdDsa | Self::Es256 | Self::Es384 => return None,
        })
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKeyOf {
    /// Ed25519: 32 bytes.
    Ed25519(Vec<u8>),
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
    /// A point of P-384, uncompressed.
    P384(Vec<u8>),
    /// RSA: modulus and exponent, big endian, without zeros in front.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKeyOf {
    /// Whether signatures of this algorithm can be this key's.
    pub(crate) const fn is_for(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::Ed25519(_), Algorithm::EdDsa)
                | (Self::P256(_), Algorithm::Es256)
                | (Self::P384(_), Algorithm::Es384)
                | (Self::Rsa { .. }, Algorithm::Rs(_) | Algorithm::Ps(_))
        )
    }

    /// Whether this is the key's signature of the message by this algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let plain = |by: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(by, key).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Ed25519(key), Algorithm::EdDsa) => plain(&ED25519, key),
            (Self::P256(point), Algorithm::Es256) => plain(&ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), Algorithm::Es384) => plain(&ECDSA_P384_SHA384_FIXED, point),
            (Self::Rsa { n, e }, _) => {
                algorithm.rsa().is_some_and(|by| PublicKeyComponents { n, e }.verify(by, message, signature).is_ok())
            }
            (Self::Ed25519(_) | Self::P256(_) | Self::P384(_), _) => false,
        }
    }

    /// Its members as a JWK (RFC 7517 section 4), in the order in which RFC 7638 section 3.2 digests those that it needs.
    fn members(&self) -> Vec<(&'static str, String)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = |curve: &str, point: &[u8]| {
            let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
            vec![("crv", curve.to_owned()), ("kty", "EC".to_owned()), ("x", text(x)), ("y", text(y))]
        };
        match self {
            Self::Ed25519(key) => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", text(key))]
            }
            Self::P256(bytes) => point("P-256", bytes),
            Self::P384(bytes) => point("P-384", bytes),
            Self::Rsa { n, e } => vec![("e", text(e)), ("kty", "RSA".to_owned()), ("n", text(n))],
        }
    }

    /// The key's thumbprint (RFC 7638 with SHA-256, base64url).
    pub(crate) fn thumbprint(&self) -> String {
        let members: Vec<String> =
            self.members().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// The key as a JWK for signatures, under this id.
    pub(crate) fn to_jwk(&self, kid: &str, algorithm: &str) -> Value {
        let mut jwk = json!({ "kid": kid, "alg": algorithm, "use": "sig" });
        if let Some(jwk) = jwk.as_object_mut() {
            jwk.extend(self.members().into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        jwk
    }
}

/// A public key of somebody else's set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    /// Its id; a set of one key may do without.
    pub(crate) kid: Option<String>,
    /// The one algorithm that its owner wants it used with, where that is said.
    only: Option<Algorithm>,
    key: PublicKeyOf,
}

impl ForeignKey {
    /// Whether signatures of this algorithm can be this key's, and are meant to be.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.is_for(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// See [`PublicKeyOf::verifies`].
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.is_for(algorithm) && self.key.verifies(algorithm, message, signature)
    }

    /// Reads a JWK. None where it is not for signatures, of a kind that is not known here, too short, or not well made; and where
    /// it comes with its private part, as then everybody can sign with it.
    pub(crate) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| match jwk.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        if ["d", "p", "q", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return None;
        }
        if text("use")?.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let kid = text("kid")?;
        if kid.is_some_and(|kid| !is_kid(kid)) {
            return None;
        }
        // An algorithm that is not known here is not one that the key may be used with.
        let only = text("alg")?.map(|name| Algorithm::parse(name).ok_or(())).transpose().ok()?;
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)??).ok();
        let point = |len: usize| {
            let (x, y) = (whole(bytes("x")?, len)?, whole(bytes("y")?, len)?);
            Some([&[4], &*x, &*y].concat())
        };
        let key = match (text("kty")??, text("crv")?) {
            ("OKP", Some("Ed25519")) => PublicKeyOf::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            ("EC", Some("P-256")) => PublicKeyOf::P256(point(32)?),
            ("EC", Some("P-384")) => PublicKeyOf::P384(point(48)?),
            ("RSA", _) => {
                let (n, e) = (without_zeros(bytes("n")?), without_zeros(bytes("e")?));
                let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
                let odd = e.last()? % 2 == 1 && e != [1] && e.len() <= RSA_EXPONENT;
                (RSA_BITS.contains(&bits) && odd).then_some(PublicKeyOf::Rsa { n, e })?
            }
            _ => return None,
        };
        if only.is_some_and(|only| !key.is_for(only)) {
            return None;
        }
        Some(Self { kid: kid.map(str::to_owned), only, key })
    }
}

/// Zeros that may be missing: more are chance in none of four thousand million keys.
const SHORT: usize = 4;

/// A coordinate in its full length (RFC 7518 section 6.2.1.2). Some providers leave the zeros out that it begins with.
fn whole(short: Vec<u8>, len: usize) -> Option<Vec<u8>> {
    let missing = len.checked_sub(short.len()).filter(|missing| *missing <= SHORT)?;
    Some([vec![0; missing], short].concat())
}

fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(jwk: Value) -> Option<ForeignKey> {
        ForeignKey::from_jwk(jwk.as_object().unwrap())
    }

    /// RFC 8037 appendix A: the key, its thumbprint, and a signature.
    #[test]
    fn the_rfcs_own_examples() {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let ours = key(jwk).unwrap();
        assert_eq!(ours.key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert!(ours.verifies(Algorithm::EdDsa, message, &signature));
        assert!(!ours.verifies(Algorithm::EdDsa, b"another", &signature));
        assert!(!ours.verifies(Algorithm::Es256, message, &signature));
        // RFC 7515 appendix A.3.
        let point = json!({
            "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        assert!(key(point).unwrap().verifies(Algorithm::Es256, message, &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    }

    #[test]
    fn only_keys_that_can_be_believed_are_read() {
        let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xc5; bytes]);
        let rsa = |bytes: usize| json!({ "kty": "RSA", "kid": "a", "n": modulus(bytes), "e": "AQAB" });
        let with = |mut jwk: Value, name: &str, value: Value| {
            jwk[name] = value;
            key(jwk)
        };
        assert!(key(rsa(256)).is_some() && key(rsa(1024)).is_some());
        assert!(key(rsa(255)).is_none(), "too short");
        assert!(key(rsa(1025)).is_none(), "too long");
        for (name, value) in [
            ("e", json!("AQ")),
            ("e", json!("Ag")),
            ("e", json!("")),
            ("e", json!(65537)),
            ("use", json!("enc")),
            ("use", json!(["sig"])),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!("verify")),
            ("d", json!("AQAB")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("alg", json!("ES256")),
            ("alg", json!("RSA-OAEP")),
            ("kty", json!("oct")),
            ("kty", json!("EC")),
            ("kid", json!("a\nb")),
            ("kid", json!("x".repeat(300))),
            ("n", json!("AQ AB")),
        ] {
            assert!(with(rsa(256), name, value.clone()).is_none(), "{name}: {value}");
        }
        let any = key(rsa(256)).unwrap();
        let one = with(rsa(256), "alg", json!("PS256")).unwrap();
        for (name, by_any, by_one) in [
            ("RS256", true, false),
            ("RS512", true, false),
            ("PS256", true, true),
            ("PS384", true, false),
            ("ES256", false, false),
        ] {
            let algorithm = Algorithm::parse(name).unwrap();
            assert_eq!((any.is_for(algorithm), one.is_for(algorithm)), (by_any, by_one), "{name}");
        }
        assert!(
            ["none", "HS256", "HS512", "ES512", "ES256K", "rs256", "", "dir"]
                .iter()
                .all(|n| Algorithm::parse(n).is_none())
        );
        let zero = |len: usize| URL_SAFE_NO_PAD.encode(vec![1; len]);
        for (curve, x, y) in
            [("P-256", 27, 32), ("P-256", 32, 33), ("P-384", 32, 32), ("P-521", 66, 66), ("secp256k1", 32, 32)]
        {
            assert!(key(json!({ "kty": "EC", "crv": curve, "x": zero(x), "y": zero(y) })).is_none(), "{curve} {x} {y}");
        }
        assert!(
            key(json!({ "kty": "EC", "crv": "P-256", "x": zero(31), "y": zero(32) })).is_some(),
            "without its zeros"
        );
        assert!(key(json!({ "kty": "OKP", "crv": "X25519", "x": zero(32) })).is_none());
        assert!(key(json!({ "kty": "OKP", "crv": "Ed25519", "x": zero(31) })).is_none());
    }
}
