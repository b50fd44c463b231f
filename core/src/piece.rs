//! Buffers for the content of files, which are used again. Fresh memory of this size comes from the system page by page, and
//! goes back to it when it is given up, which costs as much as copying the content does; and the processor's caches
//! know nothing of it yet.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes that one holds.
pub const PIECE: usize = 256 * 1024;
/// How many that nobody uses are kept: 4 MiB in all.
const KEPT: usize = 16;
/// Below this size content is copied out of its piece when it is handed on, so that little content does not hold much memory.
const LITTLE: usize = PIECE / 8;

static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that is filled from its beginning. Nobody sees what another one left in it.
#[derive(Debug)]
pub struct Piece {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Piece {
    /// A used one, where there is one, or a new one; empty.
    pub fn new() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { bytes: spare.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice()), filled: 0 }
    }

    /// What is not filled, for up to `most` bytes. What stands in it means nothing.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled.saturating_add(most).min(self.bytes.len());
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }

    /// So many bytes of the room were filled.
    pub fn fill(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }

    /// Makes it empty.
    pub const fn clear(&mut self) {
        self.filled = 0;
    }

    /// Bytes that are filled.
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing is filled.
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether there is no room left.
    pub const fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    /// The content, to be handed on; the buffer is used again when the last who has it lets go.
    pub fn freeze(self) -> Bytes {
        if self.filled < LITTLE { Bytes::copy_from_slice(self.as_ref()) } else { Bytes::from_owner(self) }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn is_filled_from_its_beginning() {
        let mut piece = Piece::new();
        assert!(piece.is_empty() && piece.room(usize::MAX).len() == PIECE && piece.room(7).len() == 7);
        piece.room(3).copy_from_slice(b"abc");
        piece.fill(3);
        piece.room(2).copy_from_slice(b"de");
        piece.fill(2);
        assert_eq!((piece.as_ref(), piece.len(), piece.is_full()), (&b"abcde"[..], 5, false));
        piece.fill(usize::MAX);
        assert!(piece.is_full() && piece.room(1).is_empty());
        piece.clear();
        assert!(piece.is_empty() && piece.as_ref().is_empty() && piece.room(usize::MAX).len() == PIECE);
    }

    #[test]
    fn what_another_one_left_is_not_seen() {
        for _ in 0..3 * KEPT {
            let mut piece = Piece::new();
            piece.room(PIECE).fill(7);
            piece.fill(PIECE);
            drop(piece.freeze());
        }
        for length in [0, 1, LITTLE - 1, LITTLE, PIECE] {
            let mut piece = Piece::new();
            assert!(piece.as_ref().is_empty());
            piece.room(length).fill(9);
            piece.fill(length);
            assert!(piece.freeze() == vec![9; length], "{length}");
        }
    }

    #[test]
    fn no_more_than_some_are_kept() {
        drop((0..4 * KEPT).map(|_| Piece::new()).collect::<Vec<_>>());
        assert!(SPARE.lock().is_ok_and(|spare| spare.len() <= KEPT && spare.iter().all(|bytes| bytes.len() == PIECE)));
    }
}
