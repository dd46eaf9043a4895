-- +goose Up
-- Data keys, wrapped by a master key that is not in the database. They belong to the installation, not to one institution.
CREATE TABLE data_key (
    id         VARCHAR(32)  NOT NULL PRIMARY KEY, -- "seal-1"
    purpose    VARCHAR(16)  NOT NULL,             -- seal, index, mac
    version    BIGINT       NOT NULL,
    wrapped    MEDIUMBLOB         NOT NULL,
    master_id  VARCHAR(128) NOT NULL,
    active     BOOLEAN      NOT NULL,
    created_us BIGINT       NOT NULL,
    CONSTRAINT data_key_version UNIQUE (purpose, version),
    CONSTRAINT data_key_counts CHECK (version > 0)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE data_key;
