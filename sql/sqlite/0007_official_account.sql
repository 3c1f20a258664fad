-- The door of the official account: what its codes say, its confirm links, and the pushes that were seen.

ALTER TABLE login_sessions ADD COLUMN qr_content TEXT CHECK (length(qr_content) <= 255);
ALTER TABLE login_sessions ADD COLUMN confirm_link TEXT CHECK (length(confirm_link) <= 64);

CREATE TABLE wechat_pushes (
    push_key TEXT NOT NULL PRIMARY KEY CHECK (length(push_key) <= 64),
    received_at DATETIME NOT NULL
) WITHOUT ROWID;
CREATE INDEX wechat_pushes_by_received_at ON wechat_pushes (received_at);
