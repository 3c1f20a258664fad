"""The push endpoint in time, whatever goes on behind its answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest
from starlette.applications import Starlette

from hub.errors import StoreUnavailable, Unavailable
from hub.web.problems import HANDLERS
from hub.web.tasks import Tasks
from hub.wechat.crypto import MessageCrypto
from hub.wechat.push import Event, Push
from tests.pushing import APPID, TOKEN, WeChat, said, scan, written


class Behind:
    """What goes on behind the answers: it begins, and ends when it may."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.may_end = asyncio.Event()
        self.error: Exception | None = None
        self.failures = 1
        self.ended = 0

    async def receive(self, event: Event) -> str | None:
        """Take an event."""
        self.events.append(event)
        await self.may_end.wait()
        if self.error and len(self.events) <= self.failures:
            raise self.error
        self.ended += 1
        return "a reply"


@pytest.fixture
def behind() -> Behind:
    """What goes on behind."""
    return Behind()


@pytest.fixture
def push(behind: Behind) -> Push:
    """An endpoint that waits for a moment."""
    return Push(MessageCrypto(TOKEN, APPID), lambda: datetime.now(UTC), behind.receive, reply_time=0.2)


@pytest.fixture
async def wechat(push: Push) -> AsyncIterator[WeChat]:
    """WeChat, in plain mode."""
    app = Starlette(routes=push.routes(), exception_handlers=HANDLERS)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub.test") as http:
        yield WeChat(http, secure=False)


async def test_what_takes_long_goes_on_behind(wechat: WeChat, push: Push, behind: Behind) -> None:
    """The answer does not wait, and the stop waits for what is left."""
    answer = await wechat.push(written(scan("A" * 22)))
    assert (answer.status_code, answer.text) == (200, "success")
    stopping = asyncio.create_task(push.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    behind.may_end.set()
    await stopping
    assert behind.ended == 1


async def test_what_is_quick_is_in_the_answer(wechat: WeChat, behind: Behind) -> None:
    """A reply that is known in time is the answer."""
    behind.may_end.set()
    assert "a reply" in (await wechat.push(written(scan("A" * 22)))).text


async def test_a_failure_lets_wechat_come_again(wechat: WeChat, behind: Behind) -> None:
    """While the database is away the push is an error, for then WeChat sends it once more."""
    behind.may_end.set()
    behind.error = StoreUnavailable("away")
    answer = await wechat.push(written(scan("A" * 22)))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_an_outage_after_the_answer_is_sat_out(wechat: WeChat, push: Push, behind: Behind) -> None:
    """What was answered early is done once the database is back, for WeChat does not come again."""
    behind.error, behind.failures = StoreUnavailable("away"), 2
    assert (await wechat.push(written(scan("A" * 22)))).text == "success"
    behind.may_end.set()
    await push.stop()
    assert (len(behind.events), behind.ended) == (3, 1)


async def test_a_late_defect_is_told(
    wechat: WeChat, push: Push, behind: Behind, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails behind an answer is in the log."""
    await wechat.push(written(scan("A" * 22)))
    behind.error = ValueError("a mistake of ours")
    behind.may_end.set()
    await push.stop()
    assert "defect" in capsys.readouterr().out


async def test_what_a_push_says(wechat: WeChat, behind: Behind) -> None:
    """Kind, person, scene, and a key that tells pushes apart and tries of one push not."""
    behind.may_end.set()
    first = scan("s1")
    for members in (first, first, scan("s1", "oBob"), scan("s2", event="subscribe"), scan("", event="VIEW")):
        await wechat.push(written(members))
    assert [(event.kind, event.openid, event.scene) for event in behind.events] == [
        ("scan", "oAlice", "s1"),
        ("scan", "oAlice", "s1"),
        ("scan", "oBob", "s1"),
        ("subscribe", "oAlice", "s2"),
        ("other", "oAlice", None),
    ]
    keys = [event.key for event in behind.events]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


async def test_messages_are_told_apart_by_their_id(wechat: WeChat, behind: Behind) -> None:
    """Two messages of one second are two, and a repeated one is the same."""
    behind.may_end.set()
    for message_id in (1, 1, 2):
        await wechat.push(written({**said("hello"), "MsgId": message_id}))
    first, repeated, second = (event.key for event in behind.events)
    assert first == repeated != second


async def test_too_much_at_once_is_refused() -> None:
    """Work over the limit is not begun, and what runs too long is cut off at the stop."""
    tasks, forever = Tasks(1, grace=0.01), asyncio.Event()
    running = tasks.begin(forever.wait())
    with pytest.raises(Unavailable):
        tasks.begin(forever.wait())
    await tasks.stop()
    assert running.cancelled()
    tasks.begin(forever.wait()).cancel()
