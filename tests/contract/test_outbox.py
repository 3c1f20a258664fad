"""The queue of messages, on both engines: what is in it, who may send it, and what becomes of it."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from hub.codes.messages import Message
from hub.codes.outbox import LEASE, Claim, Outbox
from hub.errors import Unavailable
from hub.store.database import Connection, Row, Store
from hub.store.encryption import DataKeys, Unsealable
from tests.outgoing import code_for, enqueue, make_outbox
from tests.signing_in import Clock, rows

ALL = "SELECT * FROM outbox ORDER BY id"


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """An outbox of both kinds."""
    return make_outbox(store)


async def claimed(outbox: Outbox) -> Claim:
    """The first message that is due, claimed."""
    (row, *_) = await outbox.due("sms", 10)
    claim = await outbox.claim(row)
    assert claim
    return claim


async def test_a_message_comes_out_as_it_went_in(store: Store, outbox: Outbox) -> None:
    """Whoever claims it reads all of it."""
    message = code_for(store)
    await enqueue(store, outbox, message)
    assert outbox.open(await claimed(outbox)) == message


async def test_what_is_rolled_back_is_not_sent(store: Store, outbox: Outbox) -> None:
    """A message belongs to the transaction that queues it."""

    async def work(tx: Connection) -> None:
        await outbox.enqueue(tx, "sms", code_for(store), store.now())
        raise KeyError

    with pytest.raises(KeyError):
        await store.write(work)
    assert await outbox.due("sms", 10) == []


async def test_the_table_tells_nothing(store: Store, outbox: Outbox, database_url: str) -> None:
    """Neither the code nor the address can be read in the database."""
    await enqueue(store, outbox, code_for(store))
    (row,) = await rows(database_url, ALL)
    assert "042917" not in str(row)
    assert "13800138000" not in str(row)


async def test_a_moved_payload_does_not_open(store: Store, outbox: Outbox) -> None:
    """Who can write to the table cannot have one's message sent to another."""
    await enqueue(store, outbox, code_for(store), code_for(store, "+8613900139000"))
    one, other = await outbox.due("sms", 10)
    swapped = await outbox.claim({**one, "payload": other["payload"]})
    assert swapped
    with pytest.raises(Unsealable):
        outbox.open(swapped)


async def test_another_key_does_not_open(store: Store, outbox: Outbox) -> None:
    """Without the key of DATA_KEYS that sealed it, a message is unreadable."""
    await enqueue(store, outbox, code_for(store))
    stranger = Outbox(store, DataKeys(["another-data-key-of-more-than-32-bytes"]), ["sms"])
    with pytest.raises(Unsealable):
        stranger.open(await claimed(outbox))


@pytest.mark.parametrize(
    ("message", "error"),
    [("login", None), ("mail", Unavailable), ("template", ValueError)],
)
async def test_what_cannot_be_sent_is_not_queued(
    store: Store, message: str, error: type[Exception] | None
) -> None:
    """A kind without a sender, and a message that fits no template, are refused at once."""
    outbox = make_outbox(store, "sms")
    given: dict[str, Message] = {
        "login": code_for(store),
        "mail": code_for(store, "li@example.com"),
        "template": code_for(store)._replace(template="newsletter"),
    }
    if error is None:
        await enqueue(store, outbox, given[message])
    else:
        with pytest.raises(error):
            await enqueue(store, outbox, given[message])


async def test_kinds_are_apart(store: Store, outbox: Outbox) -> None:
    """Who sends SMS sees no e-mail."""
    await enqueue(store, outbox, code_for(store), code_for(store, "li@example.com"))
    assert [row["kind"] for row in await outbox.due("sms", 10)] == ["sms"]
    assert [row["kind"] for row in await outbox.due("email", 10)] == ["email"]


async def test_one_claim_at_a_time(store: Store, outbox: Outbox) -> None:
    """Of several that saw the same row, one has it; it is due for nobody else meanwhile."""
    await enqueue(store, outbox, code_for(store))
    (row,) = await outbox.due("sms", 10)
    claims = await asyncio.gather(*(outbox.claim(row) for _ in range(8)))
    assert len([claim for claim in claims if claim]) == 1
    assert await outbox.due("sms", 10) == []


