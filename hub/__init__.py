"""Login Hub: sign-in by WeChat QR code, fanned out to the waiting browser in real time."""

__version__ = "0.1.0"
