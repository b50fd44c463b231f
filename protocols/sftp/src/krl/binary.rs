//! The binary form (OpenSSH's PROTOCOL.krl).

use std::ops::RangeInclusive;

use causeway_core::identity::{PublicKey, Revocations};
use causeway_core::{Error, Result};

use super::invalid;

const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATES_EXTENSION: u8 = 0x39;

/// Bytes that a bitmap may have, as in OpenSSH (`SSHBUF_MAX_BIGNUM`).
const MAX_BITMAP: usize = 2048;
/// Runs of serial numbers that a list may have: a bitmap can have four in each of its bytes, and takes more memory than
/// its file then.
const MAX_RUNS: usize = 1_000_000;

/// Whether the file says of itself that it is a KRL.
pub(super) fn is_krl(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Section 1: the header, and then sections. Version, date, flags (none is defined), comment and signatures are read
/// over; OpenSSH has not looked at signatures since 9.4 either: whoever can write the file can leave them out.
pub(super) fn parse(bytes: &[u8]) -> Result<Revocations> {
    let mut input = Input(bytes);
    input.take(MAGIC.len())?;
    if input.uint32()? != FORMAT {
        return Err(invalid("the revocation list is of a format that is not known; write it anew by `ssh-keygen -k`"));
    }
    input.take(3 * 8)?;
    input.string()?;
    input.string()?;
    let mut list = List { revoked: Revocations::default(), runs: 0 };
    while !input.is_empty() {
        let kind = input.byte()?;
        let mut section = Input(input.string()?);
        match kind {
            CERTIFICATES => list.certificates(&mut section)?,
            EXPLICIT_KEY => {
                while !section.is_empty() {
                    list.revoked.revoke_key(&PublicKey { blob: section.string()?.to_vec() });
                }
            }
            FINGERPRINT_SHA1 => {
                while !section.is_empty() {
                    list.revoked.revoke_sha1(section.digest()?);
                }
            }
            FINGERPRINT_SHA256 => {
                while !section.is_empty() {
                    list.revoked.revoke_sha256(section.digest()?);
                }
            }
            // Section 5: the content is the key that signed; the signature is a string behind it.
            SIGNATURE => {
                input.string()?;
            }
            EXTENSION => extension(&mut section)?,
            _ => return Err(invalid("the revocation list has a section of a kind that is not known")),
        }
    }
    Ok(list.revoked)
}

struct List {
    revoked: Revocations,
    runs: usize,
}

impl List {
    /// Section 2. An empty CA's key stands for every CA.
    fn certificates(&mut self, section: &mut Input<'_>) -> Result<()> {
        let ca = section.string()?;
        section.string()?;
        let ca = (!ca.is_empty()).then(|| PublicKey { blob: ca.to_vec() });
        while !section.is_empty() {
            let kind = section.byte()?;
            let mut input = Input(section.string()?);
            self.certificate_section(kind, &mut input, ca.as_ref())?;
            if !input.is_empty() {
                return Err(invalid("the revocation list has bytes behind the end of a section"));
            }
        }
        Ok(())
    }

    fn certificate_section(&mut self, kind: u8, input: &mut Input<'_>, ca: Option<&PublicKey>) -> Result<()> {
        match kind {
            SERIAL_LIST => {
                while !input.is_empty() {
                    let serial = input.uint64()?;
                    self.serials(ca, serial..=serial)?;
                }
            }
            SERIAL_RANGE => {
                let (from, to) = (input.uint64()?, input.uint64()?);
                if from > to {
                    return Err(invalid(
                        "the revocation list has a range of serial numbers that ends before it begins",
                    ));
                }
                self.serials(ca, from..=to)?;
            }
            SERIAL_BITMAP => {
                let (offset, bits) = (input.uint64()?, input.string()?);
                self.bitmap(ca, offset, bits)?;
            }
            KEY_ID => {
                while !input.is_empty() {
                    // A certificate whose key id is no UTF-8 is none that is read here.
                    let key_id = String::from_utf8(input.string()?.to_vec())
                        .map_err(|_| invalid("the revocation list has a key id that is not UTF-8"))?;
                    self.revoked.revoke_key_id(ca, key_id);
                }
            }
            CERTIFICATES_EXTENSION => extension(input)?,
            _ => return Err(invalid("the revocation list has a certificate section of a kind that is not known")),
        }
        Ok(())
    }

    /// Section 2.3: a positive `mpint`; its lowest bit stands for the offset itself.
    fn bitmap(&mut self, ca: Option<&PublicKey>, offset: u64, bits: &[u8]) -> Result<()> {
        if bits.first().is_some_and(|first| first & 0x80 != 0) || bits.len() > MAX_BITMAP + 1 {
            return Err(invalid("the revocation list has a bitmap of serial numbers that is negative or too long"));
        }
        let mut run: Option<RangeInclusive<u64>> = None;
        for (byte, nr) in bits.iter().rev().zip(0u64..) {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                let serial = offset.checked_add(nr * 8 + bit).ok_or_else(|| {
                    invalid("the revocation list has a bitmap beyond the last serial number there is")
                })?;
                run = Some(match run {
                    Some(run) if run.end().checked_add(1) == Some(serial) => *run.start()..=serial,
                    ended => {
                        if let Some(ended) = ended {
                            self.serials(ca, ended)?;
                        }
                        serial..=serial
                    }
                });
            }
        }
        run.map_or(Ok(()), |run| self.serials(ca, run))
    }

    fn serials(&mut self, ca: Option<&PublicKey>, run: RangeInclusive<u64>) -> Result<()> {
        self.runs += 1;
        if self.runs > MAX_RUNS {
            return Err(invalid("the revocation list has more than a million runs of serial numbers; use ranges"));
        }
        self.revoked.revoke_serials(ca, run);
        Ok(())
    }
}

/// Sections 2.5 and 6: a name, whether it is critical, and content. None is known.
fn extension(input: &mut Input<'_>) -> Result<()> {
    input.string()?;
    let critical = input.byte()? != 0;
    input.string()?;
    if critical {
        return Err(invalid("the revocation list has a critical extension, and none is known here"));
    }
    if !input.is_empty() {
        return Err(invalid("the revocation list has bytes behind the end of an extension"));
    }
    Ok(())
}

/// What is left to read: the fields of RFC 4251 section 5.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn uint32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn uint64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.uint32()?;
        self.take(length as usize)
    }

    fn digest<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.string()?
            .try_into()
            .map_err(|_| invalid("the revocation list has a fingerprint whose length is not that of its kind"))
    }
}

fn cut_short() -> Error {
    invalid("the revocation list ends in the middle of a field; was it copied whole?")
}
