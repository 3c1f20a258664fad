-- What tells an unusual sign-in from a usual one, who was warned when, and the reports of "this was not me".

ALTER TABLE login_logs ADD COLUMN device_key TEXT CHECK (length(device_key) <= 32);
ALTER TABLE login_logs ADD COLUMN source TEXT CHECK (length(source) <= 45);
CREATE INDEX login_logs_by_user_id_login_status_created_at_device_key_ip ON login_logs (
    user_id, login_status, created_at, device_key, ip_address);
CREATE INDEX login_logs_by_source_created_at_account ON login_logs (source, created_at, account);

CREATE TABLE account_warnings (
    user_id INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (length(kind) <= 32),
    told_at DATETIME NOT NULL,
    PRIMARY KEY (user_id, kind),
    CONSTRAINT account_warnings_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX account_warnings_by_told_at ON account_warnings (told_at);

CREATE TABLE sign_in_reports (
    source TEXT NOT NULL CHECK (length(source) <= 45),
    reporter TEXT NOT NULL CHECK (length(reporter) <= 191),
    reported_at DATETIME NOT NULL,
    PRIMARY KEY (source, reporter)
) WITHOUT ROWID;
CREATE INDEX sign_in_reports_by_reported_at ON sign_in_reports (reported_at);
