//! What somebody does who has the database in hands, and where it has to be found.

use causeway_core::audit::{Breach, GENESIS, Trust, link, verify_chain};
use causeway_core::ports::Reach;
use causeway_core::records::HeadKind;

use super::{Subject, head, sealed, write};

/// Entries of the chain that is tampered with. A head is signed at its end.
const LENGTH: i64 = 8;

/// One thing that somebody does.
pub(in crate::ledger) struct Tampering {
    pub(in crate::ledger) name: &'static str,
    /// What both databases understand; the triggers are out of the way. `{new}` is a new id, `{text:…}` the body as text.
    sql: &'static [&'static str],
    broken_at: i64,
    breach: Breach,
}

/// How the dialects differ here: a new id, and a body in which a word is replaced.
pub(in crate::ledger) struct Dialect {
    pub(in crate::ledger) new: &'static str,
    pub(in crate::ledger) renamed: &'static str,
    /// What stands around bytes in hexadecimal.
    pub(in crate::ledger) bytes: [&'static str; 2],
}

impl Tampering {
    /// The statements.
    pub(in crate::ledger) fn statements(&self, dialect: &Dialect) -> Vec<String> {
        let said = |sql: &&str| sql.replace("{new}", dialect.new).replace("{renamed}", dialect.renamed);
        self.sql.iter().map(said).collect()
    }

