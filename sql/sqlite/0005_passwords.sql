-- Wrong passwords, counted by the account and by the network they came from.

CREATE TABLE password_tries (
    account TEXT NOT NULL CHECK (length(account) <= 64),
    asker TEXT NOT NULL CHECK (length(asker) <= 128),
    failures INTEGER NOT NULL DEFAULT 0,
    wait_until DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    PRIMARY KEY (account, asker)
) WITHOUT ROWID;
CREATE INDEX password_tries_by_updated_at ON password_tries (updated_at);
