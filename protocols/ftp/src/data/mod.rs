//! Data connections: who may make one, and how one is used.

pub(crate) mod broken;
pub(crate) mod channel;
pub(crate) mod deflate;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod passive;
pub(crate) mod ports;
pub(crate) mod stream;

pub(crate) use broken::Broken;
pub(crate) use channel::{Channel, Opening};
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;
pub(crate) use stream::DataStream;
