-- What administrators look up and change, and the log of it.

-- name: by_id
SELECT id, phone, email, username, nickname, status, role, created_at, last_login_at FROM users WHERE id = :id;

-- name: by_phone
SELECT id, phone, email, username, nickname, status, role, created_at, last_login_at FROM users
WHERE phone = :phone;

-- name: by_email
SELECT id, phone, email, username, nickname, status, role, created_at, last_login_at FROM users
WHERE email = :email;

-- name: by_username
SELECT id, phone, email, username, nickname, status, role, created_at, last_login_at FROM users
WHERE username = :username;

-- name: listed
SELECT id, phone, email, username, nickname, status, role, created_at, last_login_at FROM users
WHERE id > :id AND status IN (:status) AND role IN (:role) ORDER BY id LIMIT :limit;

-- name: found
-- Whatever of an account the text may be; only the nickname is looked for by its beginning.
SELECT u.id, u.phone, u.email, u.username, u.nickname, u.status, u.role, u.created_at, u.last_login_at
FROM (
    SELECT id FROM users WHERE id = :id
    UNION SELECT id FROM users WHERE phone = :phone
    UNION SELECT id FROM users WHERE email = :email
    UNION SELECT id FROM users WHERE username = :username
    UNION SELECT id FROM users WHERE nickname LIKE :nickname ESCAPE '!'
) found JOIN users u ON u.id = found.id
WHERE u.id > :id_after ORDER BY u.id LIMIT :limit;

-- name: operators
-- Those of the accounts that are administrators now.
SELECT id FROM users WHERE id IN (:id) AND role = 'admin' AND status = 'active';

-- name: authority (mysql)
SELECT id FROM users WHERE id = :id AND role = 'admin' AND status = 'active' FOR UPDATE;

-- name: authority (sqlite)
SELECT id FROM users WHERE id = :id AND role = 'admin' AND status = 'active';

-- name: ban
-- First in its transaction: it also locks the account, so that no session is opened past it.
UPDATE users SET status = 'banned', updated_at = :updated_at WHERE id = :id AND status <> 'banned';

-- name: unban
UPDATE users SET status = 'active', updated_at = :updated_at WHERE id = :id AND status = 'banned';

-- name: set_role
UPDATE users SET role = :role_next, updated_at = :updated_at WHERE id = :id AND role <> :role_next;

-- name: record
INSERT INTO admin_log (actor, action, target, detail, created_at)
VALUES (:actor, :action, :target, :detail, :created_at);
