-- At the door open_platform WeChat sends the person back to the browser that began, whatever binds its tokens.

ALTER TABLE login_sessions ADD COLUMN cookie_hash TEXT CHECK (length(cookie_hash) <= 64);
