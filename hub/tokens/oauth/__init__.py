"""The OAuth endpoints: token, revocation, introspection."""
