//! The requests, one verb a file. A verb decides nothing that concerns other protocols: it reads its request, calls the
//! gateway and answers.

pub(super) mod check_file;
pub(super) mod close;
pub(super) mod copy_data;
pub(super) mod expand_path;
pub(super) mod folder;
pub(super) mod fsync;
pub(super) mod limits;
pub(super) mod mkdir;
pub(super) mod open;
pub(super) mod owners;
pub(super) mod posix_rename;
pub(super) mod read;
pub(super) mod realpath;
pub(super) mod remove;
pub(super) mod rename;
pub(super) mod rmdir;
pub(super) mod setstat;
pub(super) mod stat;
pub(super) mod statvfs;
pub(super) mod write;

use causeway_core::Result;

use crate::codec::Reply;
use crate::status::failure;

/// `SSH_FX_OK`, or the status of the error.
fn done<T>(result: Result<T>) -> Reply {
    match result {
        Ok(_) => Reply::ok(),
        Err(error) => failure(&error),
    }
}
