-- The keys that the gateway signs tokens by. A key is published from its making on, signs from `signs_from` until the next one does, and
-- is believed until `retired_at`; then its row is removed.
CREATE TABLE signing_keys (
    kid          TEXT COLLATE "C" NOT NULL PRIMARY KEY,     -- RFC 7638
    algorithm    TEXT COLLATE "C" NOT NULL,
    public_part  BYTEA            NOT NULL,
    private_part BYTEA            NOT NULL,                 -- PKCS #8; where sealed: nonce, ciphertext and tag of AES-256-GCM
    sealed       BOOLEAN          NOT NULL,
    created_at   BIGINT           NOT NULL,
    signs_from   BIGINT           NOT NULL,
    retired_at   BIGINT
);

-- The grants whose tokens hold no more, until their last one has ended by itself.
CREATE TABLE revoked_grants (
    id         UUID   NOT NULL PRIMARY KEY,
    ends_at    BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);
CREATE INDEX revoked_grants_news ON revoked_grants (revoked_at);
CREATE INDEX revoked_grants_ended ON revoked_grants (ends_at);

-- What OpenID providers last published, so that a restart while one is away keeps nobody out.
CREATE TABLE issuer_keys (
    issuer     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key_set    TEXT             NOT NULL,                   -- JSON, RFC 7517 section 5
    fetched_at BIGINT           NOT NULL
);

-- All of it is the gateway's alone.
CREATE POLICY apart ON signing_keys USING ((SELECT reach()) = '*');
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON revoked_grants USING ((SELECT reach()) = '*');
ALTER TABLE revoked_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE revoked_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON issuer_keys USING ((SELECT reach()) = '*');
ALTER TABLE issuer_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE issuer_keys FORCE ROW LEVEL SECURITY;
