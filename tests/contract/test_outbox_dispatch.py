"""Sending what is queued, on both engines, through the real senders to stand-ins for their providers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY

from hub.codes.dispatch import LOOK, MAX_TRIES, Dispatcher
from hub.codes.messages import Kind, Message
from hub.codes.outbox import Outbox
from hub.codes.senders.console import ConsoleSender
from hub.codes.senders.http import Http
from hub.codes.senders.port import Sender
from hub.store.database import Store
from tests.outgoing import aliyun, code_for, enqueue, make_outbox, tencent
from tests.servers.providers import Aliyun, Fault, Provider, Tencent, served
from tests.servers.waiting import until
from tests.signing_in import Clock, execute, rows

LIMIT = 2.0  # seconds a call to a provider may take; less is too little on a busy machine


class Desk:
    """An outbox, two providers, and what is in the table; `send` works on it until the test is over."""

    def __init__(self, store: Store, url: str, http: Http, stack: AsyncExitStack) -> None:
        self.store = store
        self.url = url
        self.http = http
        self.outbox: Outbox = make_outbox(store)
        self.first, self.second = Aliyun(), Tencent()
        for provider in (self.first, self.second):
            stack.enter_context(served(provider))
        self._stack = stack

    async def send(self, *senders: Sender, idle: float = LOOK) -> Dispatcher:
        """Start a dispatcher: the first provider before the second, unless *senders* are given."""
        both = (aliyun(self.http, self.first.url), tencent(self.http, self.second.url))
        by_kind: dict[Kind, Sequence[Sender]] = {"sms": senders or both, "email": [ConsoleSender()]}
        dispatcher = Dispatcher(self.store, self.outbox, by_kind, idle)
        await dispatcher.start()
        self._stack.push_async_callback(dispatcher.stop)
        return dispatcher

    async def queue(self, *messages: Message) -> None:
        """Queue messages, one sign-in code by default."""
        await enqueue(self.store, self.outbox, *(messages or (code_for(self.store),)))

    async def rows(self) -> list[Any]:
        """The table."""
        return list(await rows(self.url, "SELECT * FROM outbox ORDER BY id"))

    async def taken(self, provider: Provider, count: int) -> None:
        """Wait until *provider* has taken *count* messages."""

        async def has() -> bool:
            return len(provider.taken) >= count

        await until(has, timeout=15)

    async def becomes(self, **cells: object) -> dict[str, Any]:
        """Wait until the first row has these cells (True: anything but null), and return it."""
        row: dict[str, Any] = {}

        async def has() -> bool:
            row.update((await self.rows())[0])
            return all(row[name] if value is True else row[name] == value for name, value in cells.items())

        try:
            await until(has, timeout=15)
        except TimeoutError:
            raise AssertionError(f"it did not become {cells}: {row}") from None
        return row


@pytest.fixture
async def desk(store: Store, database_url: str) -> AsyncIterator[Desk]:
    """A desk on each engine in turn."""
    async with AsyncExitStack() as stack:
        http = Http(call_limit=LIMIT)
        await http.start()
        stack.push_async_callback(http.stop)
        yield Desk(store, database_url, http, stack)


def counted(name: str, **labels: str) -> float:
    """The value of a counter."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def counts(total: float, name: str, **labels: str) -> None:
    """Wait until a counter, which follows on the commit, has this value."""

    async def does() -> bool:
        return counted(name, **labels) == total

    await until(does, timeout=5)


async def test_a_queued_message_is_sent_at_once(desk: Desk) -> None:
    """Waking the dispatcher is enough, and the first provider gets it."""
    before = counted("hub_outbox_sent_total", kind="sms", provider="aliyun")
    await desk.send()
    await desk.queue()
    row = await desk.becomes(sent_at=True)
    assert (row["provider"], row["payload"], row["attempts"]) == ("aliyun", "", 1)
    assert desk.first.taken[0]["values"] == {"code": "042917", "minutes": "5"}
    assert desk.first.taken[0]["reference"] == row["reference"]
    assert not desk.second.calls
    await counts(before + 1, "hub_outbox_sent_total", kind="sms", provider="aliyun")


async def test_what_was_queued_before_is_sent_too(desk: Desk) -> None:
    """A dispatcher that starts finds what is there, without being woken."""
    await desk.queue()
    await desk.send()
    await desk.becomes(provider="aliyun")


async def test_the_console_keeps_what_it_is_given(desk: Desk) -> None:
    """The sandbox is to show it, so its content stays."""
    await desk.send()
    message = code_for(desk.store, "li@example.com")
    await desk.queue(message)
    await desk.becomes(sent_at=True, provider="console")
    assert [kept for kept, _ in await desk.outbox.kept("console")] == [message]


@pytest.mark.parametrize(
    "fault", ["busy", "limited", "unpaid", "garbage", "html", "slow", "redirect", "huge"]
)
async def test_a_failing_provider_is_passed_over(desk: Desk, fault: Fault) -> None:
    """Down, slow or lying: the next provider gets the message within the same try."""
    desk.first.fail(fault)
    await desk.send()
    await desk.queue()
    row = await desk.becomes(sent_at=True)
    assert (row["provider"], row["attempts"]) == ("tencent", 1)
    assert (len(desk.first.taken), len(desk.second.taken)) == (0, 1)


