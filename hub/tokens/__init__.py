"""Access tokens, refresh tokens and the device sessions behind them."""
