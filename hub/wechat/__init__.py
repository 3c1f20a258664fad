"""WeChat: the client, the doors a phone comes in by, and the sandbox that stands in for it."""
