-- The door of the official account.

-- name: see_push (mysql)
INSERT IGNORE INTO wechat_pushes (push_key, received_at) VALUES (:push_key, :received_at);

-- name: see_push (sqlite)
INSERT OR IGNORE INTO wechat_pushes (push_key, received_at) VALUES (:push_key, :received_at);

-- name: known
SELECT nickname, avatar_url, language FROM wechat_users WHERE appid = :appid AND openid = :openid;

-- name: give_link
-- The newest link is the only one that leads on.
UPDATE login_sessions SET confirm_link = :confirm_link
WHERE id = :id AND status = 'scanned' AND scanned_by = :scanned_by;

-- name: use_link
UPDATE login_sessions SET confirm_link = NULL
WHERE id = :id AND status = 'scanned' AND scanned_by = :scanned_by AND confirm_link IS NOT NULL;

-- name: learn
-- Who scanned, in more words than the push had.
UPDATE login_sessions SET provider_profile = :provider_profile
WHERE id = :id AND status = 'scanned' AND scanned_by = :scanned_by;
