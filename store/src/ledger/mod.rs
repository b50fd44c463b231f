//! The ledger: core's [`Ledger`](causeway_core::ports::Ledger), [`Query`](causeway_core::ports::Query) and
//! [`Tx`](causeway_core::ports::Tx) on SQLite ([`SqliteLedger`]) and on PostgreSQL ([`PostgresLedger`]). Both say the
//! same SQL (`statements`), both pass one suite (`contract`).
//!
//! # What a transaction may rely on
//! - A statement that fails in the database (a taken name, say) ends its transaction: the operation has to return that
//!   error, and where it does not, the transaction is rolled back and answers with it all the same. PostgreSQL has
//!   aborted the transaction by then, and SQLite is held to the same.
//! - Errors that core makes of a result (`Conflict` of `reference_blob`, `NotFound` of `update_node` and `delete_node`,
//!   `false` of the conditional updates) leave the transaction intact.
//! - Every statement sees what was committed before it began (PostgreSQL: READ COMMITTED), so what must not change
//!   between looking and writing has to be locked first.
//!
//! # Locks
//! SQLite has one writer: transactions follow each other, and no method locks anything. On PostgreSQL:
//!
//! | method | lock, until the end of the transaction | waits for |
//! |---|---|---|
//! | `lock` | advisory, exclusive, one per [`Lock`](causeway_core::ports::Lock) | whoever holds the same one |
//! | `hold_folder` | the folder's row, `FOR KEY SHARE` | its `delete_node`, its `update_node` with another parent or name, `hold_node` of it |
//! | `hold_node` | the row, `FOR UPDATE` | all who hold, change or remove it |
//! | `insert_node`, `update_node` | the row; the name in the unique index | another transaction that makes the same name, until it is known who has it |
//! | `delete_node` | the row, as `FOR UPDATE` | `hold_folder`, `hold_node` |
//! | `update_upload` | the upload's row | another change of it; then looks at state and generation again |
//! | `insert_upload`, exclusive | the name in the index of reservations | another exclusive upload of that name |
//! | `reference_blob` | the blob's row, `FOR UPDATE` | `release_blobs`, `mark_deleting`; then wants it live |
//! | `release_blobs` | the rows of the blobs it drops, `FOR UPDATE`, in the order of their keys | the same |
//! | `add_usage` | one of 16 rows of the identity | one in 16 of the others |
//! | `use_code` | the code's key in the index | another transaction that uses the same code; then says no |
//! | `warn_of_key` | the end's key in the index | another transaction that tells the same end; then says no |
//! | `advance_objects` | the one row that counts the changes of objects | another change of an object; then says no |
//! | `hold_job`, `update_job`, `renew_job`, `settle_item` | the job's row | whoever changes it; then look at generation and state again |
//! | `claim_job` | the job's row; the rows of its tenant's and identity's turns | nobody for the job: locked ones are passed over; another claim for the same tenant's turn |
//! | `remember_request` | the key in the index | another transaction with the same key; then says what that one stored |
//! | `take_lease` | the lease's row | another taker |
//!
//! Why `FOR KEY SHARE` is enough for a folder: two uploads into it do not wait for each other, and removing the folder
//! waits for both. A rename or move of it changes a unique key and waits too. A change of its attributes does not wait,
//! and need not: who holds the folder relies on its being there, not on its attributes. And a transaction that holds a
//! folder may change the folder's attributes while others hold it, without a deadlock.
//!
//! What the operations of core take, in this order (whoever keeps to it does not deadlock; the rest is tried again). What
//! was read before `lock` has to be read again after it, because another transaction may have committed meanwhile.
//!
//! | operation | `lock` | then |
//! |---|---|---|
//! | begin or resume an upload | `Name`; then `Quota` where there is one | blobs of the version that it changes in place |
//! | make the folders on its way | `Name` of each, from the top down | `hold_folder` of the one that is there |
//! | reserve more | `Quota` | – |
//! | checkpoint, detach, discard | – | the upload's row, blobs |
//! | commit an upload | `Name` | `hold_folder`, `hold_node` of the version it replaces, blobs |
//! | make a folder | `Name` | `hold_folder` of the parent |
//! | remove a file | `Name` | `hold_node`, blobs |
//! | remove a folder | `Name` | `hold_node`, then `has_children` |
//! | rename, move | both `Name`s, and `Tree` where a folder gets another parent | `hold_folder` of the target's folder, `hold_node` of both, blobs |
//! | seal and position | `Other("sequencer")` | – |
//! | sign heads, remove old entries | `Other("audit heads")` | – |
//!
//! Removing a folder against making something in it: the maker holds the folder first, so either it comes first and the
//! remover, having waited, sees the entry (a new statement sees what was committed), or it comes second and finds no folder.

mod deliveries;
mod driver;
mod fault;
mod postgres;
mod rows;
mod sqlite;
mod statements;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use postgres::PostgresLedger;
pub use sqlite::SqliteLedger;
