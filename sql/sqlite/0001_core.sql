-- The same tables as in the MySQL dialect. Times are UTC text 'YYYY-MM-DD HH:MM:SS.mmm' in columns declared DATETIME, so
-- that they compare in order; lengths are checked, so that what fits here fits there.

CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    phone TEXT CHECK (length(phone) <= 20),
    country_code TEXT NOT NULL DEFAULT '+86' CHECK (length(country_code) <= 8),
    email TEXT CHECK (length(email) <= 254),
    email_verified BOOLEAN NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)),
    is_phone_verified BOOLEAN NOT NULL DEFAULT 0 CHECK (is_phone_verified IN (0, 1)),
    username TEXT CHECK (length(username) <= 64),
    password_hash TEXT CHECK (length(password_hash) <= 255),
    nickname TEXT CHECK (length(nickname) <= 128),
    avatar_url TEXT CHECK (length(avatar_url) <= 1024),
    bio TEXT CHECK (length(bio) <= 1000),
    gender TEXT,
    birth_date TEXT CHECK (length(birth_date) = 10),
    status TEXT NOT NULL DEFAULT 'active',
    role TEXT NOT NULL DEFAULT 'user',
    is_premium BOOLEAN NOT NULL DEFAULT 0 CHECK (is_premium IN (0, 1)),
    is_profile_completed BOOLEAN NOT NULL DEFAULT 0 CHECK (is_profile_completed IN (0, 1)),
    profile TEXT CHECK (profile IS NULL OR json_valid(profile)),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    last_login_at DATETIME,
    UNIQUE (phone),
    UNIQUE (email),
    UNIQUE (username),
    CONSTRAINT users_phone_length CHECK (length(phone) >= 8),
    CONSTRAINT users_nickname_length CHECK (length(nickname) >= 1),
    CONSTRAINT users_gender_known CHECK (gender IN ('male', 'female', 'other', 'prefer_not_to_say')),
    CONSTRAINT users_status_known CHECK (status IN ('active', 'inactive', 'pending', 'banned')),
    CONSTRAINT users_role_known CHECK (role IN ('user', 'admin'))
);
CREATE INDEX users_by_status ON users (status);
CREATE INDEX users_by_country_code ON users (country_code);
CREATE INDEX users_by_created_at ON users (created_at);

