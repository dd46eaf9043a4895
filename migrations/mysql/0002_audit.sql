-- +goose Up
-- One row for every act that an auditor may ask for; rows are only added.
CREATE TABLE audit_record (
    id          BIGINT       NOT NULL PRIMARY KEY,
    institution VARCHAR(64)  NOT NULL,
    at_us       BIGINT       NOT NULL,
    actor       VARCHAR(64)  NOT NULL,
    action      VARCHAR(64)  NOT NULL,
    object      VARCHAR(128) NOT NULL,
    result      VARCHAR(64)  NOT NULL,
    request_id  VARCHAR(64)  NOT NULL,
    detail      VARCHAR(1000) NOT NULL,
    mac         VARCHAR(80)  NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX audit_record_time ON audit_record (institution, at_us);
CREATE INDEX audit_record_object ON audit_record (object, at_us);

-- +goose Down
DROP TABLE audit_record;
