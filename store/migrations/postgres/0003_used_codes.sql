-- The time-based codes (RFC 6238) that logins have used: each counts once, on every node and over restarts. Rows are swept soon
-- after their codes have lapsed.
CREATE TABLE used_codes (
    tenant  TEXT COLLATE "C" NOT NULL,
    login   TEXT COLLATE "C" NOT NULL,
    step    BIGINT           NOT NULL,                      -- the code's moment, in steps of 30 seconds since 1970
    used_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant, login, step)
);
