"""WeChat's callback: every consent comes back here, and each code is exchanged once."""
