-- +goose Up
-- The persons whose bills an account may pay. live is NULL once the account has hidden the person; the orders stay.
CREATE TABLE patient (
    id               BIGINT      NOT NULL PRIMARY KEY,
    institution      VARCHAR(64) NOT NULL,
    account_id       BIGINT      NOT NULL,
    relation         VARCHAR(16) NOT NULL,
    name_sealed      MEDIUMBLOB        NOT NULL,
    id_number_sealed MEDIUMBLOB        NOT NULL,
    id_index         VARCHAR(64) NOT NULL,
    phone_sealed     MEDIUMBLOB,
    his_patient      VARCHAR(64) NOT NULL,
    guardian_consent BOOLEAN     NOT NULL,
    live             SMALLINT,
    created_us       BIGINT      NOT NULL,
    hidden_us        BIGINT      NOT NULL,
    CONSTRAINT patient_once UNIQUE (account_id, id_index, live),
    CONSTRAINT patient_live CHECK (live = 1),
    CONSTRAINT patient_account FOREIGN KEY (account_id) REFERENCES account (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Agreements given. standing is NULL once withdrawn.
CREATE TABLE consent (
    id           BIGINT       NOT NULL PRIMARY KEY,
    institution  VARCHAR(64)  NOT NULL,
    account_id   BIGINT       NOT NULL,
    kind         VARCHAR(32)  NOT NULL,
    text_version VARCHAR(32)  NOT NULL,
    digest       VARCHAR(128) NOT NULL,
    standing     SMALLINT,
    given_us     BIGINT       NOT NULL,
    withdrawn_us BIGINT       NOT NULL,
    CONSTRAINT consent_once UNIQUE (account_id, kind, text_version, standing),
    CONSTRAINT consent_standing CHECK (standing = 1),
    CONSTRAINT consent_account FOREIGN KEY (account_id) REFERENCES account (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Patients whom the national platform has identified.
CREATE TABLE binding (
    patient_id  BIGINT      NOT NULL PRIMARY KEY,
    institution VARCHAR(64) NOT NULL,
    version     BIGINT      NOT NULL,
    verified_us BIGINT      NOT NULL,
    CONSTRAINT binding_patient FOREIGN KEY (patient_id) REFERENCES patient (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Authorisations to pay by insurance: single use, minutes of life.
CREATE TABLE pay_auth (
    id              BIGINT      NOT NULL PRIMARY KEY,
    institution     VARCHAR(64) NOT NULL,
    patient_id      BIGINT      NOT NULL,
    number_sealed   MEDIUMBLOB        NOT NULL,
    location_sealed MEDIUMBLOB,
    usable_us       BIGINT      NOT NULL, -- until then
    created_us      BIGINT      NOT NULL,
    CONSTRAINT pay_auth_patient FOREIGN KEY (patient_id) REFERENCES patient (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX pay_auth_patient ON pay_auth (patient_id, id);

-- +goose Down
DROP TABLE pay_auth;
DROP TABLE binding;
DROP TABLE consent;
DROP TABLE patient;
