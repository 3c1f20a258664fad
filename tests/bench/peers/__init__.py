"""Other servers that do the hub's innermost work, each as somebody who knows it would set it up.

A socket subscribes to a channel of its own; what is published there, by Redis or by a POST, goes to this one
socket. None of them checks an origin, reads a database or knows what a sign-in is.
"""