async def test_a_message_that_nobody_takes_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits, longer after a limit, and goes out when a provider is back."""
    clock = Clock(desk.store, monkeypatch.setattr)
    desk.first.fail("busy")
    desk.second.fail("limited")
    await desk.send()
    await desk.queue()
    row = await desk.becomes(error="LimitExceeded.PhoneNumberThirtySecondLimit")
    assert (row["sent_at"], row["attempts"]) == (None, 1)
    assert 55 < (row["next_attempt_at"] - desk.store.now()).total_seconds() <= 60
    desk.second.fail("")
    clock.forward(61)
    desk.outbox.wake()
    row = await desk.becomes(sent_at=True)
    assert (row["provider"], row["attempts"], row["error"]) == ("tencent", 2, None)


async def test_who_seldom_looks_tries_again_in_time(desk: Desk) -> None:
    """A dispatcher knows by itself when what it could not send is due."""
    for provider in (desk.first, desk.second):
        provider.fail("busy")
    await desk.send(idle=60)
    await desk.queue()
    await desk.becomes(attempts=1, error=True)
    for provider in (desk.first, desk.second):
        provider.fail("")
    row = await desk.becomes(sent_at=True)
    assert row["attempts"] == 2


async def test_a_refused_address_is_a_dead_letter(desk: Desk) -> None:
    """No other provider is asked, and the metric shows it."""
    before = counted("hub_outbox_dead_total", kind="sms", reason="refused")
    desk.first.fail("refused")
    await desk.send()
    await desk.queue()
    row = await desk.becomes(dead_at=True)
    assert (row["error"], row["sent_at"]) == ("refused isv.MOBILE_NUMBER_ILLEGAL", None)
    assert not desk.second.calls
    await counts(before + 1, "hub_outbox_dead_total", kind="sms", reason="refused")


async def test_too_many_tries_are_a_dead_letter(desk: Desk) -> None:
    """After the last one the message is given up, and says why it failed."""
    for provider in (desk.first, desk.second):
        provider.fail("busy")
    await desk.queue()
    await execute(desk.url, "UPDATE outbox SET attempts = :attempts", attempts=MAX_TRIES - 1)
    await desk.send()
    row = await desk.becomes(dead_at=True)
    assert (row["attempts"], row["error"]) == (MAX_TRIES, "tries InternalError.Timeout")


async def test_a_message_that_kills_its_workers_is_a_dead_letter(desk: Desk) -> None:
    """Tries that nobody lived to mark count too."""
    await desk.queue()
    await execute(desk.url, "UPDATE outbox SET attempts = :attempts", attempts=MAX_TRIES)
    await desk.send()
    assert (await desk.becomes(dead_at=True))["error"] == "tries"
    assert not desk.first.calls


async def test_an_expired_message_is_dropped(desk: Desk) -> None:
    """A code that is no longer live is sent to nobody."""
    await desk.queue(code_for(desk.store, life=-1))
    await desk.send()
    row = await desk.becomes(dead_at=True)
    assert row["error"] == "expired"
    assert not desk.first.calls


async def test_an_unreadable_message_is_dropped(desk: Desk) -> None:
    """One bad row does not stop the others."""
    await desk.queue()
    await execute(desk.url, "UPDATE outbox SET payload = :payload", payload="v1.garbage")
    await desk.queue()
    await desk.send()
    assert (await desk.becomes(dead_at=True))["error"] == "unreadable"
    await desk.taken(desk.first, 1)


async def test_a_provider_that_keeps_failing_comes_last(desk: Desk) -> None:
    """After three failures in a row the others are asked first, so that a slow one slows nobody."""
    desk.first.fail("slow")
    await desk.send()
    for number in range(3):
        await desk.queue(code_for(desk.store, f"+861380013800{number}"))
        await desk.taken(desk.second, number + 1)
    await desk.queue(code_for(desk.store, "+8613800138009"))
    await desk.taken(desk.second, 4)
    assert desk.first.calls == 3


async def test_a_slow_kind_does_not_hold_up_the_other(desk: Desk) -> None:
    """While every SMS slot waits for a provider, e-mail goes out."""
    desk.first.fail("slow")
    desk.second.fail("slow")
    await desk.send()
    await desk.queue(*(code_for(desk.store) for _ in range(12)), code_for(desk.store, "li@example.com"))

    async def mailed() -> bool:
        return (await desk.rows())[-1]["sent_at"] is not None

    await until(mailed)


async def test_a_broken_sender_is_passed_over(desk: Desk) -> None:
    """What no adapter foresees (an address that no client can call) fails like a busy provider."""
    await desk.send(aliyun(desk.http, "http://[::1"), tencent(desk.http, desk.second.url))
    await desk.queue()
    assert (await desk.becomes(sent_at=True))["provider"] == "tencent"
    assert counted("hub_sender_tries_total", provider="aliyun", result="defect") >= 1


async def test_stopping_waits_for_what_is_being_sent(desk: Desk) -> None:
    """A message that is on its way when the dispatcher stops is marked before it has stopped."""
    desk.first.fail("slow")
    dispatcher = await desk.send()
    await desk.queue()
    await desk.becomes(attempts=1)
    await dispatcher.stop()
    (row,) = await desk.rows()
    assert row["provider"] == "tencent"


async def test_all_of_a_backlog_goes_out(desk: Desk) -> None:
    """More messages than slots: each is sent once."""
    await desk.queue(*(code_for(desk.store, f"+8613800{number:06d}") for number in range(60)))
    await desk.send()
    await desk.taken(desk.first, 60)
    assert sorted(one["to"] for one in desk.first.taken) == [f"13800{number:06d}" for number in range(60)]
