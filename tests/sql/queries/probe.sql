-- Statements on the real tables for the tests of the store itself, whatever the nouns ask for.

-- name: add_user
INSERT INTO users (phone, nickname, profile, birth_date, created_at, updated_at)
VALUES (:phone, :nickname, :profile, :birth_date, :created_at, :created_at);

-- name: user
SELECT * FROM users WHERE id = :id;

-- name: user_by_phone
SELECT id FROM users WHERE phone = :phone;

-- name: users_among
SELECT id FROM users WHERE id IN (:id) ORDER BY id;

-- name: rename
UPDATE users SET nickname = :nickname WHERE id = :id;

-- name: rename_slowly (mysql)
UPDATE users SET nickname = :nickname WHERE id = :id AND SLEEP(30) = 0;

-- name: rename_slowly (sqlite)
UPDATE users SET nickname = :nickname WHERE id = :id AND 0 = (
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT count(*) FROM n
);

-- name: remove_user
DELETE FROM users WHERE id = :id;

-- name: add_identity
INSERT INTO wechat_users (appid, openid, created_at, updated_at)
VALUES (:appid, :openid, :created_at, :created_at);

-- name: identity
SELECT id, openid FROM wechat_users WHERE appid = :appid AND openid = :openid;

-- name: add_lock (mysql)
INSERT IGNORE INTO code_locks (address, purpose, asker, locked_until)
VALUES (:address, 'login', 'probe', :locked_until);

-- name: add_lock (sqlite)
INSERT OR IGNORE INTO code_locks (address, purpose, asker, locked_until)
VALUES (:address, 'login', 'probe', :locked_until);

-- name: add_message
INSERT INTO outbox (kind, payload, next_attempt_at, created_at) VALUES ('probe', :payload, :created_at, :created_at);

-- name: claim_message
UPDATE outbox SET attempts = attempts + 1, payload = :payload WHERE id = :id AND attempts = 0;

-- name: count_up
UPDATE outbox SET attempts = attempts + 1 WHERE id = :id;

-- name: message
SELECT id, payload, attempts, sent_at FROM outbox WHERE id = :id;

-- name: message_for_update (mysql)
SELECT id, payload, attempts, sent_at FROM outbox WHERE id = :id FOR UPDATE;

-- name: message_for_update (sqlite)
SELECT id, payload, attempts, sent_at FROM outbox WHERE id = :id;

-- name: messages
SELECT payload, attempts FROM outbox ORDER BY id;

-- name: due
SELECT count(*) AS due, sum(attempts) AS attempts FROM outbox WHERE next_attempt_at <= :next_attempt_at;

-- name: add_session
INSERT INTO user_sessions (sid, user_id, salt, auth_time, created_at, last_active_at, expires_at)
VALUES (:sid, :user_id, 'salt', :created_at, :created_at, :created_at, :created_at);

-- name: session
SELECT id FROM user_sessions WHERE sid = :sid;

-- name: connection_id (mysql)
SELECT CONNECTION_ID() AS id;

-- name: connection_id (sqlite)
SELECT 0 AS id;

-- name: broken
SELECT nothing FROM nowhere;

-- name: settings (mysql)
SELECT @@time_zone AS time_zone, @@tx_isolation AS isolation, @@max_statement_time + 0 AS seconds,
       @@sql_mode LIKE '%STRICT_ALL_TABLES%' AS strict, @@collation_connection AS text_order;

-- name: settings (sqlite)
SELECT f.foreign_keys, j.journal_mode, s.synchronous
FROM pragma_foreign_keys f, pragma_journal_mode j, pragma_synchronous s;
