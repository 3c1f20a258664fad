"""An official account's server as a third party might write it, to receive the sandbox's pushes."""

import asyncio
import base64
import hashlib
import re
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


@dataclass
class Receiver:
    """Records pushes; the next *slow* ones are answered late, the next *broken* ones by 500."""

    token: str
    slow: int = 0
    broken: int = 0
    reply: bytes = b"success"
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """The server."""
        return Starlette(routes=[Route("/push", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        query = dict(request.query_params)
        if request.method == "GET":
            good = query["signature"] == signed(self.token, query["timestamp"], query["nonce"])
            return PlainTextResponse(query["echostr"] if good else "no")
        self.got.append((query, (await request.body()).decode()))
        if self.slow:
            self.slow -= 1
            await asyncio.sleep(0.6)
        if self.broken:
            self.broken -= 1
            return Response(status_code=500)
        return Response(self.reply, media_type="application/xml")


def signed(*parts: str) -> str:
    """The signature of these parts."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def member(xml: str, name: str) -> str | None:
    """The text of an element."""
    found = re.search(rf"<{name}>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))</{name}>", xml, re.DOTALL)
    return None if found is None else found[1] if found[1] is not None else found[2]


def opened(aes_key: str, encrypted: str) -> tuple[str, str]:
    """The message of an `Encrypt` member, and the app id behind it."""
    key = base64.b64decode(aes_key + "=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
    plain = plain[: -plain[-1]]
    (length,) = struct.unpack(">I", plain[16:20])
    return plain[20 : 20 + length].decode(), plain[20 + length :].decode()


def sealed(aes_key: str, appid: str, message: str) -> str:
    """The `Encrypt` member of a message."""
    key = base64.b64decode(aes_key + "=")
    plain = b"r" * 16 + struct.pack(">I", len(message.encode())) + message.encode() + appid.encode()
    plain += bytes([32 - len(plain) % 32]) * (32 - len(plain) % 32)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()
