"""`hub serve --workers`: several processes on one socket, replaced and ended without a lost sign-in."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from tests.code_client import Person, new_number
from tests.people import Browser, CustomerApp, frame
from tests.servers.hub import HubProcess
from tests.servers.waiting import until
from tests.signing_in import execute

NOWHERE = "http://127.0.0.1:9"
LIMIT = 40.0  # seconds in which a reload must be done, on a busy machine


@pytest.fixture
def hub(tmp_path: Path, hub_env: dict[str, str]) -> Iterator[HubProcess]:
    """Two workers on MariaDB and Redis; WeChat is not needed, for the app door."""
    env = {**hub_env, "WECHAT_API_URL": NOWHERE, "WECHAT_OPEN_URL": NOWHERE, "MAX_SESSIONS": "1000"}
    process = HubProcess(tmp_path, **env)
    process.start("--workers", "2")
    while "workers_ready" not in process.log():  # the first one that serves answers
        time.sleep(0.02)
    yield process
    process.stop()
    assert process.defects() == []


def workers(hub: HubProcess) -> set[int]:
    """The process ids of the workers that run."""
    listed = Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text("ascii")
    return {int(pid) for pid in listed.split()}


async def sign_in(url: str, app: CustomerApp) -> None:
    """Sign a browser in by the customer's app, coming back to the socket as its close code says."""
    async with Browser(url) as browser:
        await browser.begin(door="app")
        status, seq = "pending", 0
        while status != "confirmed":
            with coming_back():
                async with browser.socket(query=f"?seq={seq}") as socket:
                    while status != "confirmed":
                        told = await frame(socket)
                        status, seq = told["status"], told["seq"]
                        if status == "pending":
                            claimed = await app.scan(browser.attempt["qr_code"])
                            assert claimed.status_code == 200, claimed.text
                        elif status == "scanned":
                            answered = await app.answer(browser.session_id)
                            assert answered.status_code == 200, answered.text
        redeemed = await browser.redeem()
        assert redeemed.status_code == 200, redeemed.text


@contextlib.contextmanager
def coming_back() -> Iterator[None]:
    """Go on where a socket was sent away to come back."""
    try:
        yield
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != 1012:
            raise


@pytest.fixture
async def app(hub: HubProcess) -> AsyncIterator[CustomerApp]:
    """The customer's app, of a person who signed in by phone code."""
    async with Person(hub.url) as person:
        signed_in = await person.sign_in(new_number())
    async with CustomerApp(hub.url, signed_in["access_token"]) as app:
        yield app


async def test_all_serve(hub: HubProcess, app: CustomerApp) -> None:
    """Sign-ins go through both workers, and their metrics are summed."""
    before = workers(hub)
    assert len(before) == 2
    await asyncio.gather(*(sign_in(hub.url, app) for _ in range(20)))
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{hub.url}/metrics")).text
    assert 'hub_qr_redemptions_total{result="success"} 20.0' in text
    assert "hub_open_sockets 0.0" in text
    assert workers(hub) == before


async def test_a_dead_worker_is_replaced(hub: HubProcess, app: CustomerApp) -> None:
    """Where one is killed, the other goes on, and a third takes its place."""
    before = workers(hub)
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    await sign_in(hub.url, app)

    async def replaced() -> bool:
        return len(workers(hub)) == 2 and killed not in workers(hub)

    await until(replaced, timeout=LIMIT)
    assert before & workers(hub) == before - {killed}
    await sign_in(hub.url, app)


async def test_a_reload_loses_no_sign_in(hub: HubProcess, app: CustomerApp) -> None:
    """SIGHUP replaces both workers while people sign in, and every one of them comes through."""
    before = workers(hub)

    async def done() -> bool:
        return "reloaded" in hub.log()

    reloaded = asyncio.create_task(until(done, timeout=LIMIT))
    os.kill(hub.pid, signal.SIGHUP)
    count = 0
    while not reloaded.done():
        await asyncio.gather(*(sign_in(hub.url, app) for _ in range(4)))
        count += 4
    await reloaded
    assert count
    assert len(workers(hub)) == 2
    assert not workers(hub) & before


async def test_all_end_together(hub: HubProcess, app: CustomerApp) -> None:
    """At SIGTERM the sockets of all workers are told 1012, and nothing is left of the processes."""
    before = workers(hub)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(Browser(hub.url))
        await browser.begin()
        sockets = [await stack.enter_async_context(browser.socket()) for _ in range(40)]
        for socket in sockets:
            await frame(socket)
        hub.terminate()
        for socket in sockets:
            with pytest.raises(ConnectionClosed) as closed:
                await frame(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert await asyncio.to_thread(hub.wait) == 0
    assert not [pid for pid in before if running(pid)]


async def test_workers_leave_when_their_supervisor_dies(hub: HubProcess) -> None:
    """No worker is left behind to hold the port."""
    before = workers(hub)
    hub.kill()

    async def gone() -> bool:
        return not [pid for pid in before if running(pid)]

    await until(gone, timeout=LIMIT)


async def test_a_reload_that_fails_changes_nothing(hub: HubProcess, app: CustomerApp) -> None:
    """Where the successor cannot start, that is told, and those that run go on."""
    before = workers(hub)
    await execute(hub.database_url, "DELETE FROM schema_migrations")
    os.kill(hub.pid, signal.SIGHUP)

    async def told() -> bool:
        return "reload_stopped" in hub.log()

    await until(told, timeout=LIMIT)
    assert workers(hub) == before
    await sign_in(hub.url, app)


def test_a_fault_at_the_start_is_told(tmp_path: Path, redis_url: str) -> None:
    """Workers that cannot start end the command, with what is wrong, instead of being tried for ever."""
    hub = HubProcess(
        tmp_path,
        REDIS_URL=redis_url,
        WECHAT_API_URL=NOWHERE,
        WECHAT_OPEN_URL=NOWHERE,
        JWT_ALG="EdDSA",
        JWT_KEYS="empty.pem",
    )
    (tmp_path / "empty.pem").touch()
    ended = hub.command("serve", "--workers", "2")
    assert ended.returncode == 3
    assert "hub: JWT_KEYS: empty.pem: " in ended.stderr


def test_workers_need_redis_and_no_sandbox(tmp_path: Path) -> None:
    """What lives in one process's memory is refused, by the names of the settings."""
    refused = HubProcess(tmp_path).command("serve", "--workers", "2")
    assert refused.returncode == 2
    assert "hub: REDIS_URL: " in refused.stderr
    assert "hub: WECHAT_API_URL, WECHAT_OPEN_URL: " in refused.stderr


def running(pid: int) -> bool:
    """Whether a process runs, and is not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
