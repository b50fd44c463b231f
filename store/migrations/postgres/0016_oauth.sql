-- OAuth 2.0. Whatever lets somebody in is kept as its SHA-256 alone; what counts once is taken by one conditional UPDATE or DELETE.

-- People on the way through the pages of sign-in and consent. A row is one step of one of them.
CREATE TABLE oauth_sign_ins (
    hash       BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT COLLATE "C" NOT NULL,
    identity   TEXT COLLATE "C" NOT NULL,
    login      TEXT COLLATE "C" NOT NULL,
    factors    BIGINT NOT NULL,
    complete   BOOLEAN NOT NULL,
    mark       BYTEA NOT NULL CHECK (length(mark) = 32),
    request    TEXT NOT NULL,                               -- JSON: records::AuthorizationRequest
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX oauth_sign_ins_age ON oauth_sign_ins (expires_at);

-- What people have granted to applications, with the code that was answered. A row stays while anything that came of it could be shown.
CREATE TABLE oauth_grants (
    id              UUID    NOT NULL PRIMARY KEY,
    tenant          TEXT COLLATE "C" NOT NULL,
    client          TEXT COLLATE "C" NOT NULL,
    identity        TEXT COLLATE "C" NOT NULL,
    login           TEXT COLLATE "C" NOT NULL,
    factors         BIGINT NOT NULL,
    mark            BYTEA NOT NULL CHECK (length(mark) = 32),
    scopes          TEXT NOT NULL,
    redirect_uri    TEXT NOT NULL,
    redirect_named  BOOLEAN NOT NULL,
    challenge       TEXT NOT NULL,
    code_hash       BYTEA NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    code_expires_at BIGINT NOT NULL,
    code_spent_at   BIGINT,
    created_at      BIGINT NOT NULL,
    ends_at         BIGINT NOT NULL,
    revoked_at      BIGINT
);
CREATE INDEX oauth_grants_live ON oauth_grants (id) WHERE revoked_at IS NULL AND code_spent_at IS NOT NULL;
CREATE INDEX oauth_grants_age ON oauth_grants (ends_at);

-- The refresh tokens of grants, spent ones too: one that is shown again ends its grant.
CREATE TABLE oauth_refresh_tokens (
    hash       BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT COLLATE "C" NOT NULL,
    grant_id   UUID    NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT
);
CREATE INDEX oauth_refresh_tokens_grant ON oauth_refresh_tokens (grant_id);

CREATE POLICY apart ON oauth_sign_ins USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE oauth_sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON oauth_grants USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE oauth_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON oauth_refresh_tokens USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE oauth_refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_refresh_tokens FORCE ROW LEVEL SECURITY;
