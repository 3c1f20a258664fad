-- Access tokens of our own WeChat apps, one for all processes.

CREATE TABLE wechat_account_tokens (
    appid VARCHAR(32) COLLATE utf8mb4_bin NOT NULL COMMENT 'The WeChat application',
    access_token VARCHAR(2048) COLLATE utf8mb4_bin NULL COMMENT 'Its token, encrypted; kept for comparison when refused',
    expires_at DATETIME(3) NULL COMMENT 'End of the token, UTC; NULL when WeChat has refused it',
    renew_at DATETIME(3) NULL COMMENT 'From when on one caller asks for the next token, UTC',
    generation BIGINT NOT NULL COMMENT 'Grows with each lease: whoever holds the latest value holds the lease',
    leased_until DATETIME(3) NULL COMMENT 'Until when nobody else asks WeChat, UTC',
    failure VARCHAR(16) COLLATE utf8mb4_bin NULL COMMENT 'Why the last holder failed: an errcode or unreachable; NULL while it asks',
    refused_at DATETIME(3) NULL COMMENT 'When WeChat gave out a token again that it had refused, UTC',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (appid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Access tokens of our own WeChat applications';
