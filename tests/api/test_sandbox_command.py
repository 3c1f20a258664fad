"""`hub sandbox`: the stand-in for WeChat as a process of its own, and a hub that is pointed at it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.people import Browser, Phone
from tests.servers.hub import SECRET, START_LIMIT, HubProcess, inherited
from tests.servers.ports import free_port

HUB = str(Path(sys.executable).with_name("hub"))


class SandboxProcess:
    """One `hub sandbox` beside a hub that will listen on *hub_port*; *told* is what it has printed."""

    def __init__(self, folder: Path, hub_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._file = folder / "sandbox.log"
        env = {
            **inherited(),
            "HOME": str(folder),
            "PORT": str(hub_port),
            "WECHAT_API_URL": self.url,
            "WECHAT_OPEN_URL": self.url,
            "WECHAT_MP_URL": self.url,
        }
        with self._file.open("wb") as log:
            self._process = subprocess.Popen(
                [HUB, "sandbox", "--port", str(self.port)],
                env=env,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_LIMIT
        while "Uvicorn running" not in self.told:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(self.told)
            time.sleep(0.02)

    @property
    def told(self) -> str:
        """What it has printed."""
        return self._file.read_text("utf-8")

    @property
    def settings(self) -> dict[str, str]:
        """The settings that it prints for the hub."""
        lines = (line.partition("=") for line in self.told.splitlines() if line.startswith("WECHAT_"))
        return {name: value for name, _, value in lines}

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code."""
        self._process.terminate()
        return self._process.wait(20)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[SandboxProcess, HubProcess]]:
    """A sandbox, and a hub with the settings that it has printed."""
    hub = HubProcess(tmp_path)
    sandbox = SandboxProcess(tmp_path, hub.port)
    pointed = HubProcess(tmp_path, PORT=str(hub.port), **sandbox.settings)
    pointed.port, pointed.url = hub.port, hub.url
    yield sandbox, pointed.start()
    pointed.stop()
    assert sandbox.stop() == 0


def test_it_prints_where_to_point_the_hub(pair: tuple[SandboxProcess, HubProcess]) -> None:
    """The addresses are its own, the app ids those of the settings, and the pushes go to the hub."""
    sandbox, hub = pair
    assert {sandbox.settings[f"WECHAT_{name}_URL"] for name in ("API", "OPEN", "MP")} == {sandbox.url}
    assert sandbox.settings["WECHAT_OA_APP_ID"]
    assert f"{sandbox.url}/phone" in sandbox.told
    assert f"{hub.url}/api/auth/wechat/push" in sandbox.told


async def test_a_hub_that_is_pointed_at_it_signs_people_in(pair: tuple[SandboxProcess, HubProcess]) -> None:
    """The whole way through the in-app door; the hub mounts no sandbox of its own then."""
    sandbox, hub = pair
    async with Browser(hub.url) as browser, Phone(hub.url, "bob") as phone:
        await browser.begin(door="h5")
        landed = await phone.http.get(browser.attempt["qr_content"])
        consent = landed.headers["location"]
        assert consent.startswith(f"{sandbox.url}/connect/oauth2/authorize")
        allowed = await phone.http.get(consent, headers={"x-sandbox-person": "bob"})
        assert "code" in parse_qs(urlsplit(allowed.headers["location"]).query)
        await phone.scan(allowed.headers["location"])
        assert (await phone.answer()).status_code == 200
        assert (await browser.redeem()).status_code == 200
        assert (await browser.http.get("/sandbox/phone")).status_code == 404


async def test_its_account_pushes_to_the_hub(pair: tuple[SandboxProcess, HubProcess]) -> None:
    """A scan at the sandbox reaches the hub, sealed, and the hub answers with a link to tap."""
    sandbox, hub = pair
    async with Browser(hub.url) as browser, httpx2.AsyncClient(base_url=sandbox.url) as phone:
        await browser.begin(door="official_account")
        qr_code = browser.attempt["qr_code"]
        answer = await phone.post(
            "/official-account/scan", json={"scene": qr_code, "person": "alice"}, timeout=20
        )
        delivery = answer.json()
        assert delivery["delivered"] is True
        assert delivery["reply"]["links"][0].startswith(hub.url)
        assert (await browser.status()).json()["data"]["status"] == "scanned"


async def test_the_sign_in_page_leads_to_its_phone(pair: tuple[SandboxProcess, HubProcess]) -> None:
    """The page of a hub in development links the phone of the sandbox it is pointed at."""
    sandbox, hub = pair
    async with Browser(hub.url) as browser:
        assert f'data-phone="{sandbox.url}/phone"' in (await browser.http.get("/")).text


def test_it_refuses_production(tmp_path: Path) -> None:
    """Nothing stands in for WeChat in production, whatever else is set."""
    ring = f"production-{SECRET}"
    env = {
        **inherited(),
        "HUB_ENV": "production",
        "PUBLIC_URL": "https://login.example.com",
        **dict.fromkeys(("JWT_SECRET", "COOKIE_SECRET", "REFRESH_KEYS", "DATA_KEYS", "CODE_PEPPERS"), ring),
    }
    done = subprocess.run(
        [HUB, "sandbox"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "HUB_ENV: the sandbox does not run in production" in done.stderr
