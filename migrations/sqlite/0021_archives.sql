-- +goose Up
-- A HIS merges archives: the patients of one are found by its number.
CREATE INDEX patient_archive ON patient (institution, his_patient);

-- +goose Down
DROP INDEX patient_archive;
