-- What the worker removes, a batch at a time, and what it archives first. A batch is one statement, so that two
-- workers at once only share the work.

-- name: remove_codes (mysql)
DELETE FROM verification_codes WHERE expires_at < :expires_at ORDER BY expires_at LIMIT :limit;

-- name: remove_codes (sqlite)
DELETE FROM verification_codes WHERE id IN (
    SELECT id FROM verification_codes WHERE expires_at < :expires_at ORDER BY expires_at LIMIT :limit
);

-- name: remove_locks (mysql)
DELETE FROM code_locks WHERE locked_until < :locked_until ORDER BY locked_until LIMIT :limit;

-- name: remove_locks (sqlite)
DELETE FROM code_locks WHERE (address, purpose, asker) IN (
    SELECT address, purpose, asker FROM code_locks WHERE locked_until < :locked_until
    ORDER BY locked_until LIMIT :limit
);

-- name: remove_budgets (mysql)
DELETE FROM sms_budgets WHERE day < :day ORDER BY day LIMIT :limit;

-- name: remove_budgets (sqlite)
DELETE FROM sms_budgets WHERE (day, scope) IN (
    SELECT day, scope FROM sms_budgets WHERE day < :day ORDER BY day LIMIT :limit
);

-- name: remove_warnings (mysql)
DELETE FROM account_warnings WHERE told_at < :told_at ORDER BY told_at LIMIT :limit;

-- name: remove_warnings (sqlite)
DELETE FROM account_warnings WHERE (user_id, kind) IN (
    SELECT user_id, kind FROM account_warnings WHERE told_at < :told_at ORDER BY told_at LIMIT :limit
);

-- name: remove_reports (mysql)
DELETE FROM sign_in_reports WHERE reported_at < :reported_at ORDER BY reported_at LIMIT :limit;

-- name: remove_reports (sqlite)
DELETE FROM sign_in_reports WHERE (source, reporter) IN (
    SELECT source, reporter FROM sign_in_reports WHERE reported_at < :reported_at
    ORDER BY reported_at LIMIT :limit
);

-- name: remove_password_tries (mysql)
DELETE FROM password_tries WHERE updated_at < :updated_at ORDER BY updated_at LIMIT :limit;

-- name: remove_password_tries (sqlite)
DELETE FROM password_tries WHERE (account, asker) IN (
    SELECT account, asker FROM password_tries WHERE updated_at < :updated_at ORDER BY updated_at LIMIT :limit
);

-- name: remove_attempts (mysql)
DELETE FROM login_sessions WHERE status = :status AND expires_at < :expires_at ORDER BY expires_at LIMIT :limit;

-- name: remove_attempts (sqlite)
DELETE FROM login_sessions WHERE id IN (
    SELECT id FROM login_sessions WHERE status = :status AND expires_at < :expires_at
    ORDER BY expires_at LIMIT :limit
);

-- name: wipe_tokens (mysql)
-- A confirmation takes WeChat's tokens out of the attempt, and so does any other end that somebody has watched.
UPDATE login_sessions SET provider_profile = JSON_REMOVE(provider_profile, '$.tokens')
WHERE status = :status AND expires_at < :expires_at
    AND JSON_TYPE(JSON_EXTRACT(provider_profile, '$.tokens')) = 'OBJECT'
ORDER BY expires_at LIMIT :limit;

-- name: wipe_tokens (sqlite)
UPDATE login_sessions SET provider_profile = json_remove(provider_profile, '$.tokens') WHERE id IN (
    SELECT id FROM login_sessions
    WHERE status = :status AND expires_at < :expires_at AND json_type(provider_profile, '$.tokens') = 'object'
    ORDER BY expires_at LIMIT :limit
);

-- name: remove_callbacks (mysql)
DELETE FROM provider_callbacks WHERE created_at < :created_at ORDER BY created_at LIMIT :limit;

-- name: remove_callbacks (sqlite)
DELETE FROM provider_callbacks WHERE state_hash IN (
    SELECT state_hash FROM provider_callbacks WHERE created_at < :created_at ORDER BY created_at LIMIT :limit
);

-- name: remove_pushes (mysql)
DELETE FROM wechat_pushes WHERE received_at < :received_at ORDER BY received_at LIMIT :limit;

-- name: remove_pushes (sqlite)
DELETE FROM wechat_pushes WHERE push_key IN (
    SELECT push_key FROM wechat_pushes WHERE received_at < :received_at ORDER BY received_at LIMIT :limit
);

-- name: remove_ended_sessions (mysql)
DELETE FROM user_sessions WHERE revoked_at < :revoked_at ORDER BY revoked_at LIMIT :limit;

-- name: remove_ended_sessions (sqlite)
DELETE FROM user_sessions WHERE id IN (
    SELECT id FROM user_sessions WHERE revoked_at < :revoked_at ORDER BY revoked_at LIMIT :limit
);

-- name: remove_expired_sessions (mysql)
DELETE FROM user_sessions WHERE expires_at < :expires_at ORDER BY expires_at LIMIT :limit;

-- name: remove_expired_sessions (sqlite)
DELETE FROM user_sessions WHERE id IN (
    SELECT id FROM user_sessions WHERE expires_at < :expires_at ORDER BY expires_at LIMIT :limit
);

-- name: remove_outlived_sessions (mysql)
DELETE FROM ended_sessions WHERE ended_at < :ended_at ORDER BY ended_at LIMIT :limit;

-- name: remove_outlived_sessions (sqlite)
DELETE FROM ended_sessions WHERE sid IN (
    SELECT sid FROM ended_sessions WHERE ended_at < :ended_at ORDER BY ended_at LIMIT :limit
);

-- name: remove_events (mysql)
DELETE FROM account_events WHERE created_at < :created_at ORDER BY created_at LIMIT :limit;

-- name: remove_events (sqlite)
DELETE FROM account_events WHERE id IN (
    SELECT id FROM account_events WHERE created_at < :created_at ORDER BY created_at LIMIT :limit
);

-- name: remove_sent_messages (mysql)
DELETE FROM outbox WHERE sent_at < :sent_at ORDER BY sent_at LIMIT :limit;

-- name: remove_sent_messages (sqlite)
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE sent_at < :sent_at ORDER BY sent_at LIMIT :limit
);

-- name: remove_dead_messages (mysql)
DELETE FROM outbox WHERE sent_at IS NULL AND dead_at < :dead_at ORDER BY dead_at LIMIT :limit;

-- name: remove_dead_messages (sqlite)
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE sent_at IS NULL AND dead_at < :dead_at ORDER BY dead_at LIMIT :limit
);

-- name: old_logs
SELECT id, user_id, account, login_method, login_status, failure_reason, risk, ip_address, device_type,
    device_name, user_agent, location, created_at
FROM login_logs WHERE login_status = :login_status AND created_at < :created_at
ORDER BY created_at LIMIT :limit;

-- name: log_exists
SELECT id FROM login_logs WHERE id = :id;

-- name: remove_logs
DELETE FROM login_logs WHERE id IN (:id);
