"""The disk under database and log is full: people are asked to come back, nothing is lost, nothing breaks."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.people import Browser, Phone, frame
from tests.problems import refused
from tests.servers.hub import HubProcess

SOON = 10.0  # seconds after the fault's end


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub of the test's own, in the embedded default."""
    process = HubProcess(tmp_path).start()
    yield process
    process.stop()
    assert process.defects() == []


@contextmanager
def full_disk(hub: HubProcess) -> Iterator[None]:
    """Let the process write no byte into any file."""
    before = resource.prlimit(hub.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, before)


async def test_full_disk(hub: HubProcess) -> None:
    """What would be written is refused, what can be read is told, and all goes on once there is room."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        async with browser.socket() as socket:
            assert (await frame(socket))["status"] == "scanned"
            with full_disk(hub):
                refused(await phone.answer(), 503, "store-unavailable")
                refused(await browser.http.post("/api/auth/wechat/qr-code"), 503, "store-unavailable")
                assert (await browser.status()).json()["data"]["status"] == "scanned"
                assert (await browser.http.get("/healthz")).status_code == 200
            async with asyncio.timeout(SOON):
                assert (await phone.answer()).status_code == 200
                assert (await frame(socket))["status"] == "confirmed"
            refused(await browser.redeem(code_verifier="x" * 43), 403, "binding-mismatch")
            with full_disk(hub):
                refused(await browser.redeem(), 503, "store-unavailable")
            assert (await browser.redeem()).status_code == 200
            refused(await browser.redeem(), 409, "already-redeemed")
