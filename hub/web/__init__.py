"""What all HTTP and WebSocket edges share."""
