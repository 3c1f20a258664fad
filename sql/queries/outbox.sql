-- Messages to send. `attempts` is the fencing token: it grows with every claim, so whoever holds the latest
-- value holds the message, until next_attempt_at at the most.

-- name: add
INSERT INTO outbox (kind, reference, payload, next_attempt_at, created_at)
VALUES (:kind, :reference, :payload, :created_at, :created_at);

-- name: due
SELECT id, kind, reference, payload, attempts FROM outbox
WHERE kind = :kind AND sent_at IS NULL AND dead_at IS NULL AND next_attempt_at <= :next_attempt_at
ORDER BY next_attempt_at LIMIT :limit;

-- name: claim
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = :next_attempt_at
WHERE id = :id AND attempts = :attempts;

-- name: sent
UPDATE outbox SET sent_at = :sent_at, provider = :provider, payload = :payload, error = NULL
WHERE id = :id AND attempts = :attempts;

-- name: postpone
UPDATE outbox SET next_attempt_at = :next_attempt_at, error = :error WHERE id = :id AND attempts = :attempts;

-- name: bury
UPDATE outbox SET dead_at = :dead_at, error = :error WHERE id = :id AND attempts = :attempts;

-- name: waiting
SELECT COUNT(*) AS waiting FROM outbox WHERE kind = :kind AND sent_at IS NULL AND dead_at IS NULL;

-- name: oldest
SELECT created_at FROM outbox
WHERE id = (SELECT MIN(id) FROM outbox WHERE kind = :kind AND sent_at IS NULL AND dead_at IS NULL);

-- name: kept
SELECT reference, payload, sent_at FROM outbox
WHERE sent_at > :sent_at AND provider = :provider AND payload <> '' ORDER BY sent_at DESC, id DESC LIMIT :limit;
