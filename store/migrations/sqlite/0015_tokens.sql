-- The keys that the gateway signs tokens by. A key is published from its making on, signs from `signs_from` until the next one does, and
-- is believed until `retired_at`; then its row is removed.
CREATE TABLE signing_keys (
    kid          TEXT    NOT NULL PRIMARY KEY,              -- RFC 7638
    algorithm    TEXT    NOT NULL,
    public_part  BLOB    NOT NULL,
    private_part BLOB    NOT NULL,                          -- PKCS #8; where sealed: nonce, ciphertext and tag of AES-256-GCM
    sealed       INTEGER NOT NULL CHECK (sealed IN (0, 1)),
    created_at   INTEGER NOT NULL,
    signs_from   INTEGER NOT NULL,
    retired_at   INTEGER
) STRICT, WITHOUT ROWID;

-- The grants whose tokens hold no more, until their last one has ended by itself.
CREATE TABLE revoked_grants (
    id         BLOB    NOT NULL PRIMARY KEY,
    ends_at    INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_grants_news ON revoked_grants (revoked_at);
CREATE INDEX revoked_grants_ended ON revoked_grants (ends_at);

-- What OpenID providers last published, so that a restart while one is away keeps nobody out.
CREATE TABLE issuer_keys (
    issuer     TEXT    NOT NULL PRIMARY KEY,
    key_set    TEXT    NOT NULL,                            -- JSON, RFC 7517 section 5
    fetched_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
