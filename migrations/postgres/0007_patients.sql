-- +goose Up
-- The persons whose bills an account may pay. live is NULL once the account has hidden the person; the orders stay.
CREATE TABLE patient (
    id               BIGINT      NOT NULL PRIMARY KEY,
    institution      VARCHAR(64) NOT NULL,
    account_id       BIGINT      NOT NULL REFERENCES account (id),
    relation         VARCHAR(16) NOT NULL,
    name_sealed      BYTEA       NOT NULL,
    id_number_sealed BYTEA       NOT NULL,
    id_index         VARCHAR(64) NOT NULL,
    phone_sealed     BYTEA,
    his_patient      VARCHAR(64) NOT NULL,
    guardian_consent BOOLEAN     NOT NULL,
    live             SMALLINT,
    created_us       BIGINT      NOT NULL,
    hidden_us        BIGINT      NOT NULL,
    CONSTRAINT patient_once UNIQUE (account_id, id_index, live),
    CONSTRAINT patient_live CHECK (live = 1)
);

-- Agreements given. standing is NULL once withdrawn.
CREATE TABLE consent (
    id           BIGINT       NOT NULL PRIMARY KEY,
    institution  VARCHAR(64)  NOT NULL,
    account_id   BIGINT       NOT NULL REFERENCES account (id),
    kind         VARCHAR(32)  NOT NULL,
    text_version VARCHAR(32)  NOT NULL,
    digest       VARCHAR(128) NOT NULL,
    standing     SMALLINT,
    given_us     BIGINT       NOT NULL,
    withdrawn_us BIGINT       NOT NULL,
    CONSTRAINT consent_once UNIQUE (account_id, kind, text_version, standing),
    CONSTRAINT consent_standing CHECK (standing = 1)
);

-- Patients whom the national platform has identified.
CREATE TABLE binding (
    patient_id  BIGINT      NOT NULL PRIMARY KEY REFERENCES patient (id),
    institution VARCHAR(64) NOT NULL,
    version     BIGINT      NOT NULL,
    verified_us BIGINT      NOT NULL
);

-- Authorisations to pay by insurance: single use, minutes of life.
CREATE TABLE pay_auth (
    id              BIGINT      NOT NULL PRIMARY KEY,
    institution     VARCHAR(64) NOT NULL,
    patient_id      BIGINT      NOT NULL REFERENCES patient (id),
    number_sealed   BYTEA       NOT NULL,
    location_sealed BYTEA,
    usable_us       BIGINT      NOT NULL, -- until then
    created_us      BIGINT      NOT NULL
);
CREATE INDEX pay_auth_patient ON pay_auth (patient_id, id);

-- +goose Down
DROP TABLE pay_auth;
DROP TABLE binding;
DROP TABLE consent;
DROP TABLE patient;
