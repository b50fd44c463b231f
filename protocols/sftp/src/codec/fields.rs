//! The field types of draft-ietf-secsh-filexfer-02, which are those of RFC 4251 section 5: byte, uint32, uint64, string.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why a field could not be read.
pub(super) type Reason = &'static str;

const SHORT: Reason = "the packet ends in the middle of a field";

/// Reads one byte.
pub(super) fn byte(input: &mut Bytes) -> Result<u8, Reason> {
    if input.has_remaining() { Ok(input.get_u8()) } else { Err(SHORT) }
}

/// Reads an unsigned number of 32 bits.
pub(super) fn uint32(input: &mut Bytes) -> Result<u32, Reason> {
    if input.remaining() >= 4 { Ok(input.get_u32()) } else { Err(SHORT) }
}

/// Reads an unsigned number of 64 bits.
pub(super) fn uint64(input: &mut Bytes) -> Result<u64, Reason> {
    if input.remaining() >= 8 { Ok(input.get_u64()) } else { Err(SHORT) }
}

/// Reads a string: its length and so many bytes. The bytes are shared with the packet, not copied.
pub(super) fn string(input: &mut Bytes) -> Result<Bytes, Reason> {
    let length = uint32(input)? as usize;
    if length > input.remaining() {
        return Err(SHORT);
    }
    Ok(input.split_to(length))
}

/// Checks that nothing is left.
pub(super) fn end(input: &Bytes) -> Result<(), Reason> {
    if input.has_remaining() { Err("the packet has bytes after its last field") } else { Ok(()) }
}

/// Writes a string.
pub(super) fn put_string(output: &mut BytesMut, text: &[u8]) {
    output.put_u32(text.len() as u32);
    output.put_slice(text);
}
