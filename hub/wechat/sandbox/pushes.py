"""Pushes to the official account's server: signed, sealed where it asks for that, 5 seconds, three tries."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from hub.wechat.sandbox import push_crypto, push_xml
from hub.wechat.sandbox.apps import OfficialAccount
from hub.wechat.sandbox.chats import Chats, Message, Piece, understood
from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.followers import Followers
from hub.wechat.sandbox.outbound import client
from hub.wechat.sandbox.people import Person
from hub.wechat.sandbox.tickets import Ticket
from hub.wechat.sandbox.unionids import Unionids

TRIES: Final = 3
_KEPT: Final = 200
_HEADERS: Final = {"content-type": "text/xml", "user-agent": "Mozilla/4.0", "accept": "*/*"}
_FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError)

Delivery = dict[str, Any]


class Pushes:
    """Sends what people do to the account's server, and puts its replies into their chats.

    *patience* is how long WeChat waits for an answer, in seconds. Repeats carry the same members: only by
    these can the server tell them from something new.
    """

    def __init__(
        self,
        account: OfficialAccount,
        clock: Clock,
        followers: Followers,
        unionids: Unionids,
        chats: Chats,
        *,
        patience: float,
    ) -> None:
        self.account = account
        self.sent: deque[Delivery] = deque(maxlen=_KEPT)
        self._clock = clock
        self._followers = followers
        self._unionids = unionids
        self._chats = chats
        self._patience = patience

    async def scan(self, person: Person, ticket: Ticket, *, times: int = 1) -> Delivery:
        """Let *person* scan a code of the account: a new follower is a `subscribe`, any other a `SCAN`."""
        self._unionids.met(self.account.appid, person)
        new = self._followers.follow(self.account.appid, person, ticket.scene)
        if new:
            self._chats.add(person.name, "note", [Piece("chat.followed")])
        event = {
            "Event": "subscribe" if new else "SCAN",
            "EventKey": f"qrscene_{ticket.scene}" if new else ticket.scene,
            "Ticket": ticket.value,
        }
        return await self._event(person, event, times)

    async def unfollow(self, person: Person) -> Delivery | None:
        """Let *person* go: `unsubscribe`, None where they did not follow."""
        if not self._followers.unfollow(self.account.appid, person):
            return None
        self._chats.add(person.name, "note", [Piece("chat.unfollowed")])
        return await self._event(person, {"Event": "unsubscribe", "EventKey": ""})

    async def say(self, person: Person, text: str) -> Delivery:
        """Let *person* send a text."""
        self._chats.add(person.name, "text", [Piece(text)], mine=True)
        number = secrets.randbits(62) + 1
        return await self._deliver(
            person, self._members(person, {"MsgType": "text", "Content": text, "MsgId": number})
        )

    async def verify(self) -> bool:
        """Check the server as WeChat does when its address is saved: it must answer the raw `echostr`."""
        echostr = str(secrets.randbelow(9 * 10**18) + 10**18)
        async with client() as http:
            try:
                async with asyncio.timeout(self._patience):
                    answer = await http.get(
                        self.account.push_url, params={**self._signed(), "echostr": echostr}
                    )
            except _FAILURES:
                return False
        return answer.status_code == 200 and answer.text == echostr

    async def _event(self, person: Person, event: Mapping[str, str], times: int = 1) -> Delivery:
        members = self._members(person, {"MsgType": "event", **event})
        for _ in range(times - 1):
            await self._deliver(person, members)
        return await self._deliver(person, members)

    def _members(self, person: Person, members: Mapping[str, str | int]) -> dict[str, str | int]:
        return {
            "ToUserName": self.account.original_id,
            "FromUserName": person.openid(self.account.appid),
            "CreateTime": int(self._clock.time()),
            **members,
        }

    async def _deliver(self, person: Person, members: Mapping[str, str | int]) -> Delivery:
        tries: list[dict[str, Any]] = []
        delivery: Delivery = {"push": dict(members), "delivered": False, "tries": tries, "reply": None}
        self.sent.appendleft(delivery)
        if not self.account.push_url:
            return delivery
        async with client() as http:
            while not delivery["delivered"] and len(tries) < TRIES:
                begun = time.monotonic()
                attempt: dict[str, Any] = {"status": None, "error": None}
                tries.append(attempt)
                try:
                    async with asyncio.timeout(self._patience):
                        answer = await self._post(http, members)
                    attempt["status"] = answer.status_code
                    delivery["delivered"] = answer.status_code == 200
                except _FAILURES as error:
                    attempt["error"] = type(error).__name__
                attempt["seconds"] = round(time.monotonic() - begun, 3)
        if not delivery["delivered"]:
            self._trouble(person, members)
            return delivery
        try:
            reply = self._reply(person, answer.content)
        except ValueError as error:
            delivery["error"] = str(error)
            self._trouble(person, members)
        else:
            delivery["reply"] = reply and {"type": reply.kind, "text": reply.text, "links": reply.links}
        return delivery

    async def _post(self, http: httpx2.AsyncClient, members: Mapping[str, str | int]) -> httpx2.Response:
        account = self.account
        query = {**self._signed(), "openid": str(members["FromUserName"])}
        body: Mapping[str, str | int] = members
        if account.mode != "plain":
            sealed = push_crypto.seal(account.aes_key, account.appid, push_xml.write(members).encode())
            query["encrypt_type"] = "aes"
            query["msg_signature"] = push_crypto.signature(
                account.token, query["timestamp"], query["nonce"], sealed
            )
            body = {**members, "Encrypt": sealed}
            if account.mode == "secure":
                body = {"ToUserName": account.original_id, "Encrypt": sealed}
        content = push_xml.write(body).encode()
        return await http.post(account.push_url, params=query, content=content, headers=_HEADERS)

    def _reply(self, person: Person, body: bytes) -> Message | None:
        if body.strip() in (b"", b"success"):
            return None
        account = self.account
        reply = push_xml.read(body)
        if "Encrypt" in reply and account.mode != "plain":
            signed = push_crypto.signature(
                account.token, str(reply.get("TimeStamp")), str(reply.get("Nonce")), str(reply["Encrypt"])
            )
            if signed != reply.get("MsgSignature"):
                raise ValueError("the reply's MsgSignature is wrong")
            reply = push_xml.read(push_crypto.unseal(account.aes_key, account.appid, str(reply["Encrypt"])))
        elif account.mode == "secure":
            raise ValueError("a reply in plain to a sealed push")
        ends = (reply.get("FromUserName"), reply.get("ToUserName"))
        if ends != (account.original_id, person.openid(account.appid)):
            raise ValueError("the reply's FromUserName or ToUserName is wrong")
        kind, found = understood(reply)
        return self._chats.add(person.name, kind, found)

    def _trouble(self, person: Person, members: Mapping[str, str | int]) -> None:
        if members.get("Event") != "unsubscribe":  # who has left is told nothing more
            self._chats.add(person.name, "note", [Piece("chat.trouble")])

    def _signed(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._clock.time())), str(secrets.randbelow(9 * 10**8) + 10**8)
        signed = push_crypto.signature(self.account.token, timestamp, nonce)
        return {"signature": signed, "timestamp": timestamp, "nonce": nonce}
