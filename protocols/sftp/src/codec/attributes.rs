//! File attributes (draft-ietf-secsh-filexfer-02 section 5).

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{Reason, string, uint32, uint64};

const SIZE: u32 = 0x0000_0001;
const UIDGID: u32 = 0x0000_0002;
const PERMISSIONS: u32 = 0x0000_0004;
const ACMODTIME: u32 = 0x0000_0008;
const EXTENDED: u32 = 0x8000_0000;

/// What an `ATTRS` field holds. Extended attributes are read over: this gateway knows none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileAttributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Numbers of owner and group.
    pub owner: Option<(u32, u32)>,
    /// POSIX type and permission bits.
    pub permissions: Option<u32>,
    /// Access and modification time, in seconds since 1970-01-01 UTC.
    pub times: Option<(u32, u32)>,
}

impl FileAttributes {
    /// Reads the field. A flag that version 3 does not define would be followed by fields of unknown length, so it is
    /// an error.
    pub(super) fn decode(input: &mut Bytes) -> Result<Self, Reason> {
        let flags = uint32(input)?;
        if flags & !(SIZE | UIDGID | PERMISSIONS | ACMODTIME | EXTENDED) != 0 {
            return Err("the attributes have a flag that version 3 does not define");
        }
        let mut this = Self::default();
        if flags & SIZE != 0 {
            this.size = Some(uint64(input)?);
        }
        if flags & UIDGID != 0 {
            this.owner = Some((uint32(input)?, uint32(input)?));
        }
        if flags & PERMISSIONS != 0 {
            this.permissions = Some(uint32(input)?);
        }
        if flags & ACMODTIME != 0 {
            this.times = Some((uint32(input)?, uint32(input)?));
        }
        if flags & EXTENDED != 0 {
            // Each pair takes eight bytes at least, so a false count ends at the packet's end.
            for _ in 0..uint32(input)? {
                string(input)?;
                string(input)?;
            }
        }
        Ok(this)
    }

    /// Writes the field.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        let mut flags = 0;
        if self.size.is_some() {
            flags |= SIZE;
        }
        if self.owner.is_some() {
            flags |= UIDGID;
        }
        if self.permissions.is_some() {
            flags |= PERMISSIONS;
        }
        if self.times.is_some() {
            flags |= ACMODTIME;
        }
        output.put_u32(flags);
        if let Some(size) = self.size {
            output.put_u64(size);
        }
        if let Some((uid, gid)) = self.owner {
            output.put_u32(uid);
            output.put_u32(gid);
        }
        if let Some(permissions) = self.permissions {
            output.put_u32(permissions);
        }
        if let Some((accessed, modified)) = self.times {
            output.put_u32(accessed);
            output.put_u32(modified);
        }
    }
}
