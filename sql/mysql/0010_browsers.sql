-- At the door open_platform WeChat sends the person back to the browser that began, whatever binds its tokens.

ALTER TABLE login_sessions
    ADD COLUMN cookie_hash VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'SHA-256 of the binding cookie of the browser that asked, where the door demands it';
