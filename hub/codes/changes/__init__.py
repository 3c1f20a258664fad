"""Changes to an account that rest on a one-time code."""
