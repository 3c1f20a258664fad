-- Accounts, and the identities they sign in with.

-- name: by_openid
SELECT w.id AS wechat_user_id, w.unionid, w.nickname AS wechat_nickname, w.avatar_url AS wechat_avatar_url,
    u.id, u.username, u.nickname, u.avatar_url, u.email, u.phone, u.role, u.status
FROM wechat_users w LEFT JOIN users u ON u.id = w.uid
WHERE w.appid = :appid AND w.openid = :openid;

-- name: add_wechat
INSERT INTO wechat_users (
    appid, openid, unionid, nickname, avatar_url, gender, country, province, city, language, session_key,
    access_token, refresh_token, expires_at, last_login_at, created_at, updated_at
) VALUES (
    :appid, :openid, :unionid, :nickname, :avatar_url, :gender, :country, :province, :city, :language,
    :session_key, :access_token, :refresh_token, :expires_at, :created_at, :created_at, :created_at
);

-- name: refresh_wechat
-- What WeChat leaves out this time is not forgotten.
UPDATE wechat_users
SET unionid = COALESCE(:unionid, unionid), nickname = COALESCE(:nickname, nickname),
    avatar_url = COALESCE(:avatar_url, avatar_url), gender = COALESCE(:gender, gender),
    country = COALESCE(:country, country), province = COALESCE(:province, province), city = COALESCE(:city, city),
    language = COALESCE(:language, language), session_key = COALESCE(:session_key, session_key),
    access_token = COALESCE(:access_token, access_token),
    refresh_token = COALESCE(:refresh_token, refresh_token), expires_at = COALESCE(:expires_at, expires_at),
    profile_read_at = CASE WHEN :nickname IS NULL THEN profile_read_at ELSE :updated_at END,
    last_login_at = :updated_at, updated_at = :updated_at
WHERE id = :id;

-- name: refresh_user
-- Only what still is as WeChat gave it before: a name or picture of the person's own choice stays.
UPDATE users
SET nickname = CASE WHEN COALESCE(nickname, '') IN ('', :nickname_before)
        THEN COALESCE(:nickname, nickname) ELSE nickname END,
    avatar_url = CASE WHEN COALESCE(avatar_url, '') IN ('', :avatar_url_before)
        THEN COALESCE(:avatar_url, avatar_url) ELSE avatar_url END,
    updated_at = :updated_at
WHERE id = :id;

-- name: by_unionid (mysql)
-- It locks: of two confirms with one new unionid, both rows are written by now, and one yields to the other.
-- Unbound rows are read too, for only what is read is locked.
SELECT uid FROM wechat_users WHERE unionid = :unionid ORDER BY id FOR UPDATE;

-- name: by_unionid (sqlite)
SELECT uid FROM wechat_users WHERE unionid = :unionid ORDER BY id;

-- name: bind_wechat
UPDATE wechat_users SET uid = :uid, bind_at = :bind_at WHERE id = :id AND uid IS NULL;

-- name: add_user
INSERT INTO users (nickname, avatar_url, gender, created_at, updated_at)
VALUES (:nickname, :avatar_url, :gender, :created_at, :created_at);

-- name: add_login_type
INSERT INTO user_login_types (user_id, login_type, wechat_user_id, created_at, updated_at)
VALUES (:user_id, :login_type, :wechat_user_id, :created_at, :created_at);

-- name: user
SELECT id, username, nickname, avatar_url, email, phone, role, status FROM users WHERE id = :id;

-- name: profile
SELECT u.id, u.phone, u.country_code, u.email, u.email_verified, u.is_phone_verified, u.username, u.nickname,
    u.avatar_url, u.bio, u.gender, u.birth_date, u.status, u.role, u.is_premium, u.is_profile_completed,
    u.profile, u.created_at, u.updated_at, u.last_login_at, u.password_hash IS NOT NULL AS has_password,
    t.login_type, w.id AS wechat_user_id, w.openid, w.nickname AS wechat_nickname,
    w.avatar_url AS wechat_avatar_url, w.gender AS wechat_gender, w.country, w.province, w.city, w.bind_at
FROM users u
LEFT JOIN user_login_types t ON t.user_id = u.id
LEFT JOIN wechat_users w ON w.id = t.wechat_user_id
WHERE u.id = :id;

-- name: by_phone
SELECT id, role, email, phone, is_phone_verified FROM users WHERE phone = :phone;

-- name: by_email
SELECT id, role, email, phone, email_verified FROM users WHERE email = :email;

