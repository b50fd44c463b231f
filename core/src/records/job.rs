//! The rows of transfers in the background: a job, the steps that it is made of, and what tells of other transfers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Micros;

/// Makes an enum whose variants are words of the ledger and the API.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in the ledger and the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The one with this word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Where a transfer stands. queued → running → completed, failed or cancelled; running → retrying → running.
    TransferState {
        /// It waits for a worker.
        Queued = "queued",
        /// It is under way.
        Running = "running",
        /// It waits for its next attempt.
        Retrying = "retrying",
        /// All of it was done.
        Completed = "completed",
        /// Some of it, or nothing, was done, and nothing more is tried.
        Failed = "failed",
        /// It was given up.
        Cancelled = "cancelled",
    }
}

impl TransferState {
    /// Whether nothing more happens by itself.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

words! {
    /// What a job does with its files.
    JobOperation {
        /// They are in both places afterwards.
        Copy = "copy",
        /// They are in the new place only.
        Move = "move",
    }
}

words! {
    /// What a step does.
    ItemKind {
        /// Makes a folder where there is none.
        Folder = "folder",
        /// Copies or moves a file.
        File = "file",
        /// Moves a folder with everything in it.
        Tree = "tree",
        /// Removes a folder that the job has emptied.
        Prune = "prune",
    }
}

impl ItemKind {
    /// Whether it is one of the files that were asked for, rather than what they need around them.
    pub const fn counts(self) -> bool {
        matches!(self, Self::File | Self::Tree)
    }
}

words! {
    /// Where a step stands.
    ItemState {
        /// To be done.
        Pending = "pending",
        /// Done.
        Done = "done",
        /// Failed for good, until the job is asked for again.
        Failed = "failed",
    }
}

/// What was asked for, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// Copy or move.
    pub operation: JobOperation,
    /// A path or pattern below the session's root.
    pub source: String,
    /// A path below the session's root; with a slash at its end: a folder.
    pub destination: String,
    /// The source in the tenant's tree, when it was asked for; none where it existed in the view alone.
    pub source_path: Option<String>,
    /// The destination in the tenant's tree.
    pub destination_path: Option<String>,
    /// Whether files that are there may be replaced.
    pub overwrite: bool,
    /// Whether webhooks are told of its `transfer.*` events.
    pub notify: bool,
    /// Whether `login` of the job is the id of an API key rather than a username.
    pub api_key: bool,
    /// The issuer whose token asked for it; `login` of the job is the token's subject then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the token that asked for it allowed; none: whatever its login or key may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The grant of that token, where it was one of the gateway's own: with it the transfer ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Uuid>,
    /// Where it was asked from.
    pub client_ip: Option<IpAddr>,
}

/// A transfer in the background. Whoever works on it does so under its generation: every claim bumps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// UUIDv7; the transfer's id.
    pub id: Uuid,
    /// The tenant's id.
    pub tenant: String,
    /// Whose it is, with the tenant.
    pub identity: String,
    /// The login or key that asked for it.
    pub login: String,
    /// Where it stands.
    pub state: TransferState,
    /// Bumped whenever it changes hands.
    pub generation: i64,
    /// The process that works on it; nil: none.
    pub holder: Uuid,
    /// When it may be claimed: the end of the lease while it runs; none once it has ended.
    pub due_at: Option<Micros>,
    /// From 0 to 9; of one identity's jobs the highest goes first.
    pub priority: i64,
    /// How often it was begun since it was asked for.
    pub attempts: i64,
    /// Whether its steps are known.
    pub planned: bool,
    /// Bytes of all its files, once they are known.
    pub size: u64,
    /// Bytes of the files that are done.
    pub bytes: u64,
    /// Bytes that were copied of the file under way.
    pub partial: u64,
    /// How many files there are.
    pub files: u64,
    /// How many of them are done.
    pub done: u64,
    /// How many steps have failed.
    pub failed: u64,
    /// The code of the error that it ended with, or that the last attempt met.
    pub error_code: Option<String>,
    /// Its sentence.
    pub error_message: Option<String>,
    /// When it was asked for.
    pub created_at: Micros,
    /// When its first attempt began.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// What was asked for.
    pub order: JobOrder,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobItem {
    /// Its place in the job, from 0.
    pub number: i64,
    /// What it does.
    pub kind: ItemKind,
    /// The path that it takes from; empty for a folder that is made.
    pub source: String,
    /// The path that it makes; empty for a folder that is removed.
    pub destination: String,
    /// Bytes.
    pub size: u64,
    /// Where it stands.
    pub state: ItemState,
    /// The code of the error that it failed with.
    pub error_code: Option<String>,
    /// Its sentence.
    pub error_message: Option<String>,
}
