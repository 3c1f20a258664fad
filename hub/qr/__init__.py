"""The QR sign-in: its states, its service and its edges."""
