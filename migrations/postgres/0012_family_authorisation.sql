-- +goose Up
-- 亲情付: an authorisation that another person gave for a relative. He pays.
ALTER TABLE pay_auth ADD COLUMN family BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE pay_auth ADD COLUMN payer_name_sealed BYTEA;
ALTER TABLE pay_auth ADD COLUMN payer_id_sealed BYTEA;

-- +goose Down
ALTER TABLE pay_auth DROP COLUMN payer_id_sealed;
ALTER TABLE pay_auth DROP COLUMN payer_name_sealed;
ALTER TABLE pay_auth DROP COLUMN family;
