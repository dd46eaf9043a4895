-- +goose Up
-- WeChat users at an institution, found by the blind index of the openid. patients counts those that are not hidden, and is the guard
-- of their limit.
CREATE TABLE account (
    id            BIGINT      NOT NULL PRIMARY KEY,
    institution   VARCHAR(64) NOT NULL,
    openid_index  VARCHAR(64) NOT NULL,
    openid_sealed BYTEA       NOT NULL,
    phone_sealed  BYTEA,
    patients      BIGINT      NOT NULL,
    version       BIGINT      NOT NULL,
    created_us    BIGINT      NOT NULL,
    CONSTRAINT account_openid UNIQUE (institution, openid_index),
    CONSTRAINT account_counts CHECK (patients >= 0 AND version > 0)
);

-- Logins, by the SM3 of their token.
CREATE TABLE session (
    token_digest VARCHAR(64) NOT NULL PRIMARY KEY,
    institution  VARCHAR(64) NOT NULL,
    account_id   BIGINT      NOT NULL REFERENCES account (id),
    created_us   BIGINT      NOT NULL,
    expires_us   BIGINT      NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expiry ON session (expires_us);

-- +goose Down
DROP TABLE session;
DROP TABLE account;
