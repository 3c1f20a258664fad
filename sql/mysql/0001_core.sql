-- MySQL 8.0 and MariaDB 10.11. Whatever is looked up by its exact bytes (identifiers, tokens, hashes, openids,
-- e-mail addresses) is utf8mb4_bin, because openids differ by case; human text is utf8mb4_unicode_ci.
-- A unique key is named <table>_<its columns>, as SQLite words its own violations.

CREATE TABLE users (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'The account, the sub of its tokens',
    phone VARCHAR(20) COLLATE utf8mb4_bin NULL COMMENT 'Mobile number in E.164',
    country_code VARCHAR(8) COLLATE utf8mb4_bin NOT NULL DEFAULT '+86' COMMENT 'Calling code of the phone, with its plus sign',
    email VARCHAR(254) COLLATE utf8mb4_bin NULL COMMENT 'E-mail address, case-folded',
    email_verified BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'The address has answered a code',
    is_phone_verified BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'The number has answered a code',
    username VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'Sign-in name, case-folded',
    password_hash VARCHAR(255) COLLATE utf8mb4_bin NULL COMMENT 'argon2id, or bcrypt until the next sign-in',
    nickname VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'Name shown to people',
    avatar_url VARCHAR(1024) COLLATE utf8mb4_bin NULL COMMENT 'Picture',
    bio VARCHAR(1000) COLLATE utf8mb4_unicode_ci NULL COMMENT 'Words about oneself',
    gender VARCHAR(20) COLLATE utf8mb4_bin NULL COMMENT 'male, female, other or prefer_not_to_say',
    birth_date DATE NULL COMMENT 'Day of birth',
    status VARCHAR(16) COLLATE utf8mb4_bin NOT NULL DEFAULT 'active' COMMENT 'active, inactive, pending (address not yet verified) or banned',
    role VARCHAR(16) COLLATE utf8mb4_bin NOT NULL DEFAULT 'user' COMMENT 'user or admin',
    is_premium BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'Pays',
    is_profile_completed BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'The person has filled in the profile',
    profile JSON NULL COMMENT 'Fields of the application, by the schema in PROFILE_SCHEMA',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    last_login_at DATETIME(3) NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY users_phone (phone),
    UNIQUE KEY users_email (email),
    UNIQUE KEY users_username (username),
    KEY users_by_status (status),
    KEY users_by_country_code (country_code),
    KEY users_by_created_at (created_at),
    CONSTRAINT users_phone_length CHECK (CHAR_LENGTH(phone) >= 8),
    CONSTRAINT users_nickname_length CHECK (CHAR_LENGTH(nickname) >= 1),
    CONSTRAINT users_gender_known CHECK (gender IN ('male', 'female', 'other', 'prefer_not_to_say')),
    CONSTRAINT users_status_known CHECK (status IN ('active', 'inactive', 'pending', 'banned')),
    CONSTRAINT users_role_known CHECK (role IN ('user', 'admin'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'One row per account, whatever it signs in with';

CREATE TABLE wechat_users (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'The WeChat identity',
    uid BIGINT NULL COMMENT 'The account it is bound to',
    appid VARCHAR(32) COLLATE utf8mb4_bin NOT NULL COMMENT 'The WeChat application the openid belongs to',
    openid VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'The person within that application',
    unionid VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'The person across the applications of one owner',
    nickname VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As WeChat gave it',
    avatar_url VARCHAR(1024) COLLATE utf8mb4_bin NULL COMMENT 'As WeChat gave it',
    gender SMALLINT NOT NULL DEFAULT 0 COMMENT 'As WeChat counts: 0 unknown, 1 male, 2 female',
    country VARCHAR(64) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As WeChat gave it',
    province VARCHAR(64) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As WeChat gave it',
    city VARCHAR(64) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As WeChat gave it',
    language VARCHAR(16) COLLATE utf8mb4_bin NULL COMMENT 'As WeChat gave it',
    session_key VARCHAR(1024) COLLATE utf8mb4_bin NULL COMMENT 'Mini program session key, encrypted',
    access_token VARCHAR(2048) COLLATE utf8mb4_bin NULL COMMENT 'WeChat token, encrypted',
    refresh_token VARCHAR(2048) COLLATE utf8mb4_bin NULL COMMENT 'WeChat token, encrypted',
    expires_at DATETIME(3) NULL COMMENT 'End of the access token, UTC',
    last_login_at DATETIME(3) NULL COMMENT 'UTC',
    bind_at DATETIME(3) NULL COMMENT 'When it was bound to the account, UTC',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY wechat_users_appid_openid (appid, openid),
    KEY wechat_users_by_uid (uid),
    KEY wechat_users_by_unionid (unionid),
    KEY wechat_users_by_bind_at (bind_at),
    CONSTRAINT wechat_users_uid_fk FOREIGN KEY (uid) REFERENCES users (id) ON DELETE SET NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'People as WeChat knows them, per application';

CREATE TABLE user_login_types (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    user_id BIGINT NOT NULL COMMENT 'The account',
    login_type VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'phone, wechat, both or email',
    wechat_user_id BIGINT NULL COMMENT 'The bound WeChat identity',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY user_login_types_user_id (user_id),
    KEY user_login_types_by_wechat_user_id (wechat_user_id),
    CONSTRAINT user_login_types_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT user_login_types_wechat_fk FOREIGN KEY (wechat_user_id) REFERENCES wechat_users (id) ON DELETE SET NULL,
    CONSTRAINT user_login_types_known CHECK (login_type IN ('phone', 'wechat', 'both', 'email'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'What each account signs in with';

CREATE TABLE oauth_connections (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    user_id BIGINT NOT NULL COMMENT 'The account',
    provider VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'google, apple, github or qq',
    provider_user_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL COMMENT 'The subject at the provider',
    access_token TEXT COLLATE utf8mb4_bin NULL COMMENT 'Provider token, encrypted',
    refresh_token TEXT COLLATE utf8mb4_bin NULL COMMENT 'Provider token, encrypted',
    expires_at DATETIME(3) NULL COMMENT 'End of the access token, UTC',
    profile JSON NULL COMMENT 'As the provider gave it',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY oauth_connections_provider_provider_user_id (provider, provider_user_id),
    KEY oauth_connections_by_user_id_provider (user_id, provider),
    CONSTRAINT oauth_connections_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT oauth_connections_provider_known CHECK (provider IN ('google', 'apple', 'github', 'qq'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Identities at other providers';

CREATE TABLE login_sessions (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'The attempt',
    session_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'SHA-256 of the public session_id, hexadecimal',
    session_seed VARCHAR(22) COLLATE utf8mb4_bin NOT NULL COMMENT 'The public session_id is the keyed hash of this',
    user_id BIGINT NULL COMMENT 'The account, once confirmed',
    qr_code VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'The code that is visible now',
    previous_qr_code VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'The code that was visible before the last rotation',
    qr_expires_at DATETIME(3) NULL COMMENT 'When the visible code rotates, UTC',
    status VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'pending, scanned, confirmed, expired or failed',
    reason VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'Why it failed',
    seq INT NOT NULL DEFAULT 1 COMMENT 'Grows with every move and every rotation',
    purpose VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'login or bind',
    door VARCHAR(24) COLLATE utf8mb4_bin NOT NULL COMMENT 'h5, official_account, open_platform, mini_program or app',
    binding VARCHAR(160) COLLATE utf8mb4_bin NOT NULL COMMENT 'PKCE challenge or hash of the binding cookie of the browser that asked',
    initiator_user_id BIGINT NULL COMMENT 'Who asked to bind',
    initiator_sid VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'In which session',
    successor_id BIGINT NULL COMMENT 'The attempt that a refresh began after this one',
    redirect_uri VARCHAR(2048) COLLATE utf8mb4_bin NULL COMMENT 'Where the authorization code goes',
    state VARCHAR(512) COLLATE utf8mb4_bin NULL COMMENT 'The state the client sent along',
    scanned_by VARCHAR(191) COLLATE utf8mb4_bin NULL COMMENT 'Provider and subject of the person who scanned first',
    provider_profile JSON NULL COMMENT 'That person as the provider described them',
    code_hash VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'SHA-256 of the authorization code, hexadecimal',
    ip_address VARCHAR(45) COLLATE utf8mb4_bin NULL COMMENT 'Address of the browser that asked',
    user_agent VARCHAR(512) COLLATE utf8mb4_unicode_ci NULL COMMENT 'That browser',
    city VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'Where that address is',
    expires_at DATETIME(3) NOT NULL COMMENT 'Deadline of the present state, UTC',
    scanned_at DATETIME(3) NULL COMMENT 'UTC',
    confirmed_at DATETIME(3) NULL COMMENT 'UTC',
    redeemed_at DATETIME(3) NULL COMMENT 'One-time mark of the redemption, UTC',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY login_sessions_session_id (session_id),
    UNIQUE KEY login_sessions_qr_code (qr_code),
    UNIQUE KEY login_sessions_code_hash (code_hash),
    KEY login_sessions_by_previous_qr_code (previous_qr_code),
    KEY login_sessions_by_status_expires_at (status, expires_at),
    KEY login_sessions_by_binding_created_at (binding, created_at),
    CONSTRAINT login_sessions_status_known CHECK (status IN ('pending', 'scanned', 'confirmed', 'expired', 'failed')),
    CONSTRAINT login_sessions_purpose_known CHECK (purpose IN ('login', 'bind')),
    CONSTRAINT login_sessions_door_known CHECK (door IN ('h5', 'official_account', 'open_platform', 'mini_program', 'app'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'QR sign-in attempts';

CREATE TABLE verification_codes (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    channel VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'phone or email',
    address VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'The number or address it was sent to',
    purpose VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'register, login, reset_password, bind or verify',
    code_hash VARCHAR(128) COLLATE utf8mb4_bin NOT NULL COMMENT 'Keyed hash of the code',
    anon_id VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'Device cookie of the asker',
    attempt_count INT NOT NULL DEFAULT 0 COMMENT 'Comparisons made so far',
    is_used BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'Spent, or replaced by a newer one',
    used_at DATETIME(3) NULL COMMENT 'UTC',
    expires_at DATETIME(3) NOT NULL COMMENT 'UTC',
    ip_address VARCHAR(45) COLLATE utf8mb4_bin NULL COMMENT 'Address of the asker',
    device_info JSON NULL COMMENT 'What the asker told of its device',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY verification_codes_by_address_purpose_created_at (address, purpose, created_at),
    KEY verification_codes_by_expires_at (expires_at),
    CONSTRAINT verification_codes_channel_known CHECK (channel IN ('phone', 'email')),
    CONSTRAINT verification_codes_purpose_known CHECK (purpose IN ('register', 'login', 'reset_password', 'bind', 'verify'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'One-time codes by SMS and e-mail';

CREATE TABLE code_locks (
    address VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'The number or address',
    purpose VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'As in verification_codes',
    asker VARCHAR(128) COLLATE utf8mb4_bin NOT NULL COMMENT 'Who is locked out: device cookie, else network',
    locked_until DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (address, purpose, asker),
    KEY code_locks_by_locked_until (locked_until)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Askers who guessed a code wrong too often';

CREATE TABLE email_subscribers (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    email VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'E-mail address, case-folded',
    verified BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'The address has answered',
    anon_id VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'Device cookie of the asker',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    updated_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY email_subscribers_email (email)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Addresses that asked for news';

CREATE TABLE user_sessions (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    sid VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'The session, as tokens name it',
    user_id BIGINT NOT NULL COMMENT 'The account',
    generation INT NOT NULL DEFAULT 0 COMMENT 'Which refresh token is the current one',
    salt VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'Goes into the refresh token''s keyed hash',
    rotated_at DATETIME(3) NULL COMMENT 'Last refresh, UTC',
    rotated_by VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'Hash of network and user agent of the last refresh',
    auth_time DATETIME(3) NOT NULL COMMENT 'Last real sign-in, UTC',
    token_type VARCHAR(16) COLLATE utf8mb4_bin NOT NULL DEFAULT 'Bearer' COMMENT 'As RFC 6749 section 7.1',
    amr VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'How the person signed in, as RFC 8176',
    client_id VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'The confidential client the tokens were issued to',
    device_name VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As the client told it',
    device_type VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'ios, android, web or what the client told',
    device_id VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'As the client told it',
    ip_address VARCHAR(45) COLLATE utf8mb4_bin NULL COMMENT 'Address at the last use',
    user_agent VARCHAR(512) COLLATE utf8mb4_unicode_ci NULL COMMENT 'Program at the last use',
    location VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'City of that address',
    is_active BOOLEAN NOT NULL DEFAULT TRUE COMMENT 'Not revoked',
    revoked_at DATETIME(3) NULL COMMENT 'UTC',
    revoked_reason VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'Why it was ended',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    last_active_at DATETIME(3) NOT NULL COMMENT 'UTC',
    expires_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY user_sessions_sid (sid),
    KEY user_sessions_by_user_id_is_active (user_id, is_active),
    KEY user_sessions_by_expires_at (expires_at),
    KEY user_sessions_by_revoked_at (revoked_at),
    CONSTRAINT user_sessions_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Devices that are signed in';

CREATE TABLE login_logs (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    user_id BIGINT NULL COMMENT 'The account, where one was found and still exists',
    account VARCHAR(254) COLLATE utf8mb4_bin NULL COMMENT 'The number, address or identity that was tried',
    login_method VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'How',
    login_status VARCHAR(16) COLLATE utf8mb4_bin NOT NULL COMMENT 'success, failed or blocked',
    failure_reason VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'Why not',
    risk JSON NULL COMMENT 'Signals that were raised',
    ip_address VARCHAR(45) COLLATE utf8mb4_bin NULL COMMENT 'From where',
    device_type VARCHAR(32) COLLATE utf8mb4_bin NULL COMMENT 'As the client told it',
    device_name VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'As the client told it',
    user_agent VARCHAR(512) COLLATE utf8mb4_unicode_ci NULL COMMENT 'With what',
    location VARCHAR(128) COLLATE utf8mb4_unicode_ci NULL COMMENT 'City of the address',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY login_logs_by_user_id_created_at (user_id, created_at),
    KEY login_logs_by_account_created_at (account, created_at),
    KEY login_logs_by_login_status_created_at (login_status, created_at),
    KEY login_logs_by_ip_address_created_at (ip_address, created_at),
    CONSTRAINT login_logs_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT login_logs_method_known CHECK (login_method IN (
        'sms_code', 'email_code', 'password', 'one_click', 'wechat', 'qq', 'apple', 'google', 'github', 'refresh')),
    CONSTRAINT login_logs_status_known CHECK (login_status IN ('success', 'failed', 'blocked')),
    CONSTRAINT login_logs_reason_known CHECK (failure_reason IN (
        'invalid_code', 'expired_code', 'account_blocked', 'rate_limit', 'network_error', 'declined', 'reuse_detected',
        'unknown'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Every try to sign in, good or bad';

CREATE TABLE provider_callbacks (
    state_hash VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'SHA-256 of the one-time state, hexadecimal',
    code_hash VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'SHA-256 of the provider''s code, hexadecimal',
    attempt_id BIGINT NOT NULL COMMENT 'The attempt the consent belongs to',
    outcome VARCHAR(255) COLLATE utf8mb4_bin NULL COMMENT 'What the first hit came to; null while it is at work',
    leased_until DATETIME(3) NULL COMMENT 'Until when the first hit may be at work, UTC',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (state_hash),
    KEY provider_callbacks_by_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Consents that came back, so that one hit exchanges the code';

CREATE TABLE account_events (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    user_id BIGINT NOT NULL COMMENT 'The account',
    seq BIGINT NOT NULL COMMENT 'Order within the account',
    type VARCHAR(32) COLLATE utf8mb4_bin NOT NULL COMMENT 'What happened',
    payload JSON NOT NULL COMMENT 'Details',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    UNIQUE KEY account_events_user_id_seq (user_id, seq),
    KEY account_events_by_created_at (created_at),
    CONSTRAINT account_events_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'What the account stream tells';

CREATE TABLE admin_log (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    actor VARCHAR(128) COLLATE utf8mb4_bin NOT NULL COMMENT 'Who did it',
    action VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'What was done',
    target VARCHAR(128) COLLATE utf8mb4_bin NULL COMMENT 'To whom or what',
    detail JSON NULL COMMENT 'Before and after',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY admin_log_by_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'What administrators did';

CREATE TABLE outbox (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Row',
    kind VARCHAR(32) COLLATE utf8mb4_bin NOT NULL COMMENT 'sms, email or webhook',
    payload TEXT COLLATE utf8mb4_bin NOT NULL COMMENT 'The message, encrypted',
    attempts INT NOT NULL DEFAULT 0 COMMENT 'Tries made so far',
    next_attempt_at DATETIME(3) NOT NULL COMMENT 'UTC',
    sent_at DATETIME(3) NULL COMMENT 'UTC',
    dead_at DATETIME(3) NULL COMMENT 'When it was given up, UTC',
    created_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (id),
    KEY outbox_by_sent_at_dead_at_next_attempt_at (sent_at, dead_at, next_attempt_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Messages to send';
