-- +goose Up
-- Why nothing came of a handled notice: a fault's code and its words. Empty otherwise.
ALTER TABLE inbox ADD COLUMN refusal VARCHAR(300) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE inbox DROP COLUMN refusal;
