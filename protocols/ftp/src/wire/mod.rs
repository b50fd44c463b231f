//! The bytes of FTP as pure functions: nothing here knows a socket, a login or a file. Everything that takes what a
//! client sends is total, bounded, and fuzzed.

pub mod address;
pub mod ascii;
pub mod command;
pub mod facts;
pub mod lines;
pub mod listing;
pub mod moment;
pub mod pattern;
pub mod reply;

pub use command::{Command, Malformed, Verb};
pub use lines::{Line, Lines};
pub use reply::Reply;
