-- +goose Up
-- The insurance leg at the mobile-payment centre, and WeChat's mixed order.
ALTER TABLE orders ADD COLUMN renew BOOLEAN NOT NULL DEFAULT FALSE; -- waits for a new authorisation

ALTER TABLE settlement ADD COLUMN med_org_ord VARCHAR(64);           -- ours; WeChat's serial_no
ALTER TABLE settlement ADD COLUMN pay_ord_id VARCHAR(64);            -- 支付订单号
ALTER TABLE settlement ADD COLUMN pay_token_sealed MEDIUMBLOB;
ALTER TABLE settlement ADD COLUMN ec_token_sealed MEDIUMBLOB;
ALTER TABLE settlement ADD COLUMN revs_token_sealed MEDIUMBLOB;            -- 冲正授权
ALTER TABLE settlement ADD COLUMN uploaded_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN org_biz_ser VARCHAR(64);
ALTER TABLE settlement ADD COLUMN fee_sum_fen BIGINT NOT NULL DEFAULT 0; -- the centre's own figures, as read
ALTER TABLE settlement ADD COLUMN fund_pay_fen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN psn_acct_pay_fen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN oth_fee_fen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN own_pay_fen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN ord_stas BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN app_refd_sn VARCHAR(64);
ALTER TABLE settlement ADD COLUMN app_refd_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlement ADD COLUMN handed_over BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE settlement ADD COLUMN doubts BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX settlement_med_org_ord ON settlement (institution, med_org_ord);
CREATE UNIQUE INDEX settlement_pay_ord_id ON settlement (institution, pay_ord_id);
CREATE UNIQUE INDEX settlement_org_biz_ser ON settlement (institution, org_biz_ser);
CREATE UNIQUE INDEX settlement_app_refd_sn ON settlement (institution, app_refd_sn);

-- Both legs under one password. open_marker is NULL once WeChat holds nothing and nothing is asked.
CREATE TABLE mixed_order (
    id                 BIGINT      NOT NULL PRIMARY KEY,
    institution        VARCHAR(64) NOT NULL,
    order_id           BIGINT      NOT NULL,
    seq                BIGINT      NOT NULL,
    state              VARCHAR(16) NOT NULL,
    version            BIGINT      NOT NULL,
    open_marker        SMALLINT,
    out_trade_no       VARCHAR(32) NOT NULL, -- the cash order's, where there is one
    serial_no          VARCHAR(64) NOT NULL, -- med_org_ord of the upload
    pay_order_id       VARCHAR(64) NOT NULL,
    total_fen          BIGINT      NOT NULL,
    gov_fen            BIGINT      NOT NULL,
    self_fen           BIGINT      NOT NULL, -- 个人账户, not cash
    other_fen          BIGINT      NOT NULL,
    cash_fen           BIGINT      NOT NULL,
    added_fen          BIGINT      NOT NULL,
    reduced_fen        BIGINT      NOT NULL,
    wechat_fen         BIGINT      NOT NULL,
    request_sealed     MEDIUMBLOB        NOT NULL,
    expires_us         BIGINT      NOT NULL,
    mix_trade_no       VARCHAR(64),
    asked              BIGINT      NOT NULL,
    doubts             BIGINT      NOT NULL,
    typed_us           BIGINT      NOT NULL,
    refused_no         VARCHAR(32) NOT NULL, -- the digits at the end of Request-ID
    fail_reason_sealed MEDIUMBLOB,
    paid_us            BIGINT      NOT NULL,
    notice_sealed      MEDIUMBLOB,
    noticed_us         BIGINT      NOT NULL,
    mac                VARCHAR(80) NOT NULL,
    CONSTRAINT mixed_order_seq UNIQUE (order_id, seq),
    CONSTRAINT mixed_order_open UNIQUE (order_id, open_marker),
    CONSTRAINT mixed_order_out_trade_no UNIQUE (institution, out_trade_no),
    CONSTRAINT mixed_order_mix_trade_no UNIQUE (institution, mix_trade_no),
    CONSTRAINT mixed_order_marker CHECK (open_marker = 1),
    CONSTRAINT mixed_order_counts CHECK (seq > 0 AND version > 0 AND asked >= 0 AND doubts >= 0),
    CONSTRAINT mixed_order_parts CHECK (total_fen > 0 AND gov_fen >= 0 AND self_fen >= 0 AND other_fen >= 0 AND cash_fen >= 0
        AND added_fen >= 0 AND reduced_fen >= 0 AND wechat_fen >= 0),
    CONSTRAINT mixed_order_insured CHECK (total_fen = gov_fen + self_fen + other_fen + cash_fen + added_fen),
    CONSTRAINT mixed_order_wechat CHECK (wechat_fen = cash_fen + added_fen - reduced_fen),
    CONSTRAINT mixed_order_orders FOREIGN KEY (order_id) REFERENCES orders (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE mixed_order;
DROP INDEX settlement_app_refd_sn ON settlement;
DROP INDEX settlement_org_biz_ser ON settlement;
DROP INDEX settlement_pay_ord_id ON settlement;
DROP INDEX settlement_med_org_ord ON settlement;
ALTER TABLE settlement DROP COLUMN doubts;
ALTER TABLE settlement DROP COLUMN handed_over;
ALTER TABLE settlement DROP COLUMN app_refd_us;
ALTER TABLE settlement DROP COLUMN app_refd_sn;
ALTER TABLE settlement DROP COLUMN ord_stas;
ALTER TABLE settlement DROP COLUMN own_pay_fen;
ALTER TABLE settlement DROP COLUMN oth_fee_fen;
ALTER TABLE settlement DROP COLUMN psn_acct_pay_fen;
ALTER TABLE settlement DROP COLUMN fund_pay_fen;
ALTER TABLE settlement DROP COLUMN fee_sum_fen;
ALTER TABLE settlement DROP COLUMN org_biz_ser;
ALTER TABLE settlement DROP COLUMN uploaded_us;
ALTER TABLE settlement DROP COLUMN revs_token_sealed;
ALTER TABLE settlement DROP COLUMN ec_token_sealed;
ALTER TABLE settlement DROP COLUMN pay_token_sealed;
ALTER TABLE settlement DROP COLUMN pay_ord_id;
ALTER TABLE settlement DROP COLUMN med_org_ord;
ALTER TABLE orders DROP COLUMN renew;
