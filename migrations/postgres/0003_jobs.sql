-- +goose Up
-- Durable work: one row for each thing that is still to be done. owner is empty while nobody holds the job. due_us is the moment from
-- which it may be claimed: run_us when nobody holds it, the end of the lease when somebody does.
CREATE TABLE job (
    id          BIGINT       NOT NULL PRIMARY KEY,
    institution VARCHAR(64)  NOT NULL,
    kind        VARCHAR(32)  NOT NULL,
    ref         VARCHAR(64)  NOT NULL,
    run_us      BIGINT       NOT NULL,
    due_us      BIGINT       NOT NULL,
    attempt     BIGINT       NOT NULL,
    version     BIGINT       NOT NULL,
    owner       VARCHAR(64)  NOT NULL,
    note        VARCHAR(200) NOT NULL,
    created_us  BIGINT       NOT NULL,
    CONSTRAINT job_ref UNIQUE (kind, ref),
    CONSTRAINT job_counts CHECK (attempt >= 0 AND version > 0)
);
CREATE INDEX job_due ON job (due_us, id);

-- Finished work; a thing may have been worked on more than once.
CREATE TABLE job_history (
    id          BIGINT       NOT NULL PRIMARY KEY, -- the job's
    institution VARCHAR(64)  NOT NULL,
    kind        VARCHAR(32)  NOT NULL,
    ref         VARCHAR(64)  NOT NULL,
    attempt     BIGINT       NOT NULL,
    version     BIGINT       NOT NULL,
    owner       VARCHAR(64)  NOT NULL, -- who finished it
    note        VARCHAR(200) NOT NULL,
    created_us  BIGINT       NOT NULL,
    finished_us BIGINT       NOT NULL
);
CREATE INDEX job_history_ref ON job_history (kind, ref);

-- +goose Down
DROP TABLE job_history;
DROP TABLE job;