    /// Panics unless it is found where it is.
    pub(in crate::ledger) async fn is_found(&self, ledger: &Subject, trust: &Trust) {
        let found = verify_chain(ledger.as_ref(), "acme", trust).await.unwrap();
        let expected = (false, Some(self.broken_at), Some(self.breach));
        assert_eq!((found.valid, found.broken_at, found.breach), expected, "{}: {found:?}", self.name);
    }
}

/// A chain that holds, with a head at its end; and what it is verified by.
pub(in crate::ledger) async fn whole(ledger: &Subject) -> Trust {
    let hashes = sealed(ledger, "acme", LENGTH).await;
    let last = head(HeadKind::Head, "acme", LENGTH, hashes[LENGTH as usize]);
    write!(ledger, [last], |tx| tx.insert_audit_head(&last).await).unwrap();
    let trust = Trust { keys: vec![last.key], kept: vec![last] };
    let found = verify_chain(ledger.as_ref(), "acme", &trust).await.unwrap();
    assert_eq!((found.valid, found.sealed, found.signed), (true, LENGTH as u64, LENGTH), "{found:?}");
    trust
}

/// An entry is changed, as far as one can see it, and what was signed of the chain in the ledger is removed.
pub(in crate::ledger) fn before_resealing(dialect: &Dialect) -> [String; 3] {
    let third = "id = (SELECT entry FROM audit_seals WHERE seq = 3)";
    [
        format!("UPDATE audit_entries SET body = {} WHERE {third}", dialect.renamed),
        format!("UPDATE audit_entries SET operation = 'delete' WHERE {third}"),
        "DELETE FROM audit_heads".to_owned(),
    ]
}

/// All of the chain is sealed anew, so that every hash follows from what is there.
pub(in crate::ledger) async fn resealing(ledger: &Subject, dialect: &Dialect) -> Vec<String> {
    let mut previous = GENESIS;
    let mut statements = Vec::new();
    for (seal, record) in ledger.read(Reach::Gateway).await.unwrap().seals("acme", 0, 100).await.unwrap() {
        previous = link(&previous, &record.unwrap().body);
        let hash = previous.iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
        let [before, behind] = dialect.bytes;
        statements.push(format!("UPDATE audit_seals SET hash = {before}{hash}{behind} WHERE seq = {}", seal.seq));
    }
    statements
}

/// Panics unless a head that was kept elsewhere shows it; nothing else can.
pub(in crate::ledger) async fn resealed_is_found(ledger: &Subject, trust: &Trust) {
    let unaware = Trust { kept: Vec::new(), ..trust.clone() };
    assert!(verify_chain(ledger.as_ref(), "acme", &unaware).await.unwrap().valid, "the chain holds by itself");
    let found = verify_chain(ledger.as_ref(), "acme", trust).await.unwrap();
    assert_eq!((found.broken_at, found.breach, found.signed), (Some(LENGTH), Some(Breach::Rewritten), 0));
}

/// The list.
pub(in crate::ledger) fn tamperings() -> Vec<Tampering> {
    let one = |name, sql, broken_at, breach| Tampering { name, sql, broken_at, breach };
    vec![
        one(
            "an entry's bytes are changed",
            &["UPDATE audit_entries SET body = {renamed} WHERE id = (SELECT entry FROM audit_seals WHERE seq = 3)"],
            3,
            Breach::Changed,
        ),
        one(
            "what an entry is found by is changed",
            &["UPDATE audit_entries SET outcome = 'denied' WHERE id = (SELECT entry FROM audit_seals WHERE seq = 4)"],
            4,
            Breach::Changed,
        ),
        one(
            "an entry is removed",
            &["DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 5)"],
            5,
            Breach::Missing,
        ),
        one(
            "the first entry is removed with its seal",
            &[
                "DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 1)",
                "DELETE FROM audit_seals WHERE seq = 1",
            ],
            1,
            Breach::Missing,
        ),
        one(
            "an entry is removed with its seal",
            &[
                "DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 5)",
                "DELETE FROM audit_seals WHERE seq = 5",
            ],
            5,
            Breach::Missing,
        ),
        one(
            "an entry is removed and the gap is closed",
            &[
                "DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 5)",
                "DELETE FROM audit_seals WHERE seq = 5",
                "UPDATE audit_seals SET seq = -seq WHERE seq > 5",
                "UPDATE audit_seals SET seq = -seq - 1 WHERE seq < 0",
            ],
            5,
            Breach::Changed,
        ),
        one(
            "two entries are swapped",
            &[
                "UPDATE audit_seals SET seq = -2 WHERE seq = 2",
                "UPDATE audit_seals SET seq = 2 WHERE seq = 6",
                "UPDATE audit_seals SET seq = 6 WHERE seq = -2",
            ],
            2,
            Breach::Changed,
        ),
        one(
            "an entry is inserted among the others",
            &[
                "UPDATE audit_seals SET seq = -seq WHERE seq > 3",
                "UPDATE audit_seals SET seq = -seq + 1 WHERE seq < 0",
                "INSERT INTO audit_entries (id, chain, at, identity, login, operation, outcome, path, protocol, body) \
                 SELECT {new}, chain, at, identity, login, operation, outcome, path, protocol, body FROM audit_entries \
                 WHERE id = (SELECT entry FROM audit_seals WHERE seq = 3)",
                "INSERT INTO audit_seals (chain, seq, entry, hash) SELECT 'acme', 4, e.id, s.hash FROM audit_entries e, audit_seals s \
                 WHERE s.seq = 3 AND e.id NOT IN (SELECT entry FROM audit_seals)",
            ],
            4,
            Breach::Changed,
        ),
        one(
            "an entry is inserted beside the chain",
            &["INSERT INTO audit_entries (id, chain, at, identity, login, operation, outcome, path, protocol, body) \
                 SELECT {new}, chain, at, identity, login, operation, outcome, path, protocol, body FROM audit_entries \
                 WHERE id = (SELECT entry FROM audit_seals WHERE seq = 3)"],
            LENGTH + 1,
            Breach::Inserted,
        ),
        one(
            "a seal is changed",
            &["UPDATE audit_seals SET hash = (SELECT hash FROM audit_seals WHERE seq = 1) WHERE seq = 7"],
            7,
            Breach::Changed,
        ),
        one(
            "the tail is cut off",
            &[
                "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE seq > 6)",
                "DELETE FROM audit_seals WHERE seq > 6",
            ],
            7,
            Breach::Truncated,
        ),
        one(
            "the tail is cut off with the head that was signed of it",
            &[
                "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE seq > 6)",
                "DELETE FROM audit_seals WHERE seq > 6",
                "DELETE FROM audit_heads",
            ],
            7,
            Breach::Truncated,
        ),
        one(
            "everything is removed",
            &["DELETE FROM audit_entries", "DELETE FROM audit_seals", "DELETE FROM audit_heads"],
            1,
            Breach::Truncated,
        ),
        one(
            "the beginning is removed behind a cut that nobody signed",
            &[
                "INSERT INTO audit_cuts (chain, seq, hash, at, public_key, signature) \
                 SELECT h.chain, s.seq, s.hash, h.at, h.public_key, h.signature FROM audit_heads h, audit_seals s WHERE s.seq = 3",
                "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE seq <= 3)",
                "DELETE FROM audit_seals WHERE seq <= 3",
            ],
            1,
            Breach::Missing,
        ),
        one("a head is moved", &["UPDATE audit_heads SET seq = 6"], 6, Breach::Forged),
    ]
}
