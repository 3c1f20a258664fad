-- Access tokens of our own WeChat apps. `generation` is the fencing token of the lease.

-- name: account_token
SELECT access_token, expires_at, renew_at, generation, leased_until, failure FROM wechat_account_tokens
WHERE appid = :appid;

-- name: add_account_token
INSERT INTO wechat_account_tokens (appid, generation, created_at, updated_at)
VALUES (:appid, 0, :created_at, :created_at);

-- name: lease_account_token
UPDATE wechat_account_tokens
SET generation = generation + 1, leased_until = :leased_until, failure = NULL, updated_at = :updated_at
WHERE appid = :appid AND generation = :generation AND (leased_until IS NULL OR leased_until <= :updated_at);

-- name: keep_account_token
UPDATE wechat_account_tokens
SET access_token = :access_token, expires_at = :expires_at, renew_at = :renew_at, refused_at = :refused_at,
    leased_until = NULL, failure = NULL, updated_at = :updated_at
WHERE appid = :appid AND generation = :generation;

-- name: fail_account_token
-- The lease becomes the pause before the next try.
UPDATE wechat_account_tokens
SET leased_until = :leased_until, failure = :failure, updated_at = :updated_at
WHERE appid = :appid AND generation = :generation;

-- name: refuse_account_token
UPDATE wechat_account_tokens SET expires_at = NULL, renew_at = NULL, updated_at = :updated_at
WHERE appid = :appid AND access_token = :access_token AND expires_at IS NOT NULL
    AND (refused_at IS NULL OR refused_at <= :refused_at_before);
