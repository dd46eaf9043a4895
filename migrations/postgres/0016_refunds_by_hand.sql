-- +goose Up
-- What two people say that the till has settled of a refund that WeChat cannot give back. Why somebody wants a refund is free text: sealed.
-- No version with the open column was ever installed: its texts, and the MACs of rows that have one, are not carried over.
ALTER TABLE refund ADD COLUMN till_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE refund ADD COLUMN till_fen BIGINT NOT NULL DEFAULT 0; -- below zero: taken in
ALTER TABLE refund ADD COLUMN reason_sealed BYTEA;
ALTER TABLE refund DROP COLUMN reason;

-- +goose Down
ALTER TABLE refund ADD COLUMN reason VARCHAR(200) NOT NULL DEFAULT '';
ALTER TABLE refund DROP COLUMN reason_sealed;
ALTER TABLE refund DROP COLUMN till_fen;
ALTER TABLE refund DROP COLUMN till_us;
