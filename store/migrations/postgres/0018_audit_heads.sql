-- What the gateway has signed of the chains of the trail: heads ("it reached this place with this hash") and cuts ("all up to this
-- place was removed when its time was over"). Triggers let entries and seals go that a cut covers, and nothing else. Whoever can
-- write the database can put a cut there, but not sign it: the verification of a chain shows that.
CREATE TABLE audit_heads (
    chain      TEXT COLLATE "C" NOT NULL,
    seq        BIGINT           NOT NULL,
    hash       BYTEA            NOT NULL CHECK (length(hash) = 32),
    at         BIGINT           NOT NULL,
    public_key BYTEA            NOT NULL CHECK (length(public_key) = 32),
    signature  BYTEA            NOT NULL,
    PRIMARY KEY (chain, seq)
);

CREATE TABLE audit_cuts (
    chain      TEXT COLLATE "C" NOT NULL,
    seq        BIGINT           NOT NULL,
    hash       BYTEA            NOT NULL CHECK (length(hash) = 32),
    at         BIGINT           NOT NULL,
    public_key BYTEA            NOT NULL CHECK (length(public_key) = 32),
    signature  BYTEA            NOT NULL,
    PRIMARY KEY (chain, seq)
);

CREATE FUNCTION refuse_uncut_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM audit_seals s JOIN audit_cuts c ON c.chain = s.chain AND c.seq >= s.seq
        WHERE s.entry = OLD.id AND s.chain = OLD.chain
    ) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
CREATE FUNCTION refuse_uncut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_cuts c WHERE c.chain = OLD.chain AND c.seq >= OLD.seq) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
CREATE FUNCTION refuse_last() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_cuts c WHERE c.chain = OLD.chain AND c.seq > OLD.seq) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;

DROP TRIGGER audit_entries_no_change ON audit_entries;
CREATE TRIGGER audit_entries_no_change BEFORE UPDATE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_uncut_entry();
DROP TRIGGER audit_seals_no_change ON audit_seals;
CREATE TRIGGER audit_seals_no_change BEFORE UPDATE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_uncut();
CREATE TRIGGER audit_heads_no_change BEFORE UPDATE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_heads_no_delete BEFORE DELETE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION refuse_last();
CREATE TRIGGER audit_heads_no_truncate BEFORE TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_cuts_no_change BEFORE UPDATE ON audit_cuts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_cuts_no_delete BEFORE DELETE ON audit_cuts
    FOR EACH ROW EXECUTE FUNCTION refuse_last();
CREATE TRIGGER audit_cuts_no_truncate BEFORE TRUNCATE ON audit_cuts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A chain is its tenant's.
CREATE POLICY apart ON audit_heads USING ((SELECT reach()) IN ('*', chain));
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON audit_cuts USING ((SELECT reach()) IN ('*', chain));
ALTER TABLE audit_cuts ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_cuts FORCE ROW LEVEL SECURITY;
