//! The configuration was read again: what of that is put on record. It is nobody's operation but the gateway's own, so its trail is
//! the gateway's own chain.

use super::inner::Inner;
use crate::audit::canonical::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::ports::Durability;

/// Names of what has changed that are put on record at most.
const MAX_NAMES: usize = 100;

/// What reading the configuration again came to.
#[derive(Clone, Debug)]
pub enum Reconfigured {
    /// It counts.
    Taken {
        /// The names of what has changed and counts now.
        changed: Vec<String>,
        /// The names of what has changed and counts after a restart.
        needs_restart: Vec<String>,
    },
    /// It is not taken, and everything stays as it was; why.
    Refused(String),
}

impl Inner {
    /// See [`super::Gateway::reconfigured`].
    pub(crate) async fn put_reconfigured(&self, outcome: &Reconfigured) -> Result<()> {
        let facts = Facts::of_gateway(&self.settings.node, Operation::Admin);
        let mut details: Vec<(&'static str, Value)> =
            vec![("object_kind", "configuration".into()), ("change", "changed".into())];
        let facts = match outcome {
            Reconfigured::Taken { changed, needs_restart } => {
                details.extend([("changed", names(changed)), ("needs_restart", names(needs_restart))]);
                facts
            }
            Reconfigured::Refused(why) => facts.failed(&Error::new(ErrorKind::InvalidArgument, why.clone())),
        };
        let facts = Facts { details, ..facts };
        self.put(Durability::Disk, facts.audit(), vec![facts.event("admin.changed")]).await
    }
}

fn names(all: &[String]) -> Value {
    let mut shown: Vec<Value> = all.iter().take(MAX_NAMES).map(|name| name.as_str().into()).collect();
    if all.len() > MAX_NAMES {
        shown.push(format!("and {} more", all.len() - MAX_NAMES).into());
    }
    Value::Array(shown)
}