CREATE TABLE wechat_users (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid INTEGER,
    appid TEXT NOT NULL CHECK (length(appid) <= 32),
    openid TEXT NOT NULL CHECK (length(openid) <= 64),
    unionid TEXT CHECK (length(unionid) <= 64),
    nickname TEXT CHECK (length(nickname) <= 128),
    avatar_url TEXT CHECK (length(avatar_url) <= 1024),
    gender INTEGER NOT NULL DEFAULT 0,
    country TEXT CHECK (length(country) <= 64),
    province TEXT CHECK (length(province) <= 64),
    city TEXT CHECK (length(city) <= 64),
    language TEXT CHECK (length(language) <= 16),
    session_key TEXT CHECK (length(session_key) <= 1024),
    access_token TEXT CHECK (length(access_token) <= 2048),
    refresh_token TEXT CHECK (length(refresh_token) <= 2048),
    expires_at DATETIME,
    last_login_at DATETIME,
    bind_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    UNIQUE (appid, openid),
    CONSTRAINT wechat_users_uid_fk FOREIGN KEY (uid) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX wechat_users_by_uid ON wechat_users (uid);
CREATE INDEX wechat_users_by_unionid ON wechat_users (unionid);
CREATE INDEX wechat_users_by_bind_at ON wechat_users (bind_at);

CREATE TABLE user_login_types (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    login_type TEXT NOT NULL,
    wechat_user_id INTEGER,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    UNIQUE (user_id),
    CONSTRAINT user_login_types_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT user_login_types_wechat_fk FOREIGN KEY (wechat_user_id) REFERENCES wechat_users (id) ON DELETE SET NULL,
    CONSTRAINT user_login_types_known CHECK (login_type IN ('phone', 'wechat', 'both', 'email'))
);
CREATE INDEX user_login_types_by_wechat_user_id ON user_login_types (wechat_user_id);

CREATE TABLE oauth_connections (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    provider_user_id TEXT NOT NULL CHECK (length(provider_user_id) <= 255),
    access_token TEXT,
    refresh_token TEXT,
    expires_at DATETIME,
    profile TEXT CHECK (profile IS NULL OR json_valid(profile)),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    UNIQUE (provider, provider_user_id),
    CONSTRAINT oauth_connections_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT oauth_connections_provider_known CHECK (provider IN ('google', 'apple', 'github', 'qq'))
);
CREATE INDEX oauth_connections_by_user_id_provider ON oauth_connections (user_id, provider);

CREATE TABLE login_sessions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL CHECK (length(session_id) <= 64),
    session_seed TEXT NOT NULL CHECK (length(session_seed) <= 22),
    user_id INTEGER,
    qr_code TEXT NOT NULL CHECK (length(qr_code) <= 64),
    previous_qr_code TEXT CHECK (length(previous_qr_code) <= 64),
    qr_expires_at DATETIME,
    status TEXT NOT NULL,
    reason TEXT CHECK (length(reason) <= 32),
    seq INTEGER NOT NULL DEFAULT 1,
    purpose TEXT NOT NULL,
    door TEXT NOT NULL,
    binding TEXT NOT NULL CHECK (length(binding) <= 160),
    initiator_user_id INTEGER,
    initiator_sid TEXT CHECK (length(initiator_sid) <= 64),
    successor_id INTEGER,
    redirect_uri TEXT CHECK (length(redirect_uri) <= 2048),
    state TEXT CHECK (length(state) <= 512),
    scanned_by TEXT CHECK (length(scanned_by) <= 191),
    provider_profile TEXT CHECK (provider_profile IS NULL OR json_valid(provider_profile)),
    code_hash TEXT CHECK (length(code_hash) <= 64),
    ip_address TEXT CHECK (length(ip_address) <= 45),
    user_agent TEXT CHECK (length(user_agent) <= 512),
    city TEXT CHECK (length(city) <= 128),
    expires_at DATETIME NOT NULL,
    scanned_at DATETIME,
    confirmed_at DATETIME,
    redeemed_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    UNIQUE (session_id),
    UNIQUE (qr_code),
    UNIQUE (code_hash),
    CONSTRAINT login_sessions_status_known CHECK (status IN ('pending', 'scanned', 'confirmed', 'expired', 'failed')),
    CONSTRAINT login_sessions_purpose_known CHECK (purpose IN ('login', 'bind')),
    CONSTRAINT login_sessions_door_known CHECK (door IN ('h5', 'official_account', 'open_platform', 'mini_program', 'app'))
);
CREATE INDEX login_sessions_by_previous_qr_code ON login_sessions (previous_qr_code);
CREATE INDEX login_sessions_by_status_expires_at ON login_sessions (status, expires_at);
CREATE INDEX login_sessions_by_binding_created_at ON login_sessions (binding, created_at);

CREATE TABLE verification_codes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    address TEXT NOT NULL CHECK (length(address) <= 254),
    purpose TEXT NOT NULL,
    code_hash TEXT NOT NULL CHECK (length(code_hash) <= 128),
    anon_id TEXT CHECK (length(anon_id) <= 64),
    attempt_count INTEGER NOT NULL DEFAULT 0,
    is_used BOOLEAN NOT NULL DEFAULT 0 CHECK (is_used IN (0, 1)),
    used_at DATETIME,
    expires_at DATETIME NOT NULL,
    ip_address TEXT CHECK (length(ip_address) <= 45),
    device_info TEXT CHECK (device_info IS NULL OR json_valid(device_info)),
    created_at DATETIME NOT NULL,
    CONSTRAINT verification_codes_channel_known CHECK (channel IN ('phone', 'email')),
    CONSTRAINT verification_codes_purpose_known CHECK (purpose IN ('register', 'login', 'reset_password', 'bind', 'verify'))
);
CREATE INDEX verification_codes_by_address_purpose_created_at ON verification_codes (address, purpose, created_at);
CREATE INDEX verification_codes_by_expires_at ON verification_codes (expires_at);

CREATE TABLE code_locks (
    address TEXT NOT NULL CHECK (length(address) <= 254),
    purpose TEXT NOT NULL CHECK (length(purpose) <= 16),
    asker TEXT NOT NULL CHECK (length(asker) <= 128),
    locked_until DATETIME NOT NULL,
    PRIMARY KEY (address, purpose, asker)
) WITHOUT ROWID;
CREATE INDEX code_locks_by_locked_until ON code_locks (locked_until);

CREATE TABLE email_subscribers (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL CHECK (length(email) <= 254),
    verified BOOLEAN NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
    anon_id TEXT CHECK (length(anon_id) <= 64),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    UNIQUE (email)
);

