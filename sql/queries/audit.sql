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
