//! Bodies of signed requests: hashed as they come, and at an end only where they are what was signed (RFC 9530 section 2 for
//! `Content-Digest`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use causeway_core::Error;
use causeway_core::identity::BodyMac;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use sfv::{Dictionary, ListEntry, Parser};
use sha2::{Digest as _, Sha256, Sha512};

use super::fields::Fault;
use super::{other_body, other_plain_body};
use crate::digest::CONTENT_DIGEST;

/// What a body must be, and what has come of it.
#[derive(Debug, Default)]
pub struct Proof {
    sha256: Option<(Sha256, Vec<u8>)>,
    sha512: Option<(Sha512, Vec<u8>)>,
    /// The HMAC of all of it.
    pub mac: Option<BodyMac>,
}

impl Proof {
    /// Takes the digests that `Content-Digest` names. Every one that is known here will be compared; where there is a body, one
    /// must be.
    pub fn digests(&mut self, headers: &HeaderMap, has_body: bool) -> Result<(), Fault> {
        let lines: Vec<&[u8]> = headers.get_all(CONTENT_DIGEST).iter().map(http::HeaderValue::as_bytes).collect();
        let unreadable = || Fault::from("`Content-Digest` cannot be read; send `sha-256=:<base64>:`");
        let named = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>().map_err(|_| unreadable())?;
        for (algorithm, entry) in &named {
            let ListEntry::Item(item) = entry else { return Err(unreadable()) };
            let Some(digest) = item.bare_item.as_byte_sequence().map(<[u8]>::to_vec) else { return Err(unreadable()) };
            match algorithm.as_str() {
                "sha-256" => self.sha256 = Some((Sha256::new(), digest)),
                "sha-512" => self.sha512 = Some((Sha512::new(), digest)),
                _ => {}
            }
        }
        // One that is not there is missed among what the signature covers.
        if has_body && !named.is_empty() && self.sha256.is_none() && self.sha512.is_none() {
            return Err("`Content-Digest` names no digest that is known here; send sha-256 or sha-512".into());
        }
        Ok(())
    }

    /// Adds bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        if let Some((hash, _)) = &mut self.sha256 {
            hash.update(data);
        }
        if let Some((hash, _)) = &mut self.sha512 {
            hash.update(data);
        }
        if let Some(mac) = &mut self.mac {
            mac.update(data);
        }
    }

    /// Whether the whole body is the one that was signed.
    pub fn finish(self) -> Result<(), Error> {
        let same = self.sha256.is_none_or(|(hash, digest)| hash.finalize().as_slice() == digest)
            && self.sha512.is_none_or(|(hash, digest)| hash.finalize().as_slice() == digest);
        if !same {
            return Err(other_body());
        }
        if self.mac.is_none_or(BodyMac::is_right) { Ok(()) } else { Err(other_plain_body()) }
    }
}

/// A body that ends only where it is the one that was signed, and fails with core's error otherwise ([`told`]).
pub struct ProvenBody {
    /// What was read of it before, and is hashed.
    ahead: VecDeque<Bytes>,
    rest: Body,
    /// None: it has come to its end, or failed.
    proof: Option<Proof>,
    ended: bool,
}

impl ProvenBody {
    /// Of what was read of it before, which the proof knows, and what comes behind that.
    pub fn new(ahead: Vec<Bytes>, rest: Body, proof: Proof) -> Self {
        Self { ahead: ahead.into(), rest, proof: Some(proof), ended: false }
    }
}

impl HttpBody for ProvenBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(data) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match std::task::ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let (Some(data), Some(proof)) = (frame.data_ref(), &mut self.proof) {
                    proof.update(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.proof = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => match self.proof.take().map(Proof::finish) {
                Some(Ok(())) => {
                    self.ended = true;
                    Poll::Ready(None)
                }
                Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                None => Poll::Ready(None),
            },
        }
    }

    /// Never before the end was asked for, and found to be right.
    fn is_end_stream(&self) -> bool {
        self.ended && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: u64 = self.ahead.iter().map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

/// The error of core's that made a body fail; none where it broke off.
pub fn told(error: &axum::Error) -> Option<Error> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use causeway_core::ErrorKind;
    use futures::stream;
    use http_body_util::BodyExt as _;

    fn proof(content: &[u8]) -> Proof {
        let mut proof = Proof::default();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_DIGEST, crate::digest::repr_digest(&Sha256::digest(content).into()).parse().unwrap());
        proof.digests(&headers, true).unwrap();
        proof
    }

    async fn read(ahead: &'static [u8], rest: Vec<&'static [u8]>, proof: Proof) -> Result<Vec<u8>, Option<Error>> {
        let mut proof = proof;
        proof.update(ahead);
        let rest = Body::from_stream(stream::iter(rest.into_iter().map(Ok::<_, std::io::Error>)));
        let mut body = Body::new(ProvenBody::new(vec![Bytes::from_static(ahead)], rest, proof));
        let mut got = Vec::new();
        while let Some(frame) = body.frame().await {
            got.extend_from_slice(&frame.map_err(|error| told(&error))?.into_data().unwrap());
            assert!(!body.is_end_stream(), "not before its end was looked at");
        }
        Ok(got)
    }

    #[tokio::test]
    async fn only_the_body_that_was_signed_ends() {
        assert_eq!(read(b"ab", vec![b"c", b"d"], proof(b"abcd")).await.unwrap(), b"abcd");
        for rest in [vec![&b"c"[..]], vec![b"c", b"d", b"e"], vec![b"cD"], vec![]] {
            let error = read(b"ab", rest, proof(b"abcd")).await.unwrap_err().unwrap();
            assert_eq!(error.kind(), ErrorKind::DigestMismatch);
        }
    }

    #[test]
    fn every_digest_that_is_known_is_compared() {
        let judge = |value: &str, body: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_DIGEST, value.parse().unwrap());
            let mut proof = Proof::default();
            proof.digests(&headers, true).map_err(|_| "fault")?;
            proof.update(body);
            proof.finish().map_err(|_| "mismatch")
        };
        let encode = |digest: &[u8]| base64::engine::general_purpose::STANDARD.encode(digest);
        let (a256, a512) = (encode(&Sha256::digest(b"a")), encode(&Sha512::digest(b"a")));
        let b512 = encode(&Sha512::digest(b"b"));
        assert_eq!(judge(&format!("sha-512=:{a512}:"), b"a"), Ok(()));
        assert_eq!(judge(&format!("sha-512=:{a512}:, md5=:AA==:, sha-256=:{a256}:"), b"a"), Ok(()));
        assert_eq!(judge(&format!("sha-512=:{b512}:, sha-256=:{a256}:"), b"a"), Err("mismatch"));
        assert_eq!(judge(&format!("sha-256=:{a256}:"), b""), Err("mismatch"));
        assert_eq!(judge("sha-256=:AA==:", b"a"), Err("mismatch"));
        for wrong in ["md5=:AA==:", "sha-256", "sha-256=()", "sha-256=\"x\"", "!"] {
            assert_eq!(judge(wrong, b"a"), Err("fault"), "{wrong}");
        }
    }
}
