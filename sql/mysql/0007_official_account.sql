-- The door of the official account: what its codes say, its confirm links, and the pushes that were seen.

ALTER TABLE login_sessions
    ADD COLUMN qr_content VARCHAR(255) COLLATE utf8mb4_bin NULL COMMENT 'What the picture says; NULL: the address of the landing page',
    ADD COLUMN confirm_link VARCHAR(64) COLLATE utf8mb4_bin NULL COMMENT 'SHA-256 of the one link that leads its person to the confirm page; NULL once used';

CREATE TABLE wechat_pushes (
    push_key VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'SHA-256 of what all tries of one push have in common',
    received_at DATETIME(3) NOT NULL COMMENT 'UTC',
    PRIMARY KEY (push_key),
    KEY wechat_pushes_by_received_at (received_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Pushes of the official account that were acted upon';
