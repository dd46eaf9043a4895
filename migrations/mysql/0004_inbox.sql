-- +goose Up
-- Outside messages, verified, stored before they are acknowledged. handled_us is 0 until somebody has acted on them.
CREATE TABLE inbox (
    id          BIGINT       NOT NULL PRIMARY KEY,
    institution VARCHAR(64)  NOT NULL,
    source      VARCHAR(64)  NOT NULL,
    notice_id   VARCHAR(128) NOT NULL,
    kind        VARCHAR(64)  NOT NULL,
    about_no    VARCHAR(64)  NOT NULL,
    body_sealed MEDIUMBLOB         NOT NULL,
    received_us BIGINT       NOT NULL,
    handled_us  BIGINT       NOT NULL,
    CONSTRAINT inbox_notice UNIQUE (source, notice_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX inbox_unread ON inbox (handled_us, received_us, id);

-- +goose Down
DROP TABLE inbox;
