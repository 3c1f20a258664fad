-- The login log: every try to sign in, good or bad.

-- name: record
-- The account may have been deleted since the try began.
INSERT INTO login_logs (
    user_id, account, login_method, login_status, failure_reason, risk, ip_address, source, device_type,
    device_name, device_key, user_agent, location, created_at
) VALUES (
    (SELECT id FROM users WHERE id = :user_id), :account, :login_method, :login_status, :failure_reason, :risk,
    :ip_address, :source, :device_type, :device_name, :device_key, :user_agent, :location, :created_at
);

-- name: history
-- The plain bound on created_at is the one that the index reads by; the id decides within one millisecond.
SELECT id, login_method, login_status, failure_reason, risk, ip_address, device_type, device_name, user_agent,
    location, created_at
FROM login_logs
WHERE user_id = :user_id AND created_at <= :created_at AND (created_at < :created_at OR id < :id)
    AND login_status IN (:login_status) AND (:score = 0 OR JSON_EXTRACT(risk, '$.score') >= :score)
ORDER BY created_at DESC, id DESC LIMIT :limit;

-- name: circumstances
-- All that a sign-in is compared with: what `recent` tells, and, a row each, the newest sign-in from each device and
-- address of the last ones; a single row of nulls where there was none.
SELECT counts.failures, counts.accounts, l.device_key, l.ip_address, l.created_at
FROM (
    SELECT
        (SELECT COUNT(*) FROM (
            SELECT id FROM login_logs
            WHERE user_id = :user_id AND login_status IN ('failed', 'blocked') AND created_at > :created_at
            LIMIT :limit
        ) AS refused) AS failures,
        (SELECT COUNT(DISTINCT account) FROM (
            SELECT account FROM login_logs WHERE source = :source AND created_at > :created_at
            ORDER BY created_at DESC LIMIT :limit
        ) AS tries) AS accounts
) AS counts
LEFT JOIN (
    SELECT MAX(id) AS id FROM (
        SELECT id, device_key, ip_address FROM login_logs
        WHERE user_id = :user_id AND login_status = 'success' AND device_key IS NOT NULL
        ORDER BY created_at DESC LIMIT :remembered
    ) AS remembered GROUP BY device_key, ip_address
) AS newest ON 1 = 1
LEFT JOIN login_logs l ON l.id = newest.id;

-- name: recent
-- What came since: refused tries for an account, and the accounts of the newest tries from an address.
SELECT
    (SELECT COUNT(*) FROM (
        SELECT id FROM login_logs
        WHERE user_id = :user_id AND login_status IN ('failed', 'blocked') AND created_at > :created_at
        LIMIT :limit
    ) AS refused) AS failures,
    (SELECT COUNT(DISTINCT account) FROM (
        SELECT account FROM login_logs WHERE source = :source AND created_at > :created_at
        ORDER BY created_at DESC LIMIT :limit
    ) AS tries) AS accounts;

-- name: recent_of_account
-- The same for a number, address or name that is no account's.
SELECT
    (SELECT COUNT(*) FROM (
        SELECT id FROM login_logs
        WHERE account = :account AND login_status IN ('failed', 'blocked') AND created_at > :created_at
        LIMIT :limit
    ) AS refused) AS failures,
    (SELECT COUNT(DISTINCT account) FROM (
        SELECT account FROM login_logs WHERE source = :source AND created_at > :created_at
        ORDER BY created_at DESC LIMIT :limit
    ) AS tries) AS accounts;

-- name: follow_up
UPDATE login_logs SET user_id = (SELECT id FROM users WHERE id = :user_id), risk = :risk WHERE id = :id;

-- name: owner_by_phone
SELECT id FROM users WHERE phone = :phone;

-- name: owner_by_email
SELECT id FROM users WHERE email = :email;

-- name: owner_by_wechat
SELECT uid AS id FROM wechat_users WHERE appid = :appid AND openid = :openid;

-- name: lock_user (mysql)
SELECT id FROM users WHERE id = :id FOR UPDATE;

-- name: lock_user (sqlite)
SELECT id FROM users WHERE id = :id;

-- name: warn_again
UPDATE account_warnings SET told_at = :told_at
WHERE user_id = :user_id AND kind = :kind AND told_at <= :told_at_before;

-- name: warn_first (mysql)
INSERT IGNORE INTO account_warnings (user_id, kind, told_at) VALUES (:user_id, :kind, :told_at);

-- name: warn_first (sqlite)
INSERT OR IGNORE INTO account_warnings (user_id, kind, told_at) VALUES (:user_id, :kind, :told_at);

-- name: report (mysql)
INSERT INTO sign_in_reports (source, reporter, reported_at) VALUES (:source, :reporter, :reported_at)
ON DUPLICATE KEY UPDATE reported_at = :reported_at;

-- name: report (sqlite)
INSERT INTO sign_in_reports (source, reporter, reported_at) VALUES (:source, :reporter, :reported_at)
ON CONFLICT (source, reporter) DO UPDATE SET reported_at = :reported_at;

-- name: reported
SELECT source FROM sign_in_reports WHERE reported_at > :reported_at ORDER BY reported_at DESC LIMIT :limit;

-- name: suspicion
-- Who reported an address, in all and since :created_at, and the accounts of the newest tries from it.
SELECT
    (SELECT COUNT(*) FROM sign_in_reports WHERE source = :source AND reported_at > :reported_at) AS reporters,
    (SELECT COUNT(*) FROM sign_in_reports WHERE source = :source AND reported_at > :created_at)
        AS reporters_lately,
    (SELECT COUNT(DISTINCT account) FROM (
        SELECT account FROM login_logs WHERE source = :source AND created_at > :created_at
        ORDER BY created_at DESC LIMIT :limit
    ) AS tries) AS accounts;
