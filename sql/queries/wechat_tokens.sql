-- WeChat's tokens for one person. A sealed text is never sealed twice alike, so it tells whether the row still
-- is as it was read.

-- name: of_person
SELECT appid, openid, access_token, refresh_token, expires_at FROM wechat_users WHERE id = :id;

-- name: lease
UPDATE wechat_users SET refreshing_until = :refreshing_until
WHERE id = :id AND refresh_token = :refresh_token
    AND (refreshing_until IS NULL OR refreshing_until <= :refreshing_until_now);

-- name: release
UPDATE wechat_users SET refreshing_until = NULL WHERE id = :id AND refresh_token = :refresh_token;

-- name: keep
UPDATE wechat_users
SET access_token = :access_token, refresh_token = :refresh_token, expires_at = :expires_at, refreshing_until = NULL
WHERE id = :id AND refresh_token = :refresh_token_before;

-- name: wipe
UPDATE wechat_users SET access_token = NULL, refresh_token = NULL, expires_at = NULL, refreshing_until = NULL
WHERE id = :id AND refresh_token = :refresh_token;

-- name: person
SELECT id FROM wechat_users WHERE appid = :appid AND openid = :openid;

-- name: shown
SELECT w.openid, w.nickname AS wechat_nickname, w.avatar_url AS wechat_avatar_url, w.profile_read_at, w.uid
FROM wechat_users w WHERE w.id = :id;

-- name: claim_profile
-- Only who has a profile has given us leave to read it.
UPDATE wechat_users SET profile_read_at = :profile_read_at
WHERE id = :id AND nickname IS NOT NULL AND COALESCE(profile_read_at, created_at) <= :profile_read_at_before;

-- name: give_back_profile
UPDATE wechat_users SET profile_read_at = :profile_read_at_before
WHERE id = :id AND profile_read_at = :profile_read_at;

-- name: show
-- Whoever has been forgotten meanwhile stays so.
UPDATE wechat_users
SET nickname = COALESCE(:nickname, nickname), avatar_url = COALESCE(:avatar_url, avatar_url), updated_at = :updated_at
WHERE id = :id AND nickname IS NOT NULL;
