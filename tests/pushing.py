"""WeChat's side of a push, written beside the hub's: signatures by hashlib, encryption by wechatpy."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

import httpx2
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto

AT = "/api/auth/wechat/push"
APPID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
TOKEN = "pushtoken"
AES_KEY = "k" * 42 + "0"
PREVIOUS_KEY = "p" * 42 + "8"
ORIGINAL_ID = "gh_hub"


def scan(scene: str, openid: str = "oAlice", event: str = "SCAN") -> dict[str, Any]:
    """The members of a scan."""
    return {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": openid,
        "CreateTime": int(time.time()),
        "MsgType": "event",
        "Event": event,
        "EventKey": scene if event == "SCAN" else f"qrscene_{scene}",
        "Ticket": "gQH47joAAAA",
    }


def said(text: str, openid: str = "oAlice") -> dict[str, Any]:
    """The members of a message."""
    head = {"ToUserName": ORIGINAL_ID, "FromUserName": openid, "CreateTime": int(time.time())}
    return {**head, "MsgType": "text", "Content": text, "MsgId": 2**62 + 1}


def written(members: Mapping[str, Any]) -> str:
    """The members as XML."""
    return "<xml>" + "".join(f"<{name}>{escape(str(v))}</{name}>" for name, v in members.items()) + "</xml>"


def signature(*parts: str) -> str:
    """The signature of *parts* and the Token."""
    return hashlib.sha1("".join(sorted((TOKEN, *parts))).encode(), usedforsecurity=False).hexdigest()


class WeChat:
    """Pushes to the hub that *http* leads to; without *secure* in plain."""

    def __init__(self, http: httpx2.AsyncClient, aes_key: str = AES_KEY, *, secure: bool = True) -> None:
        self.http = http
        self.secure = secure
        self.crypto = WeChatCrypto(TOKEN, aes_key, APPID)

    def signed(self, seconds: float = 0, **changed: str) -> dict[str, str]:
        """The query of a call that is made *seconds* from now."""
        query = {"timestamp": str(int(time.time() + seconds)), "nonce": "486452656"}
        return {**query, "signature": signature(*query.values()), **changed}

    async def verify(self, seconds: float = 0, **changed: str) -> httpx2.Response:
        """Check the server's address."""
        query = {**self.signed(seconds), "echostr": "9151394385729845781", **changed}
        return await self.http.get(AT, params=query)

    async def push(self, text: str) -> httpx2.Response:
        """Push *text* in the mode of the account."""
        return await (self.sealed(text) if self.secure else self.plain(text))

    async def plain(self, body: str | bytes, seconds: float = 0, **changed: str) -> httpx2.Response:
        """Push *body* as it is."""
        return await self._post(body, {**self.signed(seconds), **changed})

    async def sealed(
        self,
        text: str,
        seconds: float = 0,
        *,
        beside: Mapping[str, Any] | None = None,
        as_json: bool = False,
        **changed: str,
    ) -> httpx2.Response:
        """Push *text* encrypted, with members in plain *beside* it as in the compatible mode."""
        query = self.signed(seconds)
        encrypted = self.crypto.encrypt_message(text, query["nonce"], query["timestamp"])
        sealed = encrypted.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
        query["msg_signature"] = signature(query["timestamp"], query["nonce"], sealed)
        query["encrypt_type"] = "aes"
        members = {**(beside or {"ToUserName": ORIGINAL_ID}), "Encrypt": sealed}
        body = json.dumps(members) if as_json else written(members)
        return await self._post(body, {**query, **changed})

    def reply(self, answer: httpx2.Response) -> str:
        """The text of an encrypted reply, which must be to who pushed."""
        outer = answer.text
        parts = {
            name: outer.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
            for name in ("MsgSignature", "TimeStamp", "Nonce")
        }
        parts = {n: v.removeprefix("<![CDATA[").removesuffix("]]>") for n, v in parts.items()}
        inner = self.crypto.decrypt_message(outer, parts["MsgSignature"], parts["TimeStamp"], parts["Nonce"])
        message = parse_message(inner)
        assert message.source == ORIGINAL_ID
        content: str = message.content
        return content

    async def _post(self, body: str | bytes, query: Mapping[str, str]) -> httpx2.Response:
        return await self.http.post(AT, params=query, content=body, headers={"content-type": "text/xml"})
