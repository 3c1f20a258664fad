"""Fan-out to waiting watchers: the broker port and its two back ends."""
