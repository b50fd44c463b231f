//! What a hardware key (`sk-…`) tells of the moment in which it signed, and what is demanded of it (OpenSSH's PROTOCOL.u2f;
//! `no-touch-required` and `verify-required` of sshd(8) and PROTOCOL.certkeys).

use super::PublicKey;

/// `SSH_SK_USER_PRESENCE_REQD`.
const TOUCHED: u8 = 0x01;
/// `SSH_SK_USER_VERIFICATION_REQD`.
const VERIFIED: u8 = 0x04;

/// What the signature of a hardware key says of its holder. The key has signed that, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Somebody was there and touched it.
    pub touched: bool,
    /// It made sure of who that was, by a PIN or a finger.
    pub verified: bool,
}

impl Presence {
    /// Of the flags in the signature.
    pub const fn from_flags(flags: u8) -> Self {
        Self { touched: flags & TOUCHED != 0, verified: flags & VERIFIED != 0 }
    }
}

/// What is demanded of a key's holder when it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceDemand {
    /// A hardware key was touched. Of a key in software nothing like it can be asked.
    pub touch: bool,
    /// The key verified its holder, which a key in software cannot.
    pub verification: bool,
}

impl Default for PresenceDemand {
    /// As in OpenSSH: a touch where the key can tell of one.
    fn default() -> Self {
        Self { touch: true, verification: false }
    }
}

impl PresenceDemand {
    /// Whether a signature by this key that says so of its holder (none: nothing) is enough.
    pub fn is_met(self, key: &PublicKey, presence: Option<Presence>) -> bool {
        match presence {
            Some(presence) => (presence.touched || !self.touch) && (presence.verified || !self.verification),
            None => !key.is_in_hardware() && !self.verification,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::public_key::tests::blob;

    #[test]
    fn touch_and_verification() {
        let hardware = blob(&[b"sk-ssh-ed25519@openssh.com", &[7; 32], b"ssh:"]);
        let software = blob(&[b"ssh-ed25519", &[7; 32]]);
        let demand = |touch, verification| PresenceDemand { touch, verification };
        for (flags, wanted, met) in [
            (0x00, PresenceDemand::default(), false),
            (0x01, PresenceDemand::default(), true),
            (0x04, PresenceDemand::default(), false),
            (0x05, PresenceDemand::default(), true),
            (0x00, demand(false, false), true),
            (0x01, demand(true, true), false),
            (0x05, demand(true, true), true),
            (0x04, demand(true, true), false),
            (0x04, demand(false, true), true),
            (0xfa, demand(false, true), false),
        ] {
            assert_eq!(wanted.is_met(&hardware, Some(Presence::from_flags(flags))), met, "{flags:#x} {wanted:?}");
        }
        assert!(!PresenceDemand::default().is_met(&hardware, None), "it has to tell");
        assert!(PresenceDemand::default().is_met(&software, None));
        assert!(!demand(true, true).is_met(&software, None));
    }
}
