"""WeChat slow, down or talking nonsense amid a sign-in: the person gets a page, the browser a frame.

At the doors whose people come back by the callback, and at the mini program's. Nothing is left behind.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection

from tests.people import AT, Browser, Phone, frame
from tests.servers.hub import HubProcess
from tests.servers.metrics import gauges
from tests.servers.waiting import until

ERRCODES = (
    *(-1, 40001, 40002, 40003, 40013, 40014, 40029, 40030, 40125, 40163, 40164, 40226, 41001, 41002, 41004),
    *(
        41008,
        42001,
        42002,
        42003,
        42007,
        43001,
        43002,
        43003,
        45009,
        45011,
        47001,
        48001,
        50001,
        50002,
        50005,
    ),
    *(89503, 123456),
)
HELD = (40226, 50002)  # WeChat refuses this very person
BUSY = (-1, 45009, 45011)
CONFIGURED = (
    40002,
    40013,
    40125,
    40164,
    41001,
    41002,
    41004,
    43001,
    43002,
    43003,
    47001,
    48001,
    89503,
    123456,
)
APP_TOKEN = (40001, 40014, 42001)  # our own token is refused, and WeChat gives out the same one again
GARBAGE = ("broken_json", "drop", "server_error", "redirect")
MARKS = ("defect", "Exception in ASGI", "Traceback")
GAUGES = ("hub_open_sockets", "hub_broker_watches", "hub_stream_places", "hub_store_waiting", "hub_tasks")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with the sandbox, whose answers are spoilt."""
    process = HubProcess(tmp_path_factory.mktemp("hub")).start()
    yield process
    process.stop()
    assert [line for line in process.log().splitlines() if any(mark in line for mark in MARKS)] == []


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Whatever a test opens."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def browser(hub: HubProcess, stack: AsyncExitStack) -> Browser:
    """Who waits; WeChat is well again afterwards."""
    waiting = await stack.enter_async_context(Browser(hub.url))
    stack.push_async_callback(waiting.http.delete, "/sandbox/faults")
    return waiting


@pytest.fixture
async def phone(hub: HubProcess, stack: AsyncExitStack) -> Phone:
    """Alice's phone."""
    return await stack.enter_async_context(Phone(hub.url))


async def at_the_window(browser: Browser, _: Phone) -> httpx2.Response:
    """Go to WeChat's own page and come back."""
    led_back = await browser.http.get(browser.attempt["authorize_url"], headers={"x-sandbox-person": "alice"})
    return await browser.http.get(led_back.headers["location"])


async def at_the_phone(browser: Browser, phone: Phone) -> httpx2.Response:
    """Scan, consent, and come back."""
    return await phone.scan(browser.attempt["qr_content"])


async def in_the_program(browser: Browser, phone: Phone) -> httpx2.Response:
    """Open the mini program by its code."""
    js_code = (await phone.http.post("/sandbox/mini-program/login", json={"person": "alice"})).json()["code"]
    return await phone.http.post(
        f"{AT}/mini/scan", json={"scene": browser.attempt["qr_code"], "js_code": js_code}
    )


class Door(NamedTuple):
    """A door, how a person comes in by it, and what becomes of an attempt whose claim WeChat has refused."""

    name: str
    enter: Callable[[Browser, Phone], Awaitable[httpx2.Response]]
    left: tuple[str, str | None]


WINDOW = Door("open_platform", at_the_window, ("failed", "provider_error"))
IN_APP = Door("h5", at_the_phone, ("pending", None))
PROGRAM = Door("mini_program", in_the_program, ("pending", None))
CALLS = [
    pytest.param(WINDOW, "/sns/oauth2/access_token", "exchange", id="open_platform-exchange"),
    pytest.param(WINDOW, "/sns/userinfo", "userinfo", id="open_platform-userinfo"),
    pytest.param(IN_APP, "/sns/oauth2/access_token", "exchange", id="h5-exchange"),
    pytest.param(IN_APP, "/sns/userinfo", "userinfo", id="h5-userinfo"),
    pytest.param(PROGRAM, "/sns/jscode2session", "session", id="mini_program-session"),
]


async def spoil(browser: Browser, path: str, **fault: object) -> None:
    """Have WeChat's next answer at *path* spoilt."""
    answer = await browser.http.post("/sandbox/faults", json={"path": path, "count": 1, **fault})
    assert answer.status_code == 200, answer.text


async def state_of(browser: Browser) -> tuple[str, str | None]:
    """Status and reason, as the browser sees them."""
    told = (await browser.status()).json()["data"]
    return told["status"], told["reason"]


async def errors(hub: HubProcess, call: str, errcode: str) -> float:
    """How often *call* has failed so, by the metric."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{hub.url}/metrics")).text
    found = re.search(rf'^hub_wechat_errors_total\{{call="{call}",errcode="{errcode}"\}} (\S+)$', text, re.M)
    return float(found[1]) if found else 0.0


def told(hub: HubProcess, call: str, errcode: int) -> list[str]:
    """The log lines about this failure that carry WeChat's request id."""
    lines = [
        line for line in hub.log().splitlines() if "wechat_call_failed" in line and f"call={call}" in line
    ]
    return [line for line in lines if f"errcode={errcode} " in line and re.search(r"rid=[\w-]{8,}", line)]


def status_of(door: Door, errcode: int, call: str) -> int:
    """The status of page or problem that tells of *errcode*."""
    if errcode in HELD:
        return 403 if door is PROGRAM else 200
    if door is not PROGRAM:
        return 502
    if errcode in BUSY:
        return 503
    return 502 if errcode in CONFIGURED or (call == "session" and errcode == 40001) else 400


