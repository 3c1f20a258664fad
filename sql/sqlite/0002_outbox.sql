-- What a message is called at a provider, who took it, and why it has not gone out yet.

ALTER TABLE outbox ADD COLUMN reference TEXT NOT NULL DEFAULT '' CHECK (length(reference) <= 22);
ALTER TABLE outbox ADD COLUMN provider TEXT CHECK (length(provider) <= 32);
ALTER TABLE outbox ADD COLUMN error TEXT CHECK (length(error) <= 128);
CREATE INDEX outbox_by_kind_sent_at_dead_at_next_attempt_at ON outbox (kind, sent_at, dead_at, next_attempt_at);
