//! Advisory locks of a transaction.

use causeway_core::ports::Lock;
use sqlx::PgConnection;

use crate::ledger::driver::Outcome;

/// Takes the locks in the order of their keys, which is the same for every transaction, in one statement: `unnest`
/// yields its rows in the order of the array.
pub(super) async fn take(connection: &mut PgConnection, locks: &[Lock]) -> Outcome<()> {
    let mut keys: Vec<i64> = locks.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_xact_lock(key) FROM unnest($1) AS key").bind(keys).execute(connection).await?;
    Ok(())
}

/// The number of a lock. It must be the same on every node and in every version of the gateway. Two locks with the same
/// number only wait for each other without need; sorting by number and not by name keeps even those in order.
fn key(lock: &Lock) -> i64 {
    let (kind, folder, name) = match lock {
        Lock::Tree(tenant) => (b'T', None, tenant),
        Lock::Quota(tenant) => (b'Q', None, tenant),
        Lock::Name(folder, name) => (b'N', Some(folder), name),
        Lock::Other(name) => (b'O', None, name),
    };
    let folder = folder.map(|id| *id.as_bytes()).unwrap_or_default();
    // FNV-1a, 64 bits.
    let hash = b"causeway"
        .iter()
        .chain([&kind])
        .chain(&folder)
        .chain(name.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn keys_differ_by_kind_folder_and_name_and_never_change() {
        let folder = Uuid::from_u128(7);
        let locks = [
            Lock::Tree("a".into()),
            Lock::Quota("a".into()),
            Lock::Other("a".into()),
            Lock::Name(Uuid::nil(), "a".into()),
            Lock::Name(folder, "a".into()),
            Lock::Name(folder, "b".into()),
        ];
        let mut keys: Vec<i64> = locks.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), locks.len());
    }
}
