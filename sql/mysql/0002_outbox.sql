-- What a message is called at a provider, who took it, and why it has not gone out yet.

ALTER TABLE outbox
    ADD COLUMN reference VARCHAR(22) COLLATE utf8mb4_bin NOT NULL DEFAULT '' COMMENT 'Random name of the message, the same at every try',
    ADD COLUMN provider VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'Who took it',
    ADD COLUMN error VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'Why the last try failed',
    ADD KEY outbox_by_kind_sent_at_dead_at_next_attempt_at (kind, sent_at, dead_at, next_attempt_at);
