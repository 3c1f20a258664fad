-- No query looks for attempts by their binding, and each new one paid for it.

ALTER TABLE login_sessions DROP KEY login_sessions_by_binding_created_at;
