-- Passwords, and the count of wrong ones.

-- name: by_phone
SELECT id, role, email, phone, username, status, password_hash FROM users WHERE phone = :phone;

-- name: by_email
SELECT id, role, email, phone, username, status, password_hash FROM users WHERE email = :email;

-- name: by_username
SELECT id, role, email, phone, username, status, password_hash FROM users WHERE username = :username;

-- name: by_id
SELECT id, role, email, phone, username, status, password_hash FROM users WHERE id = :id;

-- name: set
UPDATE users SET password_hash = :password_hash, updated_at = :updated_at WHERE id = :id;

-- name: replace
-- Only while the password is still the one that was checked.
UPDATE users SET password_hash = :password_hash, updated_at = :updated_at
WHERE id = :id AND COALESCE(password_hash, '') = :password_hash_before;

-- name: hold (mysql)
-- Its row lock lets the tries of one counter pass one at a time.
INSERT INTO password_tries (account, asker, failures, wait_until, updated_at)
VALUES (:account, :asker, 0, :updated_at, :updated_at)
ON DUPLICATE KEY UPDATE account = account;

-- name: hold (sqlite)
INSERT INTO password_tries (account, asker, failures, wait_until, updated_at)
VALUES (:account, :asker, 0, :updated_at, :updated_at)
ON CONFLICT (account, asker) DO NOTHING;

-- name: tries
SELECT failures, wait_until, updated_at FROM password_tries WHERE account = :account AND asker = :asker;

-- name: count
UPDATE password_tries SET failures = :failures, wait_until = :wait_until, updated_at = :updated_at
WHERE account = :account AND asker = :asker;

-- name: take_back
UPDATE password_tries SET failures = failures - 1, wait_until = :wait_until, updated_at = :wait_until
WHERE account = :account AND asker = :asker AND failures > 0;

-- name: clear
UPDATE password_tries SET failures = 0, wait_until = :wait_until, updated_at = :wait_until
WHERE account = :account AND asker = :asker;

-- name: forget
DELETE FROM password_tries WHERE account = :account;
