-- Access tokens of our own WeChat apps, one for all processes.

CREATE TABLE wechat_account_tokens (
    appid TEXT NOT NULL PRIMARY KEY CHECK (length(appid) <= 32),
    access_token TEXT CHECK (length(access_token) <= 2048),
    expires_at DATETIME,
    renew_at DATETIME,
    generation INTEGER NOT NULL,
    leased_until DATETIME,
    failure TEXT CHECK (length(failure) <= 16),
    refused_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
) WITHOUT ROWID;
