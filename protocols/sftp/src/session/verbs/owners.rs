//! `users-groups-by-id@openssh.com` (OpenSSH's PROTOCOL, section 4.12). Numbers are what clients have set and stand for
//! nobody here, so they have no names; 0, which is shown where no client has set any, is the gateway itself.

use super::read::MAX_READ;
use crate::codec::Reply;
use crate::status::{Code, refuse};

/// The name of 0.
const GATEWAY: &str = "causeway";
/// Bytes that a name takes in the reply, at most.
const LONGEST: usize = 4 + GATEWAY.len();

/// The names of these users and groups; empty for those that have none.
pub(in crate::session) fn owners(users: &[u32], groups: &[u32]) -> Reply {
    if (users.len() + groups.len()) * LONGEST > MAX_READ {
        return refuse(Code::Failure, "these are too many numbers for one reply; ask for fewer at a time");
    }
    let names = |numbers: &[u32]| numbers.iter().map(|number| if *number == 0 { GATEWAY } else { "" }).collect();
    Reply::Owners(names(users), names(groups))
}
