//! Blob stores: where content is kept, under random keys (DESIGN, "The namespace"). A store knows nothing of names,
//! tenants or versions; which blobs are wanted stands in the ledger (SEMANTICS, "Blobs").

pub mod local;
pub mod memory;
pub mod unsynced;

#[cfg(test)]
mod contract;

use causeway_core::{Error, ErrorKind};
use uuid::Uuid;

pub use causeway_core::path::check_prefix;
pub use local::LocalBlobs;
pub use memory::MemoryBlobs;
pub use unsynced::{Op, PowerCut};

/// The object in each storage that names the gateway that it belongs to.
pub const MARKER: &str = ".causeway-storage";

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
