-- Indexes on the condition that both databases have for an upload that still can become a version: to SQLite a longer list
-- is a table in memory.
DROP INDEX uploads_name;
DROP INDEX uploads_owner;
DROP INDEX uploads_holder;
CREATE INDEX uploads_name ON uploads (parent, name) WHERE state NOT IN ('committed', 'discarded');
CREATE INDEX uploads_owner ON uploads (tenant, identity) WHERE state NOT IN ('committed', 'discarded');
CREATE INDEX uploads_holder ON uploads (incarnation) WHERE state NOT IN ('committed', 'discarded');
