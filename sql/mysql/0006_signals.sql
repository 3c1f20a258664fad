-- What tells an unusual sign-in from a usual one, who was warned when, and the reports of "this was not me".

ALTER TABLE login_logs
    ADD COLUMN device_key VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'By what the device is known again; only of sign-ins',
    ADD COLUMN source VARCHAR(45) COLLATE utf8mb4_bin NULL COMMENT 'The address, of IPv6 its /64',
    ADD KEY login_logs_by_user_id_login_status_created_at_device_key_ip (
        user_id, login_status, created_at, device_key, ip_address),
    ADD KEY login_logs_by_source_created_at_account (source, created_at, account);

CREATE TABLE account_warnings (
    user_id BIGINT NOT NULL COMMENT 'The account',
    kind VARCHAR(32) COLLATE utf8mb4_bin NOT NULL COMMENT 'What its person was told of',
    told_at DATETIME(3) NOT NULL COMMENT 'The last time, UTC',
    PRIMARY KEY (user_id, kind),
    KEY account_warnings_by_told_at (told_at),
    CONSTRAINT account_warnings_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'So that nobody is told of the same thing all the time';

CREATE TABLE sign_in_reports (
    source VARCHAR(45) COLLATE utf8mb4_bin NOT NULL COMMENT 'Where the browser was: its address, of IPv6 its /64',
    reporter VARCHAR(191) COLLATE utf8mb4_bin NOT NULL COMMENT 'Who said "this was not me": provider, app and subject',
    reported_at DATETIME(3) NOT NULL COMMENT 'The last time, UTC',
    PRIMARY KEY (source, reporter),
    KEY sign_in_reports_by_reported_at (reported_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Browsers that people did not know';
