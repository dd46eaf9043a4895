-- +goose Up
-- What the senders of notices may use only once, for as long as a message with it would be believed (until_us).
CREATE TABLE inbox_nonce (
    source      VARCHAR(64) NOT NULL,
    nonce       VARCHAR(64) NOT NULL,
    institution VARCHAR(64) NOT NULL,
    until_us    BIGINT      NOT NULL,
    PRIMARY KEY (source, nonce)
);
CREATE INDEX inbox_nonce_until ON inbox_nonce (until_us);

-- +goose Down
DROP TABLE inbox_nonce;
