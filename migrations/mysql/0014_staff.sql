-- +goose Up
-- The hospital's own people. institution is '' for all of them; roles are sorted, with commas between. totp_used is the newest step of the
-- second factor that has opened, so that no code opens twice.
CREATE TABLE staff (
    id              BIGINT      NOT NULL PRIMARY KEY,
    institution     VARCHAR(64) NOT NULL,
    login           VARCHAR(32) NOT NULL,
    name_sealed     MEDIUMBLOB        NOT NULL,
    roles           VARCHAR(64) NOT NULL,
    password_sealed MEDIUMBLOB        NOT NULL, -- an argon2id hash
    password_once   BOOLEAN     NOT NULL, -- ours, to be changed before anything else
    totp_sealed     MEDIUMBLOB        NOT NULL,
    totp_used       BIGINT      NOT NULL,
    state           VARCHAR(16) NOT NULL,
    failures        BIGINT      NOT NULL,
    locked_us       BIGINT      NOT NULL, -- until then
    version         BIGINT      NOT NULL,
    created_us      BIGINT      NOT NULL,
    mac             VARCHAR(80) NOT NULL,
    CONSTRAINT staff_login UNIQUE (login),
    CONSTRAINT staff_counts CHECK (failures >= 0 AND totp_used >= 0 AND version > 0)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE staff;
