//! The core of causeway: identities, one namespace, transfers, events and the audit trail. It speaks no wire protocol
//! and knows no database: front ends call [`Gateway`], and what it needs of the outside stands in [`ports`].

pub mod admin;
pub mod audit;
pub mod error;
pub mod events;
pub mod gateway;
pub mod identity;
pub mod jobs;
pub mod metrics;
pub mod namespace;
pub mod path;
pub mod piece;
pub mod policy;
pub mod ports;
pub mod records;
pub mod tokens;
pub mod trace;
pub mod transfer;
pub mod wide;

pub use error::{Error, ErrorKind, Result};
pub use gateway::{
    Admission, EventFeed, Gateway, Limits, LiveSession, NotLetIn, Parts, Reconfigured, SessionFilter, SessionPage,
    Settings,
};
pub use identity::{Credential, Peer, Protocol, Session};
pub use namespace::{Entry, Listing};
pub use path::{Name, VirtualPath};
pub use transfer::{Download, Receipt, Source, Space, Upload, UploadOptions};
