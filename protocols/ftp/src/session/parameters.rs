//! What a client has set for its transfers (RFC 959 section 3, 5.3.2).

use crate::transfer::digest::Algorithm;
use crate::wire::facts::FactSet;

/// TYPE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Type {
    /// Text: line ends are translated. The default of RFC 959.
    #[default]
    Ascii,
    /// As it is.
    Image,
}

/// MODE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Stream.
    #[default]
    Stream,
    /// Deflate.
    Deflate,
}

/// What was set.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) kind: Type,
    pub(crate) mode: Mode,
    /// Level of MODE Z.
    pub(crate) level: u32,
    /// REST: where the next transfer begins. It holds for the command that follows.
    pub(crate) restart: u64,
    /// OPTS HASH.
    pub(crate) algorithm: Algorithm,
    /// OPTS MLST.
    pub(crate) facts: FactSet,
    /// CLNT or CSID: the client's software.
    pub(crate) client: Option<String>,
    /// HOST.
    pub(crate) host: Option<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            kind: Type::default(),
            mode: Mode::default(),
            level: 6,
            restart: 0,
            algorithm: Algorithm::Sha256,
            facts: FactSet::default(),
            client: None,
            host: None,
        }
    }
}
