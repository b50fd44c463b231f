//! What the signatures of hardware keys (`sk-…`) carry (OpenSSH's PROTOCOL.u2f, "SSH U2F Signatures").

use causeway_core::identity::Presence;
use russh::keys::Algorithm;
use russh::keys::ssh_key::Signature;

/// What is behind the signature proper: a byte of flags and a counter of four.
const TRAILER: usize = 5;

/// What a signature that was verified says of the key's holder; none of a key in software.
pub(crate) fn presence(signature: &Signature) -> Option<Presence> {
    if !matches!(signature.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
        return None;
    }
    let flags = signature.as_bytes().iter().nth_back(TRAILER - 1)?;
    Some(Presence::from_flags(*flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_found() {
        for (flags, touched, verified) in [(0, false, false), (1, true, false), (4, false, true), (5, true, true)] {
            let mut data = vec![0xff; 64];
            data.extend_from_slice(&[flags, 0xff, 0xff, 0xff, 0xff]);
            let signature = Signature::new(Algorithm::SkEd25519, data).unwrap();
            assert_eq!(presence(&signature), Some(Presence { touched, verified }), "{flags}");
        }
        let plain = Signature::new(Algorithm::Ed25519, vec![0xff; 64]).unwrap();
        assert_eq!(presence(&plain), None);
    }
}
