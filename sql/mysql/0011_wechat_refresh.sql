-- Who refreshes a person's WeChat tokens, and when their name and picture were last read.

ALTER TABLE wechat_users
    ADD COLUMN refreshing_until DATETIME(3) NULL COMMENT 'Until when nobody else refreshes the tokens, UTC',
    ADD COLUMN profile_read_at DATETIME(3) NULL COMMENT 'When WeChat last told name and picture, UTC; NULL: when the row was made';
