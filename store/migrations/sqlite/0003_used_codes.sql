-- The time-based codes (RFC 6238) that logins have used: each counts once, on every node and over restarts. Rows are swept soon
-- after their codes have lapsed.
CREATE TABLE used_codes (
    tenant  TEXT    NOT NULL,
    login   TEXT    NOT NULL,
    step    INTEGER NOT NULL,                               -- the code's moment, in steps of 30 seconds since 1970
    used_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, login, step)
) STRICT, WITHOUT ROWID;
