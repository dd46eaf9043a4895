-- +goose Up
-- The open cases are few among all that ever were.
CREATE INDEX review_case_waiting ON review_case (open_marker, opened_us, id);

-- +goose Down
DROP INDEX review_case_waiting;
