"""A person who signs in and does what a good client does: comes back, and asks again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import httpx2
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.faults.matrix.stage import Stage
from tests.people import Browser, CustomerApp, Phone, frame

FINAL = ("confirmed", "expired", "failed")
PATIENCE = 5.0  # seconds a request may take before it is sent again
Send = Callable[[], Awaitable[httpx2.Response]]


class Hand(Protocol):
    """What holds the code of the screen: it claims and answers the attempt of a browser."""

    http: httpx2.AsyncClient

    async def claim(self, browser: Browser) -> httpx2.Response:
        """Scan."""

    async def confirm(self, browser: Browser) -> httpx2.Response:
        """Confirm."""


class AppHand(CustomerApp):
    """The customer's own app."""

    async def claim(self, browser: Browser) -> httpx2.Response:
        return await self.scan(browser.attempt["qr_code"])

    async def confirm(self, browser: Browser) -> httpx2.Response:
        return await self.answer(browser.session_id)


class WeChatHand(Phone):
    """A phone in WeChat."""

    async def claim(self, browser: Browser) -> httpx2.Response:
        return await self.scan(browser.attempt["qr_content"])

    async def confirm(self, browser: Browser) -> httpx2.Response:
        return await self.answer()


class Expired(Exception):
    """The attempt's time is over: there is a new one to begin."""


class Visitor:
    """One who signs in at any process of a *stage*; with *door* `h5` by WeChat, else by the customer's app.

    Half of them prove by PKCE that it is they who asked, half by their cookie.
    """

    def __init__(self, stage: Stage, number: int, *, door: str) -> None:
        self._urls = stage.urls[number % len(stage.urls) :] + stage.urls[: number % len(stage.urls)]
        self._door = door
        self._pkce = number % 2 == 0
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self.browser = Browser(self._urls[0])
        self.browser.http.timeout = PATIENCE
        self.hand: Hand = (
            WeChatHand(self._urls[0]) if door == "h5" else AppHand(self._urls[0], stage.access_token)
        )
        self.hand.http.timeout = PATIENCE
        self.lost = 0  # answers that did not come
        self.told: list[tuple[str, int, str]] = []  # session_id, seq and status of each frame
        self.sessions: set[str] = set()
        self.refresh_token = ""

    async def close(self) -> None:
        """Leave."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.browser.http.aclose()
        await self.hand.http.aclose()

    # --- The steps of a sign-in.

    async def begin(self) -> None:
        """Begin, and wait at the socket until the first frame is there."""
        for url in self._urls:
            self.browser.http.base_url = url
            with suppress(httpx2.TransportError):
                await self.browser.begin(pkce=self._pkce, door=self._door)
                break
        self._following = asyncio.create_task(self._follow())
        await self.hears("pending")

    async def claim(self) -> None:
        """Scan, until that has succeeded."""
        answer = await self._insist(self.hand.http, lambda: self.hand.claim(self.browser))
        if answer.status_code == 404:  # the code is no more
            await self.hears("expired")
            raise Expired
        assert self._taken(answer), answer.text

    async def confirm(self) -> None:
        """Confirm, until that has succeeded; the answer to the try that did may have been lost."""
        answer = await self._insist(self.hand.http, lambda: self.hand.confirm(self.browser))
        assert self._taken(answer) or self.lost, answer.text

    async def redeem(self) -> None:
        """Swap the attempt for tokens, once; who hears of it too late must have missed an answer."""
        answer = await self._insist(self.browser.http, self.browser.redeem)
        if self._taken(answer):
            data = answer.json()["data"]
            self.sessions.add(data["session_id"])
            self.refresh_token = data["refresh_token"]
        else:
            assert answer.json()["type"] == "/problems/already-redeemed", answer.text

    async def refresh(self) -> str:
        """Renew the tokens by the refresh token as it is, and return its successor."""
        body = {"refresh_token": self.refresh_token}
        answer = await self._insist(
            self.browser.http, lambda: self.browser.http.post("/api/token/refresh", json=body)
        )
        assert answer.status_code == 200, answer.text
        successor: str = answer.json()["data"]["refresh_token"]
        return successor

    async def hears(self, *statuses: str) -> str:
        """Wait until the socket has told one of these."""
        while True:
            assert self._following is not None
            if self._following.done():
                self._following.result()
            for session_id, _, status in self.told:
                if session_id == self.browser.session_id:
                    if status in statuses:
                        return status
                    if status == "expired":
                        raise Expired
            self._changed.clear()
            await self._changed.wait()

    # --- What an attempt that has ended must refuse.

    async def decline(self) -> httpx2.Response:
        """Decline, by the app."""
        assert isinstance(self.hand, AppHand)
        return await self.hand.answer(self.browser.session_id, "cancel")

    async def try_to_confirm(self) -> httpx2.Response:
        """Confirm once there is an answer of substance, whatever it is."""
        return await self._insist(self.hand.http, lambda: self.hand.confirm(self.browser))

    async def try_to_redeem(self) -> httpx2.Response:
        """Redeem once there is an answer of substance, whatever it is."""
        return await self._insist(self.browser.http, self.browser.redeem)

    # --- Coming back.

    @staticmethod
    def _taken(answer: httpx2.Response) -> bool:
        if answer.status_code == 410 and answer.json()["type"] == "/problems/attempt-expired":
            raise Expired
        return answer.status_code == 200

    async def _insist(self, http: httpx2.AsyncClient, send: Send) -> httpx2.Response:
        """Send a request until there is an answer of substance, at one process after the other."""
        tries = 0
        while True:
            http.base_url = self._urls[tries % len(self._urls)]
            tries += 1
            try:
                answer = await send()
            except httpx2.TransportError:
                self.lost += 1
            else:
                if answer.status_code not in (502, 503):
                    return answer
                self.lost += 1
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter

    async def _follow(self) -> None:
        """Stay at the socket until the attempt has ended."""
        tries, seq = 0, 0
        while True:
            self.browser.url = self._urls[tries % len(self._urls)]
            tries += 1
            try:
                async with self.browser.socket(query=f"?seq={seq}") as socket:
                    while True:
                        seq = self._hear(await frame(socket))
                        if self.told[-1][2] in FINAL:
                            return
            except InvalidStatus as refused:
                if refused.response.status_code < 500:
                    raise
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                pass
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter

    def _hear(self, told: dict[str, Any]) -> int:
        seq: int = told["seq"]
        self.told.append((told["session_id"], seq, told["status"]))
        if told["qr_code"]:
            self.browser.attempt["qr_code"] = told["qr_code"]
        self._changed.set()
        return seq
