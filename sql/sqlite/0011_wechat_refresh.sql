-- Who refreshes a person's WeChat tokens, and when their name and picture were last read.

ALTER TABLE wechat_users ADD COLUMN refreshing_until DATETIME;
ALTER TABLE wechat_users ADD COLUMN profile_read_at DATETIME;
