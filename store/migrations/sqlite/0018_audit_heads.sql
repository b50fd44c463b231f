-- What the gateway has signed of the chains of the trail: heads ("it reached this place with this hash") and cuts ("all up to this
-- place was removed when its time was over"). Triggers let entries and seals go that a cut covers, and nothing else. Whoever can
-- write the database can put a cut there, but not sign it: the verification of a chain shows that.
CREATE TABLE audit_heads (
    chain      TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    at         INTEGER NOT NULL,
    public_key BLOB    NOT NULL CHECK (length(public_key) = 32),
    signature  BLOB    NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_cuts (
    chain      TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    at         INTEGER NOT NULL,
    public_key BLOB    NOT NULL CHECK (length(public_key) = 32),
    signature  BLOB    NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;

DROP TRIGGER audit_entries_no_delete;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
WHEN NOT EXISTS (
    SELECT 1 FROM audit_seals s JOIN audit_cuts c ON c.chain = s.chain AND c.seq >= s.seq WHERE s.entry = OLD.id AND s.chain = OLD.chain
)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
DROP TRIGGER audit_seals_no_delete;
CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON audit_seals
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts c WHERE c.chain = OLD.chain AND c.seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit seals are append-only');
END;

-- INSERT OR REPLACE removes a row without the triggers of its removal.
CREATE TRIGGER audit_entries_no_replace BEFORE INSERT ON audit_entries
WHEN EXISTS (SELECT 1 FROM audit_entries WHERE ord = NEW.ord) OR EXISTS (SELECT 1 FROM audit_entries WHERE chain = NEW.chain AND id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
CREATE TRIGGER audit_seals_no_replace BEFORE INSERT ON audit_seals
WHEN EXISTS (SELECT 1 FROM audit_seals WHERE chain = NEW.chain AND seq = NEW.seq) OR EXISTS (SELECT 1 FROM audit_seals WHERE entry = NEW.entry)
BEGIN
    SELECT RAISE(ABORT, 'audit seals are append-only');
END;

CREATE TRIGGER audit_heads_no_update BEFORE UPDATE ON audit_heads
BEGIN
    SELECT RAISE(ABORT, 'audit heads are append-only');
END;
CREATE TRIGGER audit_heads_no_delete BEFORE DELETE ON audit_heads
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts c WHERE c.chain = OLD.chain AND c.seq > OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit heads are append-only');
END;
CREATE TRIGGER audit_heads_no_replace BEFORE INSERT ON audit_heads
WHEN EXISTS (SELECT 1 FROM audit_heads WHERE chain = NEW.chain AND seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit heads are append-only');
END;
CREATE TRIGGER audit_cuts_no_update BEFORE UPDATE ON audit_cuts
BEGIN
    SELECT RAISE(ABORT, 'audit cuts are append-only');
END;
CREATE TRIGGER audit_cuts_no_delete BEFORE DELETE ON audit_cuts
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts c WHERE c.chain = OLD.chain AND c.seq > OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit cuts are append-only');
END;
CREATE TRIGGER audit_cuts_no_replace BEFORE INSERT ON audit_cuts
WHEN EXISTS (SELECT 1 FROM audit_cuts WHERE chain = NEW.chain AND seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit cuts are append-only');
END;
