-- +goose Up
-- Giving an order, or a part of it, back. What is reserved is bounded in the UPDATE itself, by what the insurer saw and by what it never saw.
ALTER TABLE orders ADD COLUMN refund_insured_fen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN refund_uninsured_fen BIGINT NOT NULL DEFAULT 0;

-- Money on its way back, under one number at a time.
ALTER TABLE payment ADD COLUMN refund_asked_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN refund_numbers BIGINT NOT NULL DEFAULT 0; -- how many were made, dead ones too
ALTER TABLE payment ADD COLUMN refund_doubts BIGINT NOT NULL DEFAULT 0;

ALTER TABLE settlement ADD COLUMN anew BOOLEAN NOT NULL DEFAULT FALSE;     -- of what a refund leaves insured
ALTER TABLE mixed_order ADD COLUMN away_until_us BIGINT NOT NULL DEFAULT 0; -- a create call without an answer may still arrive before then

CREATE TABLE refund (
    id                        BIGINT       NOT NULL PRIMARY KEY, -- the refund number that the HIS sees
    institution               VARCHAR(64)  NOT NULL,
    order_id                  BIGINT       NOT NULL,
    seq                       BIGINT       NOT NULL,
    state                     VARCHAR(16)  NOT NULL,
    version                   BIGINT       NOT NULL,
    asker                     VARCHAR(16)  NOT NULL,
    actor                     VARCHAR(64)  NOT NULL,
    request_key               VARCHAR(160) NOT NULL,
    his_refund_no             VARCHAR(64),
    reason                    VARCHAR(200) NOT NULL,
    note                      BOOLEAN      NOT NULL, -- the window has handed the money back
    whole                     BOOLEAN      NOT NULL,
    lines_sealed              MEDIUMBLOB         NOT NULL,
    insured_fen               BIGINT       NOT NULL,
    uninsured_fen             BIGINT       NOT NULL,
    asked_us                  BIGINT       NOT NULL,
    before_pooled_fund_fen    BIGINT       NOT NULL,
    before_other_fund_fen     BIGINT       NOT NULL,
    before_account_fen        BIGINT       NOT NULL,
    before_family_account_fen BIGINT       NOT NULL,
    before_hospital_borne_fen BIGINT       NOT NULL,
    before_cash_fen           BIGINT       NOT NULL,
    before_uninsured_fen      BIGINT       NOT NULL,
    rest_pooled_fund_fen      BIGINT       NOT NULL,
    rest_other_fund_fen       BIGINT       NOT NULL,
    rest_account_fen          BIGINT       NOT NULL,
    rest_family_account_fen   BIGINT       NOT NULL,
    rest_hospital_borne_fen   BIGINT       NOT NULL,
    rest_cash_fen             BIGINT       NOT NULL,
    rest_uninsured_fen        BIGINT       NOT NULL,
    desk                      VARCHAR(16)  NOT NULL,
    held_us                   BIGINT       NOT NULL,
    insured_us                BIGINT       NOT NULL,
    cash_us                   BIGINT       NOT NULL,
    told_us                   BIGINT       NOT NULL,
    done_us                   BIGINT       NOT NULL,
    out_refund_no             VARCHAR(64),
    refund_id                 VARCHAR(64),
    refund_request_sealed     MEDIUMBLOB,
    cash_fen                  BIGINT       NOT NULL,
    cash_asked                BIGINT       NOT NULL,
    cash_asked_us             BIGINT       NOT NULL,
    cash_numbers              BIGINT       NOT NULL,
    cash_doubts               BIGINT       NOT NULL,
    cash_returned_us          BIGINT       NOT NULL,
    settlement_id             BIGINT       NOT NULL, -- of what remains insured; 0 without
    foreseen                  BOOLEAN      NOT NULL,
    auth_since_us             BIGINT       NOT NULL, -- waits for the patient's authorisation
    dropping                  BOOLEAN      NOT NULL,
    booking_no                VARCHAR(64),           -- 退费流水号
    rebilled                  VARCHAR(2000) NOT NULL,
    cause                     VARCHAR(32)  NOT NULL,
    mac                       VARCHAR(80)  NOT NULL,
    CONSTRAINT refund_seq UNIQUE (order_id, seq),
    CONSTRAINT refund_request UNIQUE (order_id, request_key),
    CONSTRAINT refund_his UNIQUE (institution, his_refund_no),
    CONSTRAINT refund_out_refund_no UNIQUE (institution, out_refund_no),
    CONSTRAINT refund_wechat UNIQUE (institution, refund_id),
    CONSTRAINT refund_booking UNIQUE (institution, booking_no),
    CONSTRAINT refund_counts CHECK (seq > 0 AND version > 0 AND cash_asked >= 0 AND cash_numbers >= 0 AND cash_doubts >= 0),
    CONSTRAINT refund_amounts CHECK (insured_fen >= 0 AND uninsured_fen >= 0 AND insured_fen + uninsured_fen > 0 AND cash_fen >= 0),
    CONSTRAINT refund_before CHECK (before_pooled_fund_fen >= 0 AND before_other_fund_fen >= 0 AND before_account_fen >= 0
        AND before_family_account_fen >= 0 AND before_hospital_borne_fen >= 0 AND before_cash_fen >= 0 AND before_uninsured_fen >= 0),
    CONSTRAINT refund_rest CHECK (rest_pooled_fund_fen >= 0 AND rest_other_fund_fen >= 0 AND rest_account_fen >= 0
        AND rest_family_account_fen >= 0 AND rest_hospital_borne_fen >= 0 AND rest_cash_fen >= 0 AND rest_uninsured_fen >= 0),
    CONSTRAINT refund_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE refund;
ALTER TABLE mixed_order DROP COLUMN away_until_us;
ALTER TABLE settlement DROP COLUMN anew;
ALTER TABLE payment DROP COLUMN refund_doubts;
ALTER TABLE payment DROP COLUMN refund_numbers;
ALTER TABLE payment DROP COLUMN refund_asked_us;
ALTER TABLE orders DROP COLUMN refund_uninsured_fen;
ALTER TABLE orders DROP COLUMN refund_insured_fen;
