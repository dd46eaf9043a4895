-- +goose Up
-- What two people say of each leg, beside what becomes of the order (the column decision).
ALTER TABLE review_vote ADD COLUMN verdict VARCHAR(300) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE review_vote DROP COLUMN verdict;
