-- +goose Up
-- Every move of an order and its legs; rows are only added.
CREATE TABLE order_event (
    id                 BIGINT       NOT NULL PRIMARY KEY,
    institution        VARCHAR(64)  NOT NULL,
    order_id           BIGINT       NOT NULL,
    seq                BIGINT       NOT NULL,
    at_us              BIGINT       NOT NULL,
    actor              VARCHAR(64)  NOT NULL,
    subject            VARCHAR(16)  NOT NULL,
    verb               VARCHAR(32)  NOT NULL,
    from_state         VARCHAR(16)  NOT NULL,
    to_state           VARCHAR(16)  NOT NULL,
    about_no           VARCHAR(128) NOT NULL,
    pooled_fund_fen    BIGINT       NOT NULL,
    other_fund_fen     BIGINT       NOT NULL,
    account_fen        BIGINT       NOT NULL,
    family_account_fen BIGINT       NOT NULL,
    hospital_borne_fen BIGINT       NOT NULL,
    cash_fen           BIGINT       NOT NULL,
    uninsured_fen      BIGINT       NOT NULL,
    detail             VARCHAR(500) NOT NULL,
    mac                VARCHAR(80)  NOT NULL,
    CONSTRAINT order_event_seq UNIQUE (order_id, seq),
    CONSTRAINT order_event_parts CHECK (seq > 0 AND pooled_fund_fen >= 0 AND other_fund_fen >= 0 AND account_fen >= 0
        AND family_account_fen >= 0 AND hospital_borne_fen >= 0 AND cash_fen >= 0 AND uninsured_fen >= 0),
    CONSTRAINT order_event_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Double entry: the lines of one event sum to nothing. Debits are positive.
CREATE TABLE ledger_line (
    id          BIGINT      NOT NULL PRIMARY KEY,
    institution VARCHAR(64) NOT NULL,
    order_id    BIGINT      NOT NULL,
    event_id    BIGINT      NOT NULL,
    line_no     BIGINT      NOT NULL,
    account     VARCHAR(32) NOT NULL,
    amount_fen  BIGINT      NOT NULL,
    at_us       BIGINT      NOT NULL,
    mac         VARCHAR(80) NOT NULL,
    CONSTRAINT ledger_line_once UNIQUE (event_id, line_no),
    CONSTRAINT ledger_line_amount CHECK (amount_fen <> 0 AND line_no > 0),
    CONSTRAINT ledger_line_orders FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT ledger_line_order_event FOREIGN KEY (event_id) REFERENCES order_event (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX ledger_line_order ON ledger_line (order_id);
CREATE INDEX ledger_line_day ON ledger_line (institution, at_us);

-- +goose Down
DROP TABLE ledger_line;
DROP TABLE order_event;
