-- The same index as in the MySQL dialect. LIKE, which folds the case of ASCII letters, reads by one that does so too.

CREATE INDEX users_by_nickname ON users (nickname COLLATE NOCASE);