async def test_a_dead_workers_message_is_due_again(
    store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that is never marked ends with its lease, and counts as a try."""
    clock = Clock(store, monkeypatch.setattr)
    await enqueue(store, outbox, code_for(store))
    await claimed(outbox)
    clock.forward(LEASE - 1)
    assert await outbox.due("sms", 10) == []
    clock.forward(2)
    assert (await claimed(outbox)).attempts == 2


async def test_a_mark_after_the_lease_changes_nothing(
    store: Store, outbox: Outbox, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once another has claimed it, whoever held it before cannot mark it any more."""
    clock = Clock(store, monkeypatch.setattr)
    await enqueue(store, outbox, code_for(store))
    late = await claimed(outbox)
    clock.forward(LEASE + 1)
    await outbox.sent(await claimed(outbox), "aliyun", keep=False)
    await outbox.sent(late, "tencent", keep=False)
    await outbox.bury(late, "tries")
    await outbox.postpone(late, 0, "busy")
    (row,) = await rows(database_url, ALL)
    assert (row["provider"], row["dead_at"], row["error"]) == ("aliyun", None, None)


async def test_what_is_sent_is_erased(store: Store, outbox: Outbox, database_url: str) -> None:
    """Once sent, the row says when and by whom, and no longer what."""
    await enqueue(store, outbox, code_for(store))
    await outbox.sent(await claimed(outbox), "aliyun", keep=False)
    (row,) = await rows(database_url, ALL)
    assert (row["payload"], row["provider"], row["attempts"]) == ("", "aliyun", 1)
    assert row["sent_at"]
    assert await outbox.due("sms", 10) == []


async def test_what_the_console_took_is_shown(store: Store, outbox: Outbox) -> None:
    """The newest comes first; what others sent is not shown."""
    for number in ("+8613800138000", "+8613900139000"):
        await enqueue(store, outbox, code_for(store, number))
        await outbox.sent(await claimed(outbox), "console", keep=True)
    await enqueue(store, outbox, code_for(store))
    await outbox.sent(await claimed(outbox), "aliyun", keep=False)
    shown = await outbox.kept("console")
    assert [message.to for message, _ in shown] == ["+8613900139000", "+8613800138000"]


async def test_a_postponed_message_waits(
    store: Store, outbox: Outbox, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is due after its time, under the same reference, and says why it failed."""
    clock = Clock(store, monkeypatch.setattr)
    await enqueue(store, outbox, code_for(store))
    first = await claimed(outbox)
    await outbox.postpone(first, 30, "busy" * 100)
    assert await outbox.due("sms", 10) == []
    (row,) = await rows(database_url, ALL)
    assert row["error"] == "busy" * 32
    clock.forward(31)
    again = await claimed(outbox)
    assert (again.reference, again.attempts) == (first.reference, 2)


async def test_a_dead_letter_stays(store: Store, outbox: Outbox, database_url: str) -> None:
    """It is not due any more, and its row says why."""
    await enqueue(store, outbox, code_for(store))
    await outbox.bury(await claimed(outbox), "refused isv.MOBILE_NUMBER_ILLEGAL")
    assert await outbox.due("sms", 10) == []
    (row,) = await rows(database_url, ALL)
    assert row["error"] == "refused isv.MOBILE_NUMBER_ILLEGAL"
    assert row["dead_at"]


async def test_the_longest_overdue_come_first(
    store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more than the limit waiting, none waits for ever."""
    clock = Clock(store, monkeypatch.setattr)
    queued: list[Row] = []
    for _ in range(3):
        await enqueue(store, outbox, code_for(store))
        clock.forward(1)
        queued = await outbox.due("sms", 10)
    assert [row["id"] for row in await outbox.due("sms", 2)] == [row["id"] for row in queued[:2]]


async def test_the_gauges_tell_what_waits(
    store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many, and how old the oldest is; nothing waits once all are sent."""
    clock = Clock(store, monkeypatch.setattr)

    def gauge(name: str) -> float:
        return REGISTRY.get_sample_value(f"hub_outbox_{name}", {"kind": "sms"}) or 0.0

    await enqueue(store, outbox, code_for(store))
    clock.forward(40)
    await enqueue(store, outbox, code_for(store))
    await outbox.measure()
    assert gauge("waiting") == 2
    assert 40 <= gauge("oldest_seconds") < 60
    for row in await outbox.due("sms", 10):
        claim = await outbox.claim(row)
        assert claim
        await outbox.sent(claim, "aliyun", keep=False)
    await outbox.measure()
    assert (gauge("waiting"), gauge("oldest_seconds")) == (0, 0)


async def test_a_wake_before_the_wait_counts(store: Store, outbox: Outbox) -> None:
    """Whoever looks, finds nothing, and then waits is not left waiting for what came in between."""
    outbox.wake()
    async with asyncio.timeout(5):
        await outbox.woken("sms", 60)
    async with asyncio.timeout(5):
        await outbox.woken("sms", timedelta(milliseconds=1).total_seconds())
