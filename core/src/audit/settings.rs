//! What the configuration says of the trail.

use std::sync::Arc;
use std::time::Duration;

use super::{HeadKey, Trust};
use crate::ports::{AuditSink, HeadShelf};

/// What the configuration says of the trail.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// What heads and cuts are signed by; none: nothing is signed, and so nothing is removed.
    pub key: Option<Arc<HeadKey>>,
    /// Whose signatures count, and what was signed before, as it was kept outside of the database.
    pub trust: Trust,
    /// Where heads are kept besides the database.
    pub shelf: Option<Arc<dyn HeadShelf>>,
    /// Where entries are sent to.
    pub sink: Option<Arc<dyn AuditSink>>,
    /// How often heads are signed, of chains that have grown.
    pub head_interval: Duration,
    /// How long entries are kept; none: for ever.
    pub retention: Option<Duration>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            key: None,
            trust: Trust::default(),
            shelf: None,
            sink: None,
            head_interval: Duration::from_mins(5),
            retention: None,
        }
    }
}
