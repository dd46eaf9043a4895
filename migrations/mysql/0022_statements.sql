-- +goose Up
-- Files of other books, as their counterparts wrote them. The same bytes again are the same file.
CREATE TABLE statement_file (
    id          BIGINT       NOT NULL PRIMARY KEY,
    institution VARCHAR(64)  NOT NULL,
    source      VARCHAR(16)  NOT NULL,
    day         VARCHAR(10)  NOT NULL, -- business day in China
    part        VARCHAR(64)  NOT NULL, -- which of several files of that book and day
    name        VARCHAR(200) NOT NULL,
    hash        VARCHAR(80)  NOT NULL, -- SM3 of the bytes
    size_bytes  BIGINT       NOT NULL,
    final       BOOLEAN      NOT NULL, -- the counterpart changes it no more
    is_empty    BOOLEAN      NOT NULL, -- nothing happened that day, and the counterpart said so
    attached    BOOLEAN      NOT NULL, -- evidence of another file, never read
    actor       VARCHAR(64)  NOT NULL,
    kept_us     BIGINT       NOT NULL, -- when these bytes came first
    seen_us     BIGINT       NOT NULL, -- and last
    version     BIGINT       NOT NULL,
    mac         VARCHAR(80)  NOT NULL,
    CONSTRAINT statement_file_once UNIQUE (institution, source, day, part, hash),
    CONSTRAINT statement_file_size CHECK (size_bytes >= 0)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX statement_file_day ON statement_file (institution, day);

-- Their bytes, packed and sealed piece by piece. They are here before the file is; pieces of no file are of one that was broken off.
CREATE TABLE statement_piece (
    id          BIGINT      NOT NULL PRIMARY KEY,
    institution VARCHAR(64) NOT NULL,
    file_id     BIGINT      NOT NULL,
    seq         BIGINT      NOT NULL,
    at_byte     BIGINT      NOT NULL, -- where it begins in the file as it was
    size_bytes  BIGINT      NOT NULL, -- as it was
    body_sealed MEDIUMBLOB  NOT NULL,
    CONSTRAINT statement_piece_seq UNIQUE (file_id, seq)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Every pass over a day's books: what it read, and what it found.
CREATE TABLE recon_run (
    id          BIGINT        NOT NULL PRIMARY KEY,
    institution VARCHAR(64)   NOT NULL,
    day         VARCHAR(10)   NOT NULL,
    seq         BIGINT        NOT NULL,
    began_us    BIGINT        NOT NULL,
    ended_us    BIGINT        NOT NULL,
    files       VARCHAR(8000) NOT NULL, -- their ids, in the order of the evidence's places
    line_count  BIGINT        NOT NULL,
    matched     BIGINT        NOT NULL,
    differences BIGINT        NOT NULL,
    planted     BIGINT        NOT NULL, -- differences put into a copy
    found       BIGINT        NOT NULL, -- and found again
    named       BIGINT        NOT NULL, -- by their right kind
    extra       BIGINT        NOT NULL, -- found, and not put in
    digest      VARCHAR(80)   NOT NULL, -- SM3 of what it found: the same books give the same
    totals      VARCHAR(8000) NOT NULL,
    mac         VARCHAR(80)   NOT NULL,
    CONSTRAINT recon_run_seq UNIQUE (institution, day, seq),
    CONSTRAINT recon_run_counts CHECK (seq > 0 AND line_count >= 0 AND matched >= 0 AND differences >= 0)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Which lines belong together, pile by pile: packed text.
CREATE TABLE recon_evidence (
    id          BIGINT      NOT NULL PRIMARY KEY,
    institution VARCHAR(64) NOT NULL,
    run_id      BIGINT      NOT NULL,
    comparison  VARCHAR(16) NOT NULL,
    key_no      BIGINT      NOT NULL,
    pile        BIGINT      NOT NULL,
    body        MEDIUMBLOB  NOT NULL,
    mac         VARCHAR(80) NOT NULL,
    CONSTRAINT recon_evidence_pile UNIQUE (run_id, comparison, key_no, pile)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What happened to which orders on a day.
CREATE INDEX order_event_day ON order_event (institution, at_us);

-- +goose Down
DROP INDEX order_event_day ON order_event;
DROP TABLE recon_evidence;
DROP TABLE recon_run;
DROP TABLE statement_piece;
DROP TABLE statement_file;
