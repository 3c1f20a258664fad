"""People: users, their identities and profiles."""
