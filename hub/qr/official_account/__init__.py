"""The door `official_account`: a scan is pushed to the hub, whose reply has the link to confirm by."""
