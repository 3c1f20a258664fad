-- Account events: numbered without gaps, in the order in which their transactions held the account's row.

-- name: count
UPDATE users SET event_seq = event_seq + 1 WHERE id = :id;

-- name: append
INSERT INTO account_events (user_id, seq, type, payload, created_at)
SELECT id, event_seq, :type, :payload, :created_at FROM users WHERE id = :user_id;

-- name: after
SELECT seq, type, payload, created_at FROM account_events
WHERE user_id = :user_id AND seq > :seq ORDER BY seq LIMIT :limit;

-- name: newest
SELECT id, event_seq FROM users WHERE id IN (:id);
