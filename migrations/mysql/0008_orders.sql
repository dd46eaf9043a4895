-- +goose Up
-- One checkout. The parts are all 0 while the order has no quote, and sum to the total from then on.
CREATE TABLE orders (
    id                 BIGINT       NOT NULL PRIMARY KEY,
    institution        VARCHAR(64)  NOT NULL,
    account_id         BIGINT       NOT NULL,
    patient_id         BIGINT       NOT NULL,
    his_patient        VARCHAR(64)  NOT NULL,
    route              VARCHAR(16)  NOT NULL,
    state              VARCHAR(16)  NOT NULL,
    version            BIGINT       NOT NULL,
    created_us         BIGINT       NOT NULL,
    updated_us         BIGINT       NOT NULL,
    total_fen          BIGINT       NOT NULL,
    pooled_fund_fen    BIGINT       NOT NULL,
    other_fund_fen     BIGINT       NOT NULL,
    account_fen        BIGINT       NOT NULL,
    family_account_fen BIGINT       NOT NULL,
    hospital_borne_fen BIGINT       NOT NULL,
    cash_fen           BIGINT       NOT NULL,
    uninsured_fen      BIGINT       NOT NULL,
    insured            BOOLEAN      NOT NULL,
    pay_auth_id        BIGINT       NOT NULL, -- 0 without
    auth_until_us      BIGINT       NOT NULL,
    use_account        BOOLEAN      NOT NULL,
    quoted_until_us    BIGINT       NOT NULL,
    refusal_sealed     MEDIUMBLOB,
    confirmed_us       BIGINT       NOT NULL,
    cancel_asked       BOOLEAN      NOT NULL,
    lock_state         VARCHAR(16)  NOT NULL,
    locked_until_us    BIGINT       NOT NULL,
    post_state         VARCHAR(16)  NOT NULL,
    post_ready         BOOLEAN      NOT NULL,
    posting_no         VARCHAR(64),           -- the HIS's, NULL until it has booked
    receipt_no         VARCHAR(64)  NOT NULL,
    guide_sealed       MEDIUMBLOB,
    posted_us          BIGINT       NOT NULL,
    cause              VARCHAR(32)  NOT NULL,
    mac                VARCHAR(80)  NOT NULL,
    CONSTRAINT orders_posting UNIQUE (institution, posting_no),
    CONSTRAINT orders_version CHECK (version > 0),
    CONSTRAINT orders_parts CHECK (total_fen > 0 AND pooled_fund_fen >= 0 AND other_fund_fen >= 0 AND account_fen >= 0
        AND family_account_fen >= 0 AND hospital_borne_fen >= 0 AND cash_fen >= 0 AND uninsured_fen >= 0),
    CONSTRAINT orders_sum CHECK (total_fen = pooled_fund_fen + other_fund_fen + account_fen + family_account_fen + hospital_borne_fen
            + cash_fen + uninsured_fen
        OR (state NOT IN ('quoted', 'paying', 'settling', 'posting', 'completed') AND pooled_fund_fen + other_fund_fen + account_fen
            + family_account_fen + hospital_borne_fen + cash_fen + uninsured_fen = 0))
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX orders_account ON orders (account_id, id);
CREATE INDEX orders_patient ON orders (patient_id);

-- The bills of an order. live is 1 as long as no other order may be made of the bill, then NULL.
CREATE TABLE order_bill (
    id            BIGINT       NOT NULL PRIMARY KEY,
    institution   VARCHAR(64)  NOT NULL,
    order_id      BIGINT       NOT NULL,
    seq           BIGINT       NOT NULL,
    bill_no       VARCHAR(64)  NOT NULL,
    live          SMALLINT,
    total_fen     BIGINT       NOT NULL,
    digest        VARCHAR(128) NOT NULL,
    detail_sealed MEDIUMBLOB         NOT NULL,
    CONSTRAINT order_bill_live UNIQUE (institution, bill_no, live),
    CONSTRAINT order_bill_once UNIQUE (order_id, bill_no),
    CONSTRAINT order_bill_mark CHECK (live = 1),
    CONSTRAINT order_bill_total CHECK (total_fen > 0),
    CONSTRAINT order_bill_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The insurance leg's attempts. open_marker is NULL once the insurer owes nothing and nothing is asked.
CREATE TABLE settlement (
    id                          BIGINT      NOT NULL PRIMARY KEY,
    institution                 VARCHAR(64) NOT NULL,
    order_id                    BIGINT      NOT NULL,
    seq                         BIGINT      NOT NULL,
    state                       VARCHAR(16) NOT NULL,
    version                     BIGINT      NOT NULL,
    open_marker                 SMALLINT,
    person_no_sealed            MEDIUMBLOB,                 -- 人员编号
    mdtrt_id                    VARCHAR(64) NOT NULL, -- 就诊ID
    insurance_type              VARCHAR(16) NOT NULL,
    coverage_area               VARCHAR(16) NOT NULL,
    visit_no                    VARCHAR(64) NOT NULL,
    visit_ours                  BOOLEAN     NOT NULL,
    batch_no                    VARCHAR(64),
    total_fen                   BIGINT      NOT NULL,
    use_account                 BOOLEAN     NOT NULL,
    fully_self_paid_fen         BIGINT      NOT NULL, -- echoed by 2207
    over_limit_fen              BIGINT      NOT NULL,
    first_self_paid_fen         BIGINT      NOT NULL,
    in_scope_fen                BIGINT      NOT NULL,
    foreseen_pooled_fund_fen    BIGINT      NOT NULL,
    foreseen_other_fund_fen     BIGINT      NOT NULL,
    foreseen_account_fen        BIGINT      NOT NULL,
    foreseen_family_account_fen BIGINT      NOT NULL,
    foreseen_hospital_borne_fen BIGINT      NOT NULL,
    foreseen_cash_fen           BIGINT      NOT NULL,
    foreseen_uninsured_fen      BIGINT      NOT NULL,
    balance_fen                 BIGINT,               -- NULL when not told
    msg_id                      VARCHAR(64),
    lost_msg_id                 VARCHAR(64),
    settles                     BIGINT      NOT NULL,
    restores                    BIGINT      NOT NULL,
    asked_until_us              BIGINT      NOT NULL,
    setl_id                     VARCHAR(64),          -- 结算ID
    actual_pooled_fund_fen      BIGINT      NOT NULL,
    actual_other_fund_fen       BIGINT      NOT NULL,
    actual_account_fen          BIGINT      NOT NULL,
    actual_family_account_fen   BIGINT      NOT NULL,
    actual_hospital_borne_fen   BIGINT      NOT NULL,
    actual_cash_fen             BIGINT      NOT NULL,
    actual_uninsured_fen        BIGINT      NOT NULL,
    settled_us                  BIGINT      NOT NULL,
    clr_optins                  VARCHAR(32) NOT NULL,
    clr_way                     VARCHAR(32) NOT NULL,
    clr_type                    VARCHAR(32) NOT NULL,
    refusal_sealed              MEDIUMBLOB,
    mac                         VARCHAR(80) NOT NULL,
    CONSTRAINT settlement_seq UNIQUE (order_id, seq),
    CONSTRAINT settlement_open UNIQUE (order_id, open_marker),
    CONSTRAINT settlement_batch UNIQUE (institution, batch_no),
    CONSTRAINT settlement_msg UNIQUE (institution, msg_id),
    CONSTRAINT settlement_lost_msg UNIQUE (institution, lost_msg_id),
    CONSTRAINT settlement_setl UNIQUE (institution, setl_id),
    CONSTRAINT settlement_marker CHECK (open_marker = 1),
    CONSTRAINT settlement_counts CHECK (seq > 0 AND version > 0 AND settles >= 0 AND restores >= 0 AND total_fen > 0),
    CONSTRAINT settlement_foreseen_parts CHECK (foreseen_pooled_fund_fen >= 0 AND foreseen_other_fund_fen >= 0
        AND foreseen_account_fen >= 0 AND foreseen_family_account_fen >= 0 AND foreseen_hospital_borne_fen >= 0
        AND foreseen_cash_fen >= 0 AND foreseen_uninsured_fen >= 0),
    CONSTRAINT settlement_foreseen_sum CHECK (foreseen_pooled_fund_fen + foreseen_other_fund_fen + foreseen_account_fen
        + foreseen_family_account_fen + foreseen_hospital_borne_fen + foreseen_cash_fen + foreseen_uninsured_fen IN (0, total_fen)),
    CONSTRAINT settlement_actual_parts CHECK (actual_pooled_fund_fen >= 0 AND actual_other_fund_fen >= 0 AND actual_account_fen >= 0
        AND actual_family_account_fen >= 0 AND actual_hospital_borne_fen >= 0 AND actual_cash_fen >= 0 AND actual_uninsured_fen >= 0),
    CONSTRAINT settlement_actual_sum CHECK (actual_pooled_fund_fen + actual_other_fund_fen + actual_account_fen
        + actual_family_account_fen + actual_hospital_borne_fen + actual_cash_fen + actual_uninsured_fen IN (0, total_fen)),
    CONSTRAINT settlement_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The cash leg's attempts. open_marker is NULL once no money is held and nothing is asked.
CREATE TABLE payment (
    id                    BIGINT      NOT NULL PRIMARY KEY,
    institution           VARCHAR(64) NOT NULL,
    order_id              BIGINT      NOT NULL,
    seq                   BIGINT      NOT NULL,
    state                 VARCHAR(16) NOT NULL,
    version               BIGINT      NOT NULL,
    open_marker           SMALLINT,
    out_trade_no          VARCHAR(32) NOT NULL,
    amount_fen            BIGINT      NOT NULL,
    request_sealed        MEDIUMBLOB,
    expires_us            BIGINT      NOT NULL,
    prepay_id_sealed      MEDIUMBLOB,
    asked                 BIGINT      NOT NULL,
    doubts                BIGINT      NOT NULL,
    transaction_id        VARCHAR(64),
    paid_us               BIGINT      NOT NULL,
    out_refund_no         VARCHAR(64),
    refund_request_sealed MEDIUMBLOB,
    refund_id             VARCHAR(64),
    refund_reserved_fen   BIGINT      NOT NULL,
    refund_asked          BIGINT      NOT NULL,
    refunded_us           BIGINT      NOT NULL,
    mac                   VARCHAR(80) NOT NULL,
    CONSTRAINT payment_seq UNIQUE (order_id, seq),
    CONSTRAINT payment_open UNIQUE (order_id, open_marker),
    CONSTRAINT payment_out_trade_no UNIQUE (institution, out_trade_no),
    CONSTRAINT payment_transaction UNIQUE (institution, transaction_id),
    CONSTRAINT payment_out_refund_no UNIQUE (institution, out_refund_no),
    CONSTRAINT payment_refund UNIQUE (institution, refund_id),
    CONSTRAINT payment_marker CHECK (open_marker = 1),
    CONSTRAINT payment_counts CHECK (seq > 0 AND version > 0 AND asked >= 0 AND doubts >= 0 AND refund_asked >= 0),
    CONSTRAINT payment_amount CHECK (amount_fen > 0),
    CONSTRAINT payment_refund_reserved CHECK (refund_reserved_fen >= 0 AND refund_reserved_fen <= amount_fen),
    CONSTRAINT payment_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE payment;
DROP TABLE settlement;
DROP TABLE order_bill;
DROP TABLE orders;
