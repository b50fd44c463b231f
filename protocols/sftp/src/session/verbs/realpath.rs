//! `SSH_FXP_REALPATH` (draft-ietf-secsh-filexfer-02 section 6.11). It is lexical, and answers for what does not exist
//! too: clients ask it for their start folder and for targets to come. One name, no attributes.

use causeway_core::VirtualPath;

use crate::codec::{FileAttributes, NameEntry, Reply};

/// The path as the gateway knows it.
pub(in crate::session) fn realpath(path: &VirtualPath) -> Reply {
    Reply::Names(vec![NameEntry {
        name: path.as_str().to_owned(),
        long_name: path.as_str().to_owned(),
        attributes: FileAttributes::default(),
    }])
}
