//! `SSH_FXP_OPENDIR` and `READDIR` (draft-ietf-secsh-filexfer-02 section 6.7). A listing is streamed: a page of names is
//! taken from the ledger when the one before has been sent.

use std::collections::VecDeque;

use causeway_core::{Entry, Error};
use time::OffsetDateTime;

use super::super::entries::named;
use crate::codec::{NameEntry, Reply};
use crate::files::Paging;
use crate::status::failure;

/// Entries that are asked for at once.
const PAGE: u32 = 256;
/// A reply is not begun to be filled beyond this, as old clients take packets of 34,000 bytes at the most (section 3).
const MAX_REPLY: usize = 32_000;

/// A folder that is being listed.
pub(in crate::session) struct FolderHandle<L> {
    listing: L,
    names: VecDeque<NameEntry>,
    begun: bool,
    ended: bool,
}

impl<L: Paging> FolderHandle<L> {
    /// At its beginning.
    pub(in crate::session) const fn new(listing: L) -> Self {
        Self { listing, names: VecDeque::new(), begun: false, ended: false }
    }

    /// The folder itself.
    pub(in crate::session) fn folder(&self) -> &Entry {
        self.listing.folder()
    }

    /// The next names, or `SSH_FX_EOF`. `.` and `..` come first, as clients of Unix servers expect.
    pub(in crate::session) async fn readdir(&mut self) -> Reply {
        if let Err(error) = self.fill().await {
            return failure(&error);
        }
        let mut page = Vec::new();
        let mut size = 0;
        while let Some(entry) = self.names.front() {
            size += entry.encoded_len();
            if size > MAX_REPLY && !page.is_empty() {
                break;
            }
            page.extend(self.names.pop_front());
        }
        if page.is_empty() { Reply::eof() } else { Reply::Names(page) }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        if !self.begun {
            self.begun = true;
            let folder = self.listing.folder();
            self.names.extend([named(folder, ".", now), named(folder, "..", now)]);
        }
        if !self.ended && self.names.len() < PAGE as usize / 2 {
            let entries = self.listing.next(PAGE).await?;
            self.ended = entries.is_empty();
            self.names.extend(entries.iter().map(|entry| named(entry, &entry.name, now)));
        }
        Ok(())
    }
}
