"""The register of watchers."""

from hub.realtime.watch import Message, Watches
from tests.watch import Watch


def message(seq: int) -> Message:
    """Return the message *seq*."""
    return Message(seq, b'{"seq":%d}' % seq)


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
