"""Pushes of an official account in secure mode: scans of waiting codes, among messages for others."""

import asyncio
import hashlib
import random
import secrets
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from hub.settings import STAND_IN_ACCOUNT
from hub.wechat.crypto import AesKey, MessageCrypto
from tests.bench.client import Failed, Http, clock
from tests.bench.figures import summary

AT = "/api/auth/wechat/push"
ONE_SCAN_IN = 10  # pushes; the others are what people say to the account

_FIRST = 7
_SETTLE = 10.0  # seconds for the last answers to come
_HEAD = "<xml><ToUserName>gh_bench</ToUserName><FromUserName>{}</FromUserName><CreateTime>{}</CreateTime>"


def settings(api_url: str) -> dict[str, str]:
    """Return the settings of a hub whose official account is the stand-in's, with WeChat at *api_url*."""
    return {
        "WECHAT_API_URL": api_url,
        "WECHAT_OPEN_URL": api_url,
        "WECHAT_OA_APP_ID": STAND_IN_ACCOUNT.app_id,
        "WECHAT_OA_APP_SECRET": STAND_IN_ACCOUNT.secret,
        "WECHAT_OA_TOKEN": STAND_IN_ACCOUNT.token,
        "WECHAT_OA_AES_KEY": STAND_IN_ACCOUNT.aes_keys[0],
    }


class Pushes:
    """WeChat's side; what it sends is signed and encrypted before the clock runs."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._random = random.Random(21)  # noqa: S311 - the same arrivals in every run
        self._crypto = MessageCrypto(STAND_IN_ACCOUNT.token, STAND_IN_ACCOUNT.app_id)
        self._key = AesKey(STAND_IN_ACCOUNT.aes_keys[0])

    async def send(self, codes: list[str], *, rate: float, seconds: float) -> dict[str, Any]:
        """Push at random moments, *rate* a second on average, however long the answers take.

        Every tenth push is a scan of one of *codes*, as long as there are any, by a person of its own.
        """
        moments, at = [], 0.0
        while (at := at + self._random.expovariate(rate)) < seconds:
            moments.append(at)
        requests = [
            self._scan(codes.pop()) if number % ONE_SCAN_IN == _FIRST and codes else self._said(number)
            for number in range(len(moments))
        ]
        taken: dict[bool, list[float]] = {True: [], False: []}
        errors: Counter[str] = Counter()
        late: list[float] = []

        async def one(path: str, body: bytes, scan: bool) -> None:
            try:
                reply = await self._http.post_bytes(path, body)
            except Failed as failure:
                errors[str(failure)] += 1
                return
            if reply.status != 200 or (b"Encrypt" in reply.body) != scan:
                errors[f"{'scan' if scan else 'message'}: {reply.status}"] += 1
            taken[scan].append(1000 * (reply.received - reply.sent))

        begun = clock()
        tasks = []
        for moment, request in zip(moments, requests, strict=True):
            if (wait := begun + moment - clock()) > 0:
                await asyncio.sleep(wait)
            late.append(1000 * (clock() - begun - moment))
            tasks.append(asyncio.create_task(one(*request)))
        _, stuck = await asyncio.wait(tasks, timeout=_SETTLE)
        for task in stuck:
            task.cancel()
            errors["unanswered"] += 1
        return {
            "sent": len(moments),
            "seconds": clock() - begun,
            "errors": dict(errors),
            "late": summary(late),
            "scans": summary(taken[True]),
            "messages": summary(taken[False]),
            "all": summary(taken[True] + taken[False]),
        }

    def _scan(self, code: str) -> tuple[str, bytes, bool]:
        event = f"<MsgType>event</MsgType><Event>SCAN</Event><EventKey>{code}</EventKey><Ticket>t</Ticket>"
        return (*self._sealed(event), True)

    def _said(self, number: int) -> tuple[str, bytes, bool]:
        text = f"<MsgType>text</MsgType><Content><![CDATA[你好 {number}]]></Content><MsgId>{number}</MsgId>"
        return (*self._sealed(text), False)

    def _sealed(self, members: str) -> tuple[str, bytes]:
        now, nonce = str(int(time.time())), str(self._random.randrange(10**9))
        openid = "o" + hashlib.sha256(secrets.token_bytes(8)).hexdigest()[:27]
        message = f"{_HEAD.format(openid, now)}{members}</xml>"
        sealed = self._crypto.seal(message.encode(), self._key, now, nonce)
        query = {
            "signature": self._crypto.signature(now, nonce),
            "timestamp": now,
            "nonce": nonce,
            "openid": openid,
            "encrypt_type": "aes",
            "msg_signature": sealed.signature,
        }
        body = (
            f"<xml><ToUserName>gh_bench</ToUserName><Encrypt><![CDATA[{sealed.encrypted}]]></Encrypt></xml>"
        )
        return f"{AT}?{urlencode(query)}", body.encode()
