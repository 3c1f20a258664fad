"""What the endpoints of the QR sign-in declare: what they read, and what they tell."""
