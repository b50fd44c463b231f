//! Cuts the byte stream of a channel into packets (draft-ietf-secsh-filexfer-02 section 3: uint32 length, then so many
//! bytes). A packet that lies in one piece of the stream is not copied.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// The longest packet that is taken: 256 KiB of data, and room for the fields around it.
pub const MAX_PACKET: usize = 256 * 1024 + 1024;

/// Pieces that are together no longer than this are put together, in bytes: a piece that carries one byte costs a hundred.
const SMALL: usize = 4096;

/// A length that no packet can have. What follows in the stream cannot be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A packet without even a type.
    Empty,
    /// A packet longer than [`MAX_PACKET`].
    TooLong(u32),
}

/// What came in and was not taken out yet.
#[derive(Debug, Default)]
pub struct Frames {
    pieces: VecDeque<Bytes>,
    held: usize,
}

impl Frames {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece of the stream.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.held += piece.len();
        match self.pieces.back_mut() {
            Some(last) if last.len() + piece.len() <= SMALL => {
                // What was put together before is nobody else's, and is added to in place.
                let mut joined = std::mem::take(last).try_into_mut().unwrap_or_else(|last| {
                    let mut copy = BytesMut::with_capacity(SMALL);
                    copy.extend_from_slice(&last);
                    copy
                });
                joined.extend_from_slice(&piece);
                *last = joined.freeze();
            }
            _ => self.pieces.push_back(piece),
        }
    }

    /// How many bytes are held.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// In how many pieces.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Takes the next whole packet, without its length; none: more has to come in first.
    pub fn take_packet(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.length() else { return Ok(None) };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length as usize > MAX_PACKET {
            return Err(FrameError::TooLong(length));
        }
        if self.held - 4 < length as usize {
            return Ok(None);
        }
        self.skip(4);
        Ok(Some(self.cut(length as usize)))
    }

    /// Whether a whole packet, or a length that is none, stands at the front.
    pub fn ready(&self) -> bool {
        self.length().is_some_and(|length| {
            let length = length as usize;
            length == 0 || length > MAX_PACKET || self.held - 4 >= length
        })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
    }

    fn length(&self) -> Option<u32> {
        if self.held < 4 {
            return None;
        }
        let front = self.pieces.front()?;
        if let Some(four) = front.get(..4) {
            return Some(u32::from_be_bytes(four.try_into().ok()?));
        }
        let bytes = self.pieces.iter().flat_map(|piece| piece.iter().copied()).take(4);
        Some(bytes.fold(0, |length, byte| length << 8 | u32::from(byte)))
    }

    fn skip(&mut self, mut count: usize) {
        self.held = self.held.saturating_sub(count);
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else { return };
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }

    fn cut(&mut self, count: usize) -> Bytes {
        if let Some(front) = self.pieces.front_mut()
            && front.len() >= count
        {
            self.held -= count;
            let taken = front.split_to(count);
            if front.is_empty() {
                self.pieces.pop_front();
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(count);
        while taken.len() < count {
            let Some(front) = self.pieces.front_mut() else { break };
            let part = front.split_to(front.len().min(count - taken.len()));
            taken.extend_from_slice(&part);
            self.held -= part.len();
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken.freeze()
    }
}
