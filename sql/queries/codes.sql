-- One-time codes. A code is live while it is neither used nor replaced, tried too often nor too old.

-- name: hold (mysql)
-- Its row lock lets sends to one address pass one at a time, each until its transaction ends.
INSERT INTO code_locks (address, purpose, asker, locked_until) VALUES (:address, '', '', :locked_until)
ON DUPLICATE KEY UPDATE locked_until = :locked_until;

-- name: hold (sqlite)
INSERT INTO code_locks (address, purpose, asker, locked_until) VALUES (:address, '', '', :locked_until)
ON CONFLICT (address, purpose, asker) DO UPDATE SET locked_until = :locked_until;

-- name: lock
SELECT locked_until FROM code_locks WHERE address = :address AND purpose = :purpose AND asker = :asker;

-- name: sent
SELECT created_at FROM verification_codes
WHERE address = :address AND purpose IN (:purpose) AND created_at > :created_at;

-- name: replace
UPDATE verification_codes SET is_used = 1 WHERE address = :address AND purpose = :purpose AND is_used = 0;

-- name: add
INSERT INTO verification_codes (
    channel, address, purpose, code_hash, anon_id, expires_at, ip_address, device_info, created_at
) VALUES (
    :channel, :address, :purpose, :code_hash, :anon_id, :expires_at, :ip_address, :device_info, :created_at
);

-- name: newest
SELECT id, code_hash, anon_id, expires_at,
    (SELECT locked_until FROM code_locks WHERE address = :address AND purpose = :purpose AND asker = :asker)
        AS locked_until
FROM verification_codes WHERE address = :address AND purpose = :purpose ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: count_try
-- Before the comparison, and first in its transaction: no race gives a try back, and a rollback only one of which
-- nobody was told. MySQL assigns from left to right, so tried_by still sees the count of before.
UPDATE verification_codes
SET tried_by = CASE WHEN attempt_count = 0 OR tried_by = :tried_by THEN :tried_by ELSE '' END,
    attempt_count = attempt_count + 1
WHERE id = :id AND is_used = 0 AND attempt_count < :attempt_count AND expires_at > :expires_at;

-- name: tries
SELECT attempt_count, tried_by FROM verification_codes WHERE id = :id;

-- name: lock_out (mysql)
INSERT INTO code_locks (address, purpose, asker, locked_until) VALUES (:address, :purpose, :asker, :locked_until)
ON DUPLICATE KEY UPDATE locked_until = :locked_until;

-- name: lock_out (sqlite)
INSERT INTO code_locks (address, purpose, asker, locked_until) VALUES (:address, :purpose, :asker, :locked_until)
ON CONFLICT (address, purpose, asker) DO UPDATE SET locked_until = :locked_until;

-- name: use
UPDATE verification_codes SET is_used = 1, used_at = :used_at WHERE id = :id AND is_used = 0;

-- name: spend (mysql)
-- The last statement before the commit: everybody's sends meet in this row.
INSERT INTO sms_budgets (day, scope, sent) VALUES (:day, :scope, 1) ON DUPLICATE KEY UPDATE sent = sent + 1;

-- name: spend (sqlite)
INSERT INTO sms_budgets (day, scope, sent) VALUES (:day, :scope, 1)
ON CONFLICT (day, scope) DO UPDATE SET sent = sent + 1;

-- name: spent
SELECT sent FROM sms_budgets WHERE day = :day AND scope = :scope;

-- name: spent_today
SELECT scope, sent FROM sms_budgets WHERE day = :day;

-- name: subscribe (mysql)
INSERT IGNORE INTO email_subscribers (email, anon_id, created_at, updated_at)
VALUES (:email, :anon_id, :created_at, :created_at);

-- name: subscribe (sqlite)
INSERT OR IGNORE INTO email_subscribers (email, anon_id, created_at, updated_at)
VALUES (:email, :anon_id, :created_at, :created_at);

-- name: verify_subscriber (mysql)
INSERT INTO email_subscribers (email, verified, anon_id, created_at, updated_at)
VALUES (:email, 1, :anon_id, :updated_at, :updated_at)
ON DUPLICATE KEY UPDATE verified = 1, anon_id = :anon_id, updated_at = :updated_at;

-- name: verify_subscriber (sqlite)
INSERT INTO email_subscribers (email, verified, anon_id, created_at, updated_at)
VALUES (:email, 1, :anon_id, :updated_at, :updated_at)
ON CONFLICT (email) DO UPDATE SET verified = 1, anon_id = :anon_id, updated_at = :updated_at;

-- name: subscriber
SELECT verified, anon_id FROM email_subscribers WHERE email = :email;

-- name: contacts
-- Where, and in which language, an account's person is told of something.
SELECT u.email, u.email_verified, u.phone, u.is_phone_verified, u.country_code, w.language
FROM users u
LEFT JOIN user_login_types t ON t.user_id = u.id
LEFT JOIN wechat_users w ON w.id = t.wechat_user_id
WHERE u.id = :id;
