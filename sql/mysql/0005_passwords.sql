-- Wrong passwords, counted by the account and by the network they came from.

CREATE TABLE password_tries (
    account VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'Hash of the account, or of a name nobody has; empty: all of a network',
    asker VARCHAR(128) COLLATE utf8mb4_bin NOT NULL COMMENT 'A device that has signed in to the account, or a network; empty: everybody else',
    failures INT NOT NULL DEFAULT 0 COMMENT 'Tries since the last right one',
    wait_until DATETIME(3) NOT NULL COMMENT 'No try is taken before (UTC)',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (account, asker),
    KEY password_tries_by_updated_at (updated_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Failed sign-ins by password';
