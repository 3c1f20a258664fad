-- The login log: every try to sign in, good or bad.

-- name: record
-- The account may have been deleted since the try began.
INSERT INTO login_logs (
    user_id, account, login_method, login_status, failure_reason, risk, ip_address, device_type, device_name,
    user_agent, location, created_at
) VALUES (
    (SELECT id FROM users WHERE id = :user_id), :account, :login_method, :login_status, :failure_reason, :risk,
    :ip_address, :device_type, :device_name, :user_agent, :location, :created_at
);

-- name: history
-- The plain bound on created_at is the one that the index reads by; the id decides within one millisecond.
SELECT id, login_method, login_status, failure_reason, ip_address, device_type, device_name, user_agent, location,
    created_at
FROM login_logs
WHERE user_id = :user_id AND created_at <= :created_at AND (created_at < :created_at OR id < :id)
ORDER BY created_at DESC, id DESC LIMIT :limit;
