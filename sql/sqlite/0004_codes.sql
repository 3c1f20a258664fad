-- Who has tried a code, so that a stranger's tries never lock its owner out, and the cost fuse of the day.

ALTER TABLE verification_codes ADD COLUMN tried_by TEXT CHECK (length(tried_by) <= 128);

CREATE TABLE sms_budgets (
    day TEXT NOT NULL CHECK (length(day) <= 10),
    scope TEXT NOT NULL CHECK (length(scope) <= 16),
    sent INTEGER NOT NULL,
    PRIMARY KEY (day, scope)
) WITHOUT ROWID;
