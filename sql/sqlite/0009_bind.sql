-- Which session an authorization code has opened, for a replay to end it, and the sessions of deleted accounts, for
-- processes that start later to refuse their tokens.

ALTER TABLE login_sessions ADD COLUMN redeemed_sid TEXT CHECK (length(redeemed_sid) <= 64);

CREATE TABLE ended_sessions (
    sid TEXT NOT NULL PRIMARY KEY CHECK (length(sid) <= 64),
    ended_at DATETIME NOT NULL
) WITHOUT ROWID;
CREATE INDEX ended_sessions_by_ended_at ON ended_sessions (ended_at);
