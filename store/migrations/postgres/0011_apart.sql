-- Tenants apart, a second time: the statements' own conditions are the first wall, these policies the second one. The setting
-- causeway.tenant says whose rows a transaction may see and write: a tenant's id, or '*' for the gateway's own work. Where it is not
-- set there are no rows. FORCE, as the gateway owns its tables.

-- A setting that was set for one transaction is empty after it, and the gateway's own trail has an empty name for a tenant: that is
-- nobody's reach.
CREATE FUNCTION reach() RETURNS TEXT LANGUAGE sql STABLE AS $$ SELECT NULLIF(current_setting('causeway.tenant', true), '') $$;

-- Whose content a blob is: whoever's transaction made its row.
ALTER TABLE blobs ADD COLUMN tenant TEXT COLLATE "C" NOT NULL DEFAULT '*';
UPDATE blobs SET tenant = found.tenant FROM (
    SELECT DISTINCT ON (r.blob) r.blob, n.tenant FROM blob_refs r JOIN nodes n ON n.version = r.holder
) AS found WHERE blobs.key = found.blob;
UPDATE blobs SET tenant = found.tenant FROM (
    SELECT DISTINCT ON (r.blob) r.blob, u.tenant FROM blob_refs r JOIN uploads u ON u.id = r.holder
) AS found WHERE blobs.key = found.blob AND blobs.tenant = '*';
ALTER TABLE blobs ALTER COLUMN tenant SET DEFAULT reach();

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['nodes', 'uploads', 'blobs', 'usage', 'events', 'used_codes', 'jobs', 'job_turns', 'keyed_requests'] LOOP
        EXECUTE format('CREATE POLICY apart ON %I USING ((SELECT reach()) IN (''*'', tenant))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audit_entries', 'audit_pending', 'audit_seals'] LOOP
        EXECUTE format('CREATE POLICY apart ON %I USING ((SELECT reach()) IN (''*'', chain))', name);
    END LOOP;
    -- What is the gateway's alone.
    FOREACH name IN ARRAY ARRAY['deliveries', 'leases', 'incarnations'] LOOP
        EXECUTE format('CREATE POLICY apart ON %I USING ((SELECT reach()) = ''*'')', name);
    END LOOP;
END;
$$;
-- Rows that belong to another one: their policy is that one's.
CREATE POLICY apart ON blob_refs USING (EXISTS (SELECT 1 FROM blobs b WHERE b.key = blob));
CREATE POLICY apart ON job_items USING (EXISTS (SELECT 1 FROM jobs j WHERE j.id = job));

DO $$
DECLARE
    name TEXT;
BEGIN
    FOR name IN SELECT tablename FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'apart' LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END;
$$;
