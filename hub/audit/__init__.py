"""The login log."""
