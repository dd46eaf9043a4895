-- +goose Up
-- Requests to our own API, by the client's key. status is 0 and there is no answer while the request runs. Kept for at least 400 days.
CREATE TABLE idempotency (
    id            BIGINT       NOT NULL PRIMARY KEY,
    institution   VARCHAR(64)  NOT NULL,
    account_id    BIGINT       NOT NULL,
    route         VARCHAR(128) NOT NULL,
    idem_key      VARCHAR(128) NOT NULL,
    body_digest   VARCHAR(128) NOT NULL,
    ref           VARCHAR(64)  NOT NULL,
    status        BIGINT       NOT NULL,
    answer_sealed MEDIUMBLOB,
    created_us    BIGINT       NOT NULL,
    CONSTRAINT idempotency_key UNIQUE (account_id, route, idem_key),
    CONSTRAINT idempotency_answer CHECK ((status = 0) = (answer_sealed IS NULL))
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idempotency_age ON idempotency (created_us);

-- +goose Down
DROP TABLE idempotency;
