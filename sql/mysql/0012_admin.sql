-- Administrators look for people by the beginning of their names.

ALTER TABLE users ADD KEY users_by_nickname (nickname);
