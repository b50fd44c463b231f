//! Blob stores: where content is kept, under random keys (DESIGN, "The namespace"). A store knows nothing of names,
//! tenants or versions; which blobs are wanted stands in the ledger (SEMANTICS, "Blobs").

pub mod local;
pub mod memory;
pub mod unsynced;

#[cfg(test)]
mod contract;

use causeway_core::{Error, ErrorKind, Result};
use uuid::Uuid;

pub use local::LocalBlobs;
pub use memory::MemoryBlobs;
pub use unsynced::{Op, PowerCut};

/// The object in each storage that names the gateway that it belongs to.
pub const MARKER: &str = ".causeway-storage";

/// Checks a prefix (`tenant.mount.path`): empty, or plain names with `/` between them, none of which begins with a
/// dot, is longer than 255 bytes or has control characters or a backslash in it; 1,024 bytes at most. So no prefix
/// leads out of its storage, on any backend, and none can be taken for [`MARKER`]. `InvalidArgument` otherwise.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && !part.starts_with('.')
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if prefix.is_empty() || (prefix.len() <= 1024 && prefix.split('/').all(plain)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "the path inside the storage must be plain names with single slashes between them, such as `acme/in`; \
         no name may begin with a dot",
    ))
}

/// The answer to a gateway that claims the storage of another one.
fn belongs_to(other: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "this storage belongs to another gateway ({other}): give this one a storage of its own, or, if that gateway \
             is gone for good and its content may be lost, remove the marker `{MARKER}` from the storage's root"
        ),
    )
}

/// The failure of opening a blob that is not there. The ledger says that it should be: a fault, not a missing file.
fn missing(key: Uuid) -> Error {
    Error::internal(format_args!("blob {key} is not in its storage"))
}
