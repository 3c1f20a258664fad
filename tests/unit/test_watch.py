"""The watcher's slot, and the register of watchers."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.realtime.watch import READ_AGAIN, Message, Watch, Watches

SECOND = 5.0


def message(seq: int) -> Message:
    """Return the message *seq*."""
    return Message(seq, b'{"seq":%d}' % seq)


async def test_a_held_message_is_returned_without_waiting() -> None:
    """What came before the reader is there when it asks."""
    watch = Watch("a")
    watch.offer(message(1))
    assert await watch.next(0) == message(1)


async def test_the_slot_holds_only_the_newest() -> None:
    """A slow reader finds the newest message and none of those before it."""
    watch = Watch("a")
    for seq in (1, 2, 3):
        watch.offer(message(seq))
    assert await watch.next(0) == message(3)
    assert await watch.next(0) is None


@pytest.mark.parametrize("late", [2, 3])
async def test_an_older_or_equal_message_is_dropped_while_one_is_held(late: int) -> None:
    """What comes out of order does not replace what is newer."""
    watch = Watch("a")
    watch.offer(message(3))
    watch.offer(Message(late, b"late"))
    assert await watch.next(0) == message(3)


@pytest.mark.parametrize("late", [2, 3])
async def test_an_older_or_equal_message_is_dropped_after_one_was_taken(late: int) -> None:
    """The watch remembers what it gave out."""
    watch = Watch("a")
    watch.offer(message(3))
    await watch.next(0)
    watch.offer(Message(late, b"late"))
    assert await watch.next(0) is None


async def test_the_first_message_may_be_number_zero() -> None:
    """A sequence that begins with 0 loses nothing."""
    watch = Watch("a")
    watch.offer(message(0))
    assert await watch.next(0) == message(0)


@given(st.lists(st.integers(0, 50), min_size=1))
def test_whatever_the_order_the_newest_comes_out(order: list[int]) -> None:
    """Any order of arrival leaves the highest number in the slot."""

    async def run() -> None:
        watch = Watch("a")
        for seq in order:
            watch.offer(message(seq))
        assert await watch.next(0) == message(max(order))

    asyncio.run(run())


async def test_a_waiting_reader_is_woken_by_a_message() -> None:
    """next() returns as soon as something is offered."""
    watch = Watch("a")
    asyncio.get_running_loop().call_soon(watch.offer, message(1))
    assert await watch.next(SECOND) == message(1)


async def test_a_waiting_reader_is_woken_to_read_again() -> None:
    """next() returns READ_AGAIN as soon as a subscription is confirmed."""
    watch = Watch("a")
    asyncio.get_running_loop().call_soon(watch.read_again)
    assert await watch.next(SECOND) is READ_AGAIN


async def test_next_without_a_time_limit_waits_for_the_message() -> None:
    """A timeout of None sets no timer."""
    watch = Watch("a")
    asyncio.get_running_loop().call_soon(watch.offer, message(1))
    async with asyncio.timeout(SECOND):
        assert await watch.next(None) == message(1)


async def test_next_returns_none_when_the_time_is_over() -> None:
    """Nothing offered, nothing returned."""
    assert await Watch("a").next(0.001) is None


async def test_a_time_limit_ends_with_its_own_wait() -> None:
    """The limit of a wait that got its message does not cut the next wait short."""
    watch = Watch("a")
    asyncio.get_running_loop().call_soon(watch.offer, message(1))
    assert await watch.next(0.01) == message(1)
    asyncio.get_running_loop().call_later(0.1, watch.offer, message(2))
    assert await watch.next(SECOND) == message(2)


async def test_read_again_comes_before_what_is_held() -> None:
    """The reader first learns of the gap, then gets the message."""
    watch = Watch("a")
    watch.offer(message(1))
    watch.read_again()
    assert await watch.next(0) is READ_AGAIN
    assert await watch.next(0) == message(1)


async def test_several_read_agains_are_one() -> None:
    """Two confirmations before the reader comes ask for one reading."""
    watch = Watch("a")
    watch.read_again()
    watch.read_again()
    assert await watch.next(0) is READ_AGAIN
    assert await watch.next(0) is None


async def test_what_the_reader_read_itself_drops_the_older_message() -> None:
    """The truth at 5, offered by the reader, leaves no room for the 4 that was on its way."""
    watch = Watch("a")
    watch.offer(message(5))
    assert await watch.next(0) == message(5)
    watch.offer(message(4))
    assert await watch.next(0) is None


async def test_a_cancelled_wait_takes_nothing() -> None:
    """A message that came just before the cancellation is there for the next reader."""
    watch = Watch("a")
    reader = asyncio.create_task(watch.next(None))
    await asyncio.sleep(0)
    watch.offer(message(1))
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await watch.next(0) == message(1)


async def test_two_readers_of_one_watch_are_refused() -> None:
    """A second coroutine would steal the first one's messages."""
    watch = Watch("a")
    first = asyncio.create_task(watch.next(None))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one coroutine"):
        await watch.next(None)
    watch.offer(message(1))
    assert await first == message(1)


def test_a_watch_has_no_dict() -> None:
    """Ten thousand watches are ten thousand small objects."""
    assert not hasattr(Watch("a"), "__dict__")


def test_adding_and_removing_tell_the_first_and_the_last() -> None:
    """The register says when a channel begins and ends to be of interest."""
    watches, one, two = Watches(), Watch("a"), Watch("a")
    assert [watches.add(one), watches.add(two)] == [True, False]
    assert [watches.remove(one), watches.remove(two)] == [False, True]
    assert list(watches) == []


def test_removing_what_is_not_there_is_no_error() -> None:
    """A watcher that is detached twice ends its channel once."""
    watches, watch = Watches(), Watch("a")
    watches.add(watch)
    assert [watches.remove(watch), watches.remove(watch)] == [True, False]


async def test_offers_go_to_all_watchers_of_their_channel_only() -> None:
    """Two watchers of a channel get the message, a third one of another channel does not."""
    watches = Watches()
    one, two, other = Watch("a"), Watch("a"), Watch("b")
    for watch in (one, two, other):
        watches.add(watch)
    watches.offer("a", message(1))
    assert [await watch.next(0) for watch in (one, two, other)] == [message(1), message(1), None]


async def test_a_watcher_may_leave_while_it_is_offered_to() -> None:
    """One that detaches itself in offer() keeps no other from its message."""
    watches = Watches()

    class Leaving(Watch):
        def offer(self, message: Message) -> None:
            watches.remove(self)

    leaving, staying = Leaving("a"), Watch("a")
    watches.add(leaving)
    watches.add(staying)
    watches.offer("a", message(1))
    assert await staying.next(0) == message(1)
    assert watches.remove(staying)