@pytest.mark.parametrize(("door", "path", "call"), CALLS)
async def test_every_errcode(
    hub: HubProcess, browser: Browser, phone: Phone, door: Door, path: str, call: str
) -> None:
    """Each has its page or problem, a log line with WeChat's request id, its count, and a clear end."""
    for errcode in ERRCODES:
        await browser.begin(door=door.name)
        label = "other" if errcode == 123456 else str(errcode)
        lines, count = len(told(hub, call, errcode)), await errors(hub, call, label)
        await spoil(browser, path, fault="errcode", errcode=errcode)
        answer = await door.enter(browser, phone)
        assert answer.status_code == status_of(door, errcode, call), (errcode, answer.text)
        assert len(told(hub, call, errcode)) == lines + 1, errcode
        assert await errors(hub, call, label) == count + 1, errcode
        blocked = door is WINDOW and errcode in HELD
        assert await state_of(browser) == (("failed", "account_blocked") if blocked else door.left), errcode


@pytest.mark.parametrize("fault", GARBAGE)
@pytest.mark.parametrize(("door", "path", "call"), CALLS)
async def test_garbage(
    hub: HubProcess, browser: Browser, phone: Phone, door: Door, path: str, call: str, fault: str
) -> None:
    """An answer that is none counts as WeChat being away; a new start then succeeds."""
    await browser.begin(door=door.name)
    count = await errors(hub, call, "unreachable")
    await spoil(browser, path, fault=fault)
    answer = await door.enter(browser, phone)
    assert answer.status_code == (503 if door is PROGRAM else 502)
    assert await errors(hub, call, "unreachable") == count + 1
    assert await state_of(browser) == door.left
    await browser.begin(door=door.name)
    assert (await door.enter(browser, phone)).status_code == 200
    assert (await state_of(browser))[0] == ("confirmed" if door is WINDOW else "scanned")


@pytest.mark.parametrize(("door", "path", "call"), CALLS)
async def test_silence(
    hub: HubProcess, browser: Browser, phone: Phone, door: Door, path: str, call: str
) -> None:
    """Ten seconds without an answer: the person gets a page, the browser's socket a frame where there is
    something to tell, and no task, socket or connection stays behind."""
    await browser.begin(door=door.name)
    before = await gauges(hub)
    await spoil(browser, path, fault="slow", seconds=10)
    async with browser.socket() as socket:
        assert (await frame(socket))["status"] == "pending"
        async with asyncio.timeout(10):
            answer = await door.enter(browser, phone)
        assert answer.status_code == (503 if door is PROGRAM else 502)
        await tells_the_end(socket, door)
    await until(lambda: nothing_left(hub, before))


async def tells_the_end(socket: ClientConnection, door: Door) -> None:
    """The frame of a failed attempt; one that is still pending has nothing to tell, and answers."""
    if door.left[0] == "failed":
        last = await frame(socket)
        assert (last["status"], last["reason"]) == door.left
        return
    await socket.send('{"type":"ping"}')
    assert (await frame(socket))["type"] == "pong"


async def nothing_left(hub: HubProcess, before: object) -> bool:
    """Whether the process holds no more than *before*; a task or two come and go with timers."""
    assert isinstance(before, dict)
    now = await gauges(hub)
    return all(
        now[name] <= before[name] + (2 if name == "hub_tasks" else 0) for name in GAUGES if name in now
    )


async def test_every_errcode_of_the_picture(hub: HubProcess, browser: Browser) -> None:
    """Without a picture there is a problem, never a defect, and the attempt can be watched."""
    await browser.begin(door="mini_program")
    assert (await browser.http.get(browser.attempt["qr_url"])).status_code == 200  # a token is there now
    for errcode in (*ERRCODES, 40129, 40169, 41030):
        await browser.begin(door="mini_program")
        lines = len(told(hub, "code_image", errcode))
        await spoil(browser, "/wxa/getwxacodeunlimit", fault="errcode", errcode=errcode)
        answer = await browser.http.get(browser.attempt["qr_url"])
        assert answer.status_code == (503 if errcode in (*BUSY, *APP_TOKEN) else 502), errcode
        assert len(told(hub, "code_image", errcode)) == lines + 1, errcode
        assert await state_of(browser) == ("pending", None)


async def test_every_errcode_of_the_number(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """Without the number nothing is confirmed, and the person can still answer."""
    await browser.begin(door="mini_program")
    claimed = (await in_the_program(browser, phone)).json()["data"]
    headers = {"authorization": f"Bearer {claimed['grant']}"}
    body = {"session_id": claimed["session_id"], "action": "confirm"}
    for errcode in ERRCODES:
        lines = len(told(hub, "phone_number", errcode))
        await spoil(browser, "/wxa/business/getuserphonenumber", fault="errcode", errcode=errcode)
        made = await phone.http.post("/sandbox/mini-program/phone-number", json={"person": "alice"})
        answer = await phone.http.post(
            f"{AT}/confirm", json={**body, "phone_code": made.json()["code"]}, headers=headers
        )
        expected = 503 if errcode in APP_TOKEN else status_of(PROGRAM, errcode, "phone_number")
        assert answer.status_code == expected, errcode
        assert len(told(hub, "phone_number", errcode)) == lines + 1, errcode
        assert await state_of(browser) == ("scanned", None), errcode
    assert (await phone.http.post(f"{AT}/confirm", json=body, headers=headers)).status_code == 200
