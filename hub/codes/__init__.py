"""One-time codes, and the messages that carry them."""
