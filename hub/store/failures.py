"""What can go wrong between the hub and its database, in words that are the same on both engines."""


class UniqueViolation(Exception):
    """An INSERT or UPDATE met a row with the same unique key; only that statement is undone.

    `key` is `<table>_<columns>`, e.g. `users_phone`; for a primary key MySQL only tells `PRIMARY`.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class QueryFailed(Exception):
    """The database refused a statement for what it says: a defect of ours, never an outage."""


class LinkLost(Exception):
    """The connection is gone; whether the last statement took effect is not known."""


class Contended(Exception):
    """A deadlock, a lock wait over its limit, or a busy file: the transaction is to be run again."""


class Refused(Exception):
    """The database answers, but does not serve for now (shutting down, read-only, full, too many clients)."""


class PostFailed(Exception):
    """A statement that was posted has failed with *failure*, at the latest when a later one was run."""

    def __init__(self, failure: UniqueViolation | QueryFailed) -> None:
        super().__init__(str(failure))
        self.failure = failure