CREATE TABLE user_sessions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL CHECK (length(sid) <= 64),
    user_id INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    salt TEXT NOT NULL CHECK (length(salt) <= 64),
    rotated_at DATETIME,
    rotated_by TEXT CHECK (length(rotated_by) <= 128),
    auth_time DATETIME NOT NULL,
    token_type TEXT NOT NULL DEFAULT 'Bearer' CHECK (length(token_type) <= 16),
    amr TEXT CHECK (length(amr) <= 128),
    client_id TEXT CHECK (length(client_id) <= 64),
    device_name TEXT CHECK (length(device_name) <= 128),
    device_type TEXT CHECK (length(device_type) <= 32),
    device_id TEXT CHECK (length(device_id) <= 128),
    ip_address TEXT CHECK (length(ip_address) <= 45),
    user_agent TEXT CHECK (length(user_agent) <= 512),
    location TEXT CHECK (length(location) <= 128),
    is_active BOOLEAN NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    revoked_at DATETIME,
    revoked_reason TEXT CHECK (length(revoked_reason) <= 32),
    created_at DATETIME NOT NULL,
    last_active_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    UNIQUE (sid),
    CONSTRAINT user_sessions_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX user_sessions_by_user_id_is_active ON user_sessions (user_id, is_active);
CREATE INDEX user_sessions_by_expires_at ON user_sessions (expires_at);
CREATE INDEX user_sessions_by_revoked_at ON user_sessions (revoked_at);

CREATE TABLE login_logs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    account TEXT CHECK (length(account) <= 254),
    login_method TEXT NOT NULL,
    login_status TEXT NOT NULL,
    failure_reason TEXT,
    risk TEXT CHECK (risk IS NULL OR json_valid(risk)),
    ip_address TEXT CHECK (length(ip_address) <= 45),
    device_type TEXT CHECK (length(device_type) <= 32),
    device_name TEXT CHECK (length(device_name) <= 128),
    user_agent TEXT CHECK (length(user_agent) <= 512),
    location TEXT CHECK (length(location) <= 128),
    created_at DATETIME NOT NULL,
    CONSTRAINT login_logs_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT login_logs_method_known CHECK (login_method IN (
        'sms_code', 'email_code', 'password', 'one_click', 'wechat', 'qq', 'apple', 'google', 'github', 'refresh')),
    CONSTRAINT login_logs_status_known CHECK (login_status IN ('success', 'failed', 'blocked')),
    CONSTRAINT login_logs_reason_known CHECK (failure_reason IN (
        'invalid_code', 'expired_code', 'account_blocked', 'rate_limit', 'network_error', 'declined', 'reuse_detected',
        'unknown'))
);
CREATE INDEX login_logs_by_user_id_created_at ON login_logs (user_id, created_at);
CREATE INDEX login_logs_by_account_created_at ON login_logs (account, created_at);
CREATE INDEX login_logs_by_login_status_created_at ON login_logs (login_status, created_at);
CREATE INDEX login_logs_by_ip_address_created_at ON login_logs (ip_address, created_at);

CREATE TABLE provider_callbacks (
    state_hash TEXT NOT NULL CHECK (length(state_hash) <= 64),
    code_hash TEXT CHECK (length(code_hash) <= 64),
    attempt_id INTEGER NOT NULL,
    outcome TEXT CHECK (length(outcome) <= 255),
    leased_until DATETIME,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (state_hash)
) WITHOUT ROWID;
CREATE INDEX provider_callbacks_by_created_at ON provider_callbacks (created_at);

CREATE TABLE account_events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL CHECK (length(type) <= 32),
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    created_at DATETIME NOT NULL,
    UNIQUE (user_id, seq),
    CONSTRAINT account_events_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX account_events_by_created_at ON account_events (created_at);

CREATE TABLE admin_log (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    actor TEXT NOT NULL CHECK (length(actor) <= 128),
    action TEXT NOT NULL CHECK (length(action) <= 64),
    target TEXT CHECK (length(target) <= 128),
    detail TEXT CHECK (detail IS NULL OR json_valid(detail)),
    created_at DATETIME NOT NULL
);
CREATE INDEX admin_log_by_created_at ON admin_log (created_at);

CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (length(kind) <= 32),
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at DATETIME NOT NULL,
    sent_at DATETIME,
    dead_at DATETIME,
    created_at DATETIME NOT NULL
);
CREATE INDEX outbox_by_sent_at_dead_at_next_attempt_at ON outbox (sent_at, dead_at, next_attempt_at);
