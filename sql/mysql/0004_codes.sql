-- Who has tried a code, so that a stranger's tries never lock its owner out, and the cost fuse of the day.

ALTER TABLE verification_codes
    ADD COLUMN tried_by VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'The one asker behind all tries so far, empty once there were several';

CREATE TABLE sms_budgets (
    day VARCHAR(10) COLLATE utf8mb4_bin NOT NULL COMMENT 'Date in UTC',
    scope VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'all, or a calling code with its plus sign',
    sent INT NOT NULL COMMENT 'Codes by SMS so far',
    PRIMARY KEY (day, scope)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'What the SMS of a day have used up';
