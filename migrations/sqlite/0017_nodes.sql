-- +goose Up
-- Which process may make ids under which number, and until when. Whoever ends gives its number back.
CREATE TABLE node_lease (
    node     BIGINT      NOT NULL PRIMARY KEY,
    owner    VARCHAR(64) NOT NULL,
    version  BIGINT      NOT NULL,
    until_us BIGINT      NOT NULL
);

-- +goose Down
DROP TABLE node_lease;
