"""Rate limits: one port, counted in process or in Redis."""