-- name: add_with_contact
INSERT INTO users (
    phone, country_code, email, is_phone_verified, email_verified, username, password_hash, created_at, updated_at
) VALUES (
    :phone, :country_code, :email, :is_phone_verified, :email_verified, :username, :password_hash, :created_at,
    :created_at
);

-- name: verify_phone
UPDATE users SET is_phone_verified = 1, password_hash = NULL, updated_at = :updated_at
WHERE id = :id AND phone = :phone AND is_phone_verified = 0;

-- name: verify_email
UPDATE users
SET email_verified = 1, password_hash = NULL, updated_at = :updated_at,
    status = CASE WHEN status = 'pending' THEN 'active' ELSE status END
WHERE id = :id AND email = :email AND email_verified = 0;

-- name: locked (mysql)
-- First in a transaction that changes what an account is bound to.
SELECT id, phone, email, username, password_hash IS NOT NULL AS has_password, status
FROM users WHERE id = :id FOR UPDATE;

-- name: locked (sqlite)
SELECT id, phone, email, username, password_hash IS NOT NULL AS has_password, status
FROM users WHERE id = :id;

-- name: set_phone
UPDATE users SET phone = :phone, country_code = :country_code, is_phone_verified = 1, updated_at = :updated_at
WHERE id = :id;

-- name: set_email
UPDATE users SET email = :email, email_verified = 1, updated_at = :updated_at WHERE id = :id;

-- name: identity
SELECT id, uid, nickname, avatar_url, gender FROM wechat_users WHERE appid = :appid AND openid = :openid;

-- name: delete_unbound
DELETE FROM wechat_users WHERE id = :id AND uid IS NULL;

-- name: delete_bound
DELETE FROM wechat_users WHERE id = :id AND uid = :uid;

-- name: forget_profile
-- Only what tells the person from others stays: appid, openid and unionid are the key to the account.
UPDATE wechat_users
SET nickname = NULL, avatar_url = NULL, gender = 0, country = NULL, province = NULL, city = NULL,
    language = NULL, session_key = NULL, access_token = NULL, refresh_token = NULL, expires_at = NULL,
    updated_at = :updated_at
WHERE id = :id AND uid = :uid;

-- name: forget_copies
-- What the person has chosen here stays.
UPDATE users
SET nickname = CASE WHEN nickname = :nickname_before THEN NULL ELSE nickname END,
    avatar_url = CASE WHEN avatar_url = :avatar_url_before THEN NULL ELSE avatar_url END,
    gender = CASE WHEN gender = :gender_before THEN NULL ELSE gender END, updated_at = :updated_at
WHERE id = :id;

-- name: set_unionid
UPDATE wechat_users SET unionid = :unionid WHERE id = :id;

-- name: wechat_of_user
SELECT id, appid FROM wechat_users WHERE uid = :uid ORDER BY id;

-- name: set_login_type (mysql)
INSERT INTO user_login_types (user_id, login_type, wechat_user_id, created_at, updated_at)
VALUES (:user_id, :login_type, :wechat_user_id, :updated_at, :updated_at)
ON DUPLICATE KEY UPDATE login_type = :login_type, wechat_user_id = :wechat_user_id, updated_at = :updated_at;

-- name: set_login_type (sqlite)
INSERT INTO user_login_types (user_id, login_type, wechat_user_id, created_at, updated_at)
VALUES (:user_id, :login_type, :wechat_user_id, :updated_at, :updated_at)
ON CONFLICT (user_id) DO UPDATE
SET login_type = :login_type, wechat_user_id = :wechat_user_id, updated_at = :updated_at;

-- name: delete_wechat
DELETE FROM wechat_users WHERE uid = :uid;

-- name: delete_subscription
DELETE FROM email_subscribers WHERE email = (SELECT email FROM users WHERE id = :id);

-- name: delete
DELETE FROM users WHERE id = :id;

-- name: profile_locked (mysql)
SELECT nickname, avatar_url, bio, gender, birth_date, profile FROM users WHERE id = :id FOR UPDATE;

-- name: profile_locked (sqlite)
SELECT nickname, avatar_url, bio, gender, birth_date, profile FROM users WHERE id = :id;

-- name: change_profile
UPDATE users
SET nickname = :nickname, avatar_url = :avatar_url, bio = :bio, gender = :gender, birth_date = :birth_date,
    profile = :profile, is_profile_completed = :is_profile_completed, updated_at = :updated_at
WHERE id = :id;
