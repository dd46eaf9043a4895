-- +goose Up
-- Orders that only people can judge. open_marker is NULL once the order has left review.
CREATE TABLE review_case (
    id          BIGINT      NOT NULL PRIMARY KEY,
    institution VARCHAR(64) NOT NULL,
    order_id    BIGINT      NOT NULL REFERENCES orders (id),
    cause       VARCHAR(32) NOT NULL,
    open_marker SMALLINT,
    version     BIGINT      NOT NULL,
    opened_us   BIGINT      NOT NULL,
    closed_us   BIGINT      NOT NULL,
    outcome     VARCHAR(16) NOT NULL, -- the order's state after review
    CONSTRAINT review_case_open UNIQUE (order_id, open_marker),
    CONSTRAINT review_case_marker CHECK (open_marker = 1)
);
CREATE INDEX review_case_age ON review_case (institution, open_marker, opened_us);

-- One vote for each position (maker, checker), each by another person.
CREATE TABLE review_vote (
    id          BIGINT       NOT NULL PRIMARY KEY,
    institution VARCHAR(64)  NOT NULL,
    case_id     BIGINT       NOT NULL REFERENCES review_case (id),
    person      VARCHAR(64)  NOT NULL,
    position    VARCHAR(16)  NOT NULL,
    decision    VARCHAR(32)  NOT NULL,
    reason      VARCHAR(500) NOT NULL,
    at_us       BIGINT       NOT NULL,
    mac         VARCHAR(80)  NOT NULL,
    CONSTRAINT review_vote_person UNIQUE (case_id, person),
    CONSTRAINT review_vote_position UNIQUE (case_id, position)
);

-- +goose Down
DROP TABLE review_vote;
DROP TABLE review_case;
