//! The rows of sessions that last, by which the nodes of a cluster know of each other's.

use uuid::Uuid;

use super::Micros;

/// A session that is there, as its process tells the others of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// UUIDv7.
    pub id: Uuid,
    /// The tenant's id.
    pub tenant: String,
    /// The identity's id.
    pub identity: String,
    /// The login or API key id.
    pub login: String,
    /// The protocol that it came by.
    pub protocol: String,
    /// The client's address.
    pub client_ip: String,
    /// The client's software.
    pub client_version: Option<String>,
    /// How it was authenticated.
    pub auth_method: String,
    /// The name of the node that has it.
    pub node: String,
    /// The process that has it.
    pub incarnation: Uuid,
    /// When it began.
    pub started_at: Micros,
    /// When its end was asked for.
    pub end_asked: Option<Micros>,
}

/// Which sessions are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSearch {
    /// Those of this tenant.
    pub tenant: String,
    /// With ids below this one; none: all.
    pub before: Option<Uuid>,
    /// But for those of this process, which knows them better.
    pub besides: Uuid,
    /// That came by this protocol; none: by any.
    pub protocol: Option<String>,
    /// Of this identity; none: of any.
    pub identity: Option<String>,
    /// By this login; none: by any.
    pub login: Option<String>,
}
