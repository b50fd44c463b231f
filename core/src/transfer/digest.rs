//! SHA-256 that follows a content's prefix, and whose state can be kept in a checkpoint (sha2's serialisable state).

use bytes::Bytes;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};

/// The hash of the bytes so far.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    /// Goes on from a checkpoint; none where the state is not one of this library's.
    pub(crate) fn resume(state: &[u8]) -> Option<Self> {
        let state = SerializedState::<Sha256>::try_from(state).ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }

    pub(crate) fn state(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    pub(crate) fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.0.update(piece);
        }
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_a_checkpoint() {
        let mut whole = Hasher::default();
        whole.update(&[Bytes::from_static(b"half a file "), Bytes::from_static(b"is never seen")]);
        let mut first = Hasher::default();
        first.update(&[Bytes::from_static(b"half a file ")]);
        let Some(mut second) = Hasher::resume(&first.state()) else { panic!("its own state") };
        second.update(&[Bytes::from_static(b"is never seen")]);
        assert_eq!(second.finish(), whole.finish());
        assert!(Hasher::resume(b"nonsense").is_none());
    }
}
