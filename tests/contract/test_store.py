"""What the store promises, on both engines."""

from datetime import UTC, datetime, timedelta


from hub.store.database import Store


async def test_now_is_an_aware_time_in_whole_milliseconds(store: Store) -> None:
    """The clock is the database's: UTC, cut to milliseconds, and close to ours on one machine."""
    now = store.now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
