-- The attempts. Every move is one conditional UPDATE on (id, seq): its row count says who won.

-- name: create
INSERT INTO login_sessions (
    session_id, session_seed, qr_code, qr_content, qr_expires_at, status, seq, purpose, door, binding,
    cookie_hash, initiator_user_id, initiator_sid, redirect_uri, state, code_hash, ip_address, user_agent,
    expires_at, created_at, updated_at
) VALUES (
    :session_id, :session_seed, :qr_code, :qr_content, :qr_expires_at, 'pending', 1, :purpose, :door, :binding,
    :cookie_hash, :initiator_user_id, :initiator_sid, :redirect_uri, :state, :code_hash, :ip_address, :user_agent,
    :expires_at, :created_at, :created_at
);

-- name: by_session
SELECT * FROM login_sessions WHERE session_id = :session_id;

-- name: by_sessions
SELECT * FROM login_sessions WHERE session_id IN (:session_id);

-- name: changed
-- Everybody who follows an attempt knows its first seq.
SELECT session_id, seq FROM login_sessions
WHERE session_id IN (:session_id) AND updated_at >= :updated_at AND seq > 1;

-- name: by_id
SELECT * FROM login_sessions WHERE id = :id;

-- name: by_qr_code
SELECT * FROM login_sessions WHERE qr_code = :qr_code;

-- name: by_previous_qr_code
SELECT * FROM login_sessions WHERE previous_qr_code = :previous_qr_code;

-- name: move
-- To an end without a confirmation: WeChat's tokens, which came with the scan, are of no use any more.
UPDATE login_sessions
SET status = :status, reason = :reason, seq = :seq, expires_at = :expires_at,
    provider_profile = JSON_REMOVE(provider_profile, '$.tokens'), updated_at = :updated_at
WHERE id = :id AND seq = :seq_before;

-- name: scan
UPDATE login_sessions
SET status = 'scanned', seq = :seq, expires_at = :expires_at, scanned_by = :scanned_by, user_id = :user_id,
    provider_profile = :provider_profile, confirm_link = :confirm_link, scanned_at = :updated_at,
    updated_at = :updated_at
WHERE id = :id AND seq = :seq_before;

-- name: confirm
UPDATE login_sessions
SET status = 'confirmed', seq = :seq, expires_at = :expires_at, confirmed_at = :updated_at,
    updated_at = :updated_at
WHERE id = :id AND seq = :seq_before;

-- name: confirm_known
-- For an account that is known before, and may have been blocked since.
UPDATE login_sessions
SET status = 'confirmed', seq = :seq, expires_at = :expires_at, confirmed_at = :updated_at,
    updated_at = :updated_at
WHERE id = :id AND seq = :seq_before
  AND EXISTS (SELECT 1 FROM users WHERE users.id = login_sessions.user_id AND users.status = 'active');

-- name: approve
-- Two moves at once, scan and confirmation, by a person whom WeChat itself has asked; or a scan that failed.
UPDATE login_sessions
SET status = :status, reason = :reason, seq = :seq, expires_at = :expires_at, scanned_by = :scanned_by,
    provider_profile = :provider_profile, scanned_at = :updated_at, confirmed_at = :confirmed_at,
    updated_at = :updated_at
WHERE id = :id AND seq = :seq_before;

-- name: identify
-- WeChat's tokens are kept with the identity by now.
UPDATE login_sessions SET user_id = :user_id, provider_profile = :provider_profile WHERE id = :id;

-- name: redeem_binding
UPDATE login_sessions SET redeemed_at = :redeemed_at
WHERE id = :id AND status = 'confirmed' AND purpose = 'bind' AND redeemed_at IS NULL
  AND expires_at > :redeemed_at AND initiator_user_id = :initiator_user_id AND initiator_sid = :initiator_sid;

-- name: rotate (mysql)
-- New codes for all of `turns`, a list of [id, seq, code, next code], that no move has come before.
UPDATE login_sessions
JOIN JSON_TABLE(:turns, '$[*]' COLUMNS (
    turn_id BIGINT PATH '$[0]', turn_seq BIGINT PATH '$[1]',
    turn_code VARCHAR(64) PATH '$[2]', turn_next VARCHAR(64) PATH '$[3]'
)) AS turns ON id = turn_id AND seq = turn_seq
SET previous_qr_code = turn_code, qr_code = turn_next, qr_expires_at = :qr_expires_at, seq = turn_seq + 1,
    updated_at = :updated_at;

-- name: rotate (sqlite)
UPDATE login_sessions
SET previous_qr_code = turn_code, qr_code = turn_next, qr_expires_at = :qr_expires_at, seq = turn_seq + 1,
    updated_at = :updated_at
FROM (
    SELECT json_extract(value, '$[0]') AS turn_id, json_extract(value, '$[1]') AS turn_seq,
        json_extract(value, '$[2]') AS turn_code, json_extract(value, '$[3]') AS turn_next
    FROM json_each(:turns)
)
WHERE id = turn_id AND seq = turn_seq;

-- name: succeed
UPDATE login_sessions SET successor_id = :successor_id WHERE id = :id AND successor_id IS NULL;

-- name: redeem
UPDATE login_sessions SET redeemed_at = :redeemed_at
WHERE id = :id AND status = 'confirmed' AND purpose = 'login' AND redeemed_at IS NULL
  AND expires_at > :redeemed_at;

-- name: redeemed_by
UPDATE login_sessions SET redeemed_sid = :redeemed_sid WHERE id = :id;

-- name: redeemer
SELECT u.id, u.username, u.nickname, u.avatar_url, u.email, u.role, u.status, u.phone, s.scanned_by
FROM login_sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = :id;

-- name: by_code_hash
SELECT * FROM login_sessions WHERE code_hash = :code_hash;

-- name: user
SELECT id, username, nickname, avatar_url, email, role, status, phone FROM users WHERE id = :id;

-- name: begin_callback
INSERT INTO provider_callbacks (state_hash, code_hash, attempt_id, leased_until, created_at)
VALUES (:state_hash, :code_hash, :attempt_id, :leased_until, :created_at);

-- name: callback
SELECT attempt_id, outcome, leased_until FROM provider_callbacks WHERE state_hash = :state_hash;

-- name: abandon_callback
UPDATE provider_callbacks SET outcome = :outcome
WHERE state_hash = :state_hash AND outcome IS NULL AND leased_until <= :leased_until;

-- name: end_callback
UPDATE provider_callbacks SET outcome = :outcome WHERE state_hash = :state_hash AND outcome IS NULL;
