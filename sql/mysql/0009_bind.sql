-- Which session an authorization code has opened, for a replay to end it, and the sessions of deleted accounts, for
-- processes that start later to refuse their tokens.

ALTER TABLE login_sessions
    ADD COLUMN redeemed_sid VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'The session that the authorization code opened';

CREATE TABLE ended_sessions (
    sid VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'A session whose account is deleted',
    ended_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (sid),
    KEY ended_sessions_by_ended_at (ended_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Sessions that outlived their rows';
