//! MODE Z (draft-preston-ftpext-deflate): the data is one zlib stream (RFC 1950).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Room that is made at a time.
const STEP: usize = 64 * 1024;

/// Packs what is sent.
pub(crate) struct Packer(Compress);

impl Packer {
    /// At a level from 0 to 9.
    pub(crate) fn new(level: u32) -> Self {
        Self(Compress::new(Compression::new(level), true))
    }

    /// Packs a piece into `out`; the last one ends the stream.
    pub(crate) fn pack(&mut self, mut piece: &[u8], last: bool, out: &mut Vec<u8>) {
        let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
        loop {
            out.reserve(STEP);
            let before = self.0.total_in();
            // A buffer that has room and a stream that is not misused cannot fail.
            let Ok(status) = self.0.compress_vec(piece, out, flush) else { return };
            let taken = (self.0.total_in() - before) as usize;
            piece = piece.get(taken..).unwrap_or_default();
            let full = out.len() == out.capacity();
            match status {
                Status::StreamEnd => return,
                _ if piece.is_empty() && !full && !last => return,
                _ => {}
            }
        }
    }
}

/// Unpacks what comes.
pub(crate) struct Unpacker {
    stream: Decompress,
    ended: bool,
}

/// The stream is broken.
#[derive(Debug)]
pub(crate) struct Garbled;

impl Unpacker {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { stream: Decompress::new(true), ended: false }
    }

    /// Unpacks as much of a piece as fits [`STEP`] of room, and tells how much of the piece is used. To be called until
    /// all is used: so no small piece can become a large amount of memory.
    pub(crate) fn unpack(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled> {
        if self.ended {
            // Nothing may stand behind the end.
            return if piece.is_empty() { Ok(0) } else { Err(Garbled) };
        }
        out.reserve_exact(STEP);
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress_vec(piece, out, FlushDecompress::None).map_err(|_| Garbled)?;
        self.ended = status == Status::StreamEnd;
        let used = (self.stream.total_in() - read) as usize;
        if used == 0 && self.stream.total_out() == written && !piece.is_empty() && !self.ended {
            return Err(Garbled);
        }
        Ok(used)
    }

    /// Whether the stream came to its end.
    pub(crate) const fn is_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(bytes: &[u8], step: usize) -> Vec<u8> {
        let (mut packer, mut out) = (Packer::new(6), Vec::new());
        bytes.chunks(step).for_each(|piece| packer.pack(piece, false, &mut out));
        packer.pack(&[], true, &mut out);
        out
    }

    fn unpack(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool), Garbled> {
        let (mut unpacker, mut all) = (Unpacker::new(), Vec::new());
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                let mut out = Vec::new();
                let used = unpacker.unpack(piece, &mut out)?;
                assert!(out.len() <= STEP * 2);
                piece = &piece[used..];
                all.extend(out);
            }
        }
        // What the last bytes still hold.
        loop {
            let mut out = Vec::new();
            if unpacker.is_ended() || unpacker.unpack(&[], &mut out).is_err() || out.is_empty() {
                return Ok((all, unpacker.is_ended()));
            }
            all.extend(out);
        }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for bytes in [
            Vec::new(),
            b"hello".to_vec(),
            vec![7; 3_000_000],
            (0..1_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect(),
        ] {
            for step in [1000, 5_000_000] {
                assert_eq!(unpack(&pack(&bytes, step), step).unwrap(), (bytes.clone(), true));
            }
        }
        let packed = pack(b"hello world", 100);
        assert!(!unpack(&packed[..packed.len() - 3], 100).unwrap().1, "cut off");
        assert!(unpack(&[packed, b"x".to_vec()].concat(), 100).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&bytes, 7);
        }
    }
}
