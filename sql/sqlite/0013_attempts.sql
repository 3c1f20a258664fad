-- No query looks for attempts by their binding, and each new one paid for it.

DROP INDEX login_sessions_by_binding_created_at;
