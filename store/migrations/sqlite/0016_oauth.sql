-- OAuth 2.0. Whatever lets somebody in is kept as its SHA-256 alone; what counts once is taken by one conditional UPDATE or DELETE.

-- People on the way through the pages of sign-in and consent. A row is one step of one of them.
CREATE TABLE oauth_sign_ins (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT    NOT NULL,
    identity   TEXT    NOT NULL,
    login      TEXT    NOT NULL,
    factors    INTEGER NOT NULL,
    complete   INTEGER NOT NULL CHECK (complete IN (0, 1)),
    mark       BLOB    NOT NULL CHECK (length(mark) = 32),
    request    TEXT NOT NULL,                               -- JSON: records::AuthorizationRequest
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_sign_ins_age ON oauth_sign_ins (expires_at);

-- What people have granted to applications, with the code that was answered. A row stays while anything that came of it could be shown.
CREATE TABLE oauth_grants (
    id              BLOB    NOT NULL PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    client          TEXT    NOT NULL,
    identity        TEXT    NOT NULL,
    login           TEXT    NOT NULL,
    factors         INTEGER NOT NULL,
    mark            BLOB    NOT NULL CHECK (length(mark) = 32),
    scopes          TEXT NOT NULL,
    redirect_uri    TEXT NOT NULL,
    redirect_named  INTEGER NOT NULL CHECK (redirect_named IN (0, 1)),
    challenge       TEXT NOT NULL,
    code_hash       BLOB    NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    code_expires_at INTEGER NOT NULL,
    code_spent_at   INTEGER,
    created_at      INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_grants_live ON oauth_grants (id) WHERE revoked_at IS NULL AND code_spent_at IS NOT NULL;
CREATE INDEX oauth_grants_age ON oauth_grants (ends_at);

-- The refresh tokens of grants, spent ones too: one that is shown again ends its grant.
CREATE TABLE oauth_refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT    NOT NULL,
    grant_id   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_refresh_tokens_grant ON oauth_refresh_tokens (grant_id);
