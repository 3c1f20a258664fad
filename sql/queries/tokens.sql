-- Device sessions. A refresh is one conditional UPDATE on (sid, generation): its row count says who won.

-- name: mark_login
-- First in the transaction that opens a session: it also locks the account, so that the cap holds, and counts the
-- event that follows.
UPDATE users SET last_login_at = :last_login_at, event_seq = event_seq + 1 WHERE id = :id AND status = 'active';

-- name: lock_user (mysql)
-- First in the transaction that ends sessions.
SELECT id FROM users WHERE id = :id FOR UPDATE;

-- name: lock_user (sqlite)
SELECT id FROM users WHERE id = :id;

-- name: opening
-- The number of the account's newest event, beside each of its running sessions, or beside none.
SELECT u.event_seq, s.sid, s.device_type
FROM users u LEFT JOIN user_sessions s
    ON s.user_id = u.id AND s.is_active = 1 AND s.expires_at > :expires_at AND s.last_active_at > :last_active_at
WHERE u.id = :user_id
ORDER BY s.id;

-- name: active_of_user
SELECT sid FROM user_sessions WHERE user_id = :user_id AND is_active = 1 ORDER BY id;

-- name: devices
SELECT sid, amr, client_id, device_name, device_type, device_id, ip_address, user_agent, location, created_at,
    last_active_at, expires_at
FROM user_sessions
WHERE user_id = :user_id AND is_active = 1 AND expires_at > :expires_at AND last_active_at > :last_active_at
ORDER BY last_active_at DESC, id DESC;

-- name: create
INSERT INTO user_sessions (
    sid, user_id, generation, salt, auth_time, amr, client_id, device_name, device_type, device_id, ip_address,
    user_agent, location, created_at, last_active_at, expires_at
) VALUES (
    :sid, :user_id, 0, :salt, :created_at, :amr, :client_id, :device_name, :device_type, :device_id, :ip_address,
    :user_agent, :location, :created_at, :created_at, :expires_at
);

-- name: by_sid
SELECT s.sid, s.user_id, s.generation, s.salt, s.rotated_at, s.rotated_by, s.is_active, s.auth_time, s.amr,
    s.client_id, s.device_name, s.device_type, s.device_id, s.last_active_at, s.expires_at,
    u.status, u.role, u.email, u.phone, u.username
FROM user_sessions s JOIN users u ON u.id = s.user_id
WHERE s.sid = :sid;

-- name: rotate
-- The city belongs to the address; location comes first, for MySQL assigns from left to right.
UPDATE user_sessions
SET location = CASE WHEN ip_address = :ip_address THEN location ELSE :location END, ip_address = :ip_address,
    user_agent = :user_agent, generation = generation + 1, rotated_at = :rotated_at, rotated_by = :rotated_by,
    last_active_at = :rotated_at
WHERE sid = :sid AND generation = :generation AND is_active = 1;

-- name: rename
UPDATE user_sessions SET device_name = :device_name WHERE sid = :sid AND user_id = :user_id AND is_active = 1;

-- name: reauthenticate
UPDATE user_sessions SET auth_time = :auth_time WHERE sid = :sid AND is_active = 1;

-- name: end
UPDATE user_sessions SET is_active = 0, revoked_at = :revoked_at, revoked_reason = :revoked_reason
WHERE sid = :sid AND user_id = :user_id AND is_active = 1;

-- name: running_on_device
SELECT sid FROM user_sessions WHERE user_id = :user_id AND is_active = 1 AND device_id = :device_id;

-- name: running
SELECT sid FROM user_sessions WHERE sid = :sid AND is_active = 1;

-- name: revoked_since
SELECT sid FROM user_sessions WHERE revoked_at >= :revoked_at
UNION ALL
SELECT sid FROM ended_sessions WHERE ended_at >= :revoked_at;

-- name: outlive
-- Before an account is deleted, whose sessions' rows go with it.
INSERT INTO ended_sessions (sid, ended_at)
SELECT sid, :ended_at FROM user_sessions WHERE user_id = :user_id;
