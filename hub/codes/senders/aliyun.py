"""Aliyun SMS: SendSms 2017-05-25 with the signature ACS3-HMAC-SHA256."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from hub.codes.messages import Message
from hub.codes.senders.http import Http, Reply
from hub.codes.senders.port import Misconfigured, Permanent, SendFailed, Temporary, demand_refusal
from hub.codes.senders.templates import Templates

_ALGORITHM: Final = "ACS3-HMAC-SHA256"
_CHINA: Final = "+86"
_PERMANENT: Final = {"isv.MOBILE_NUMBER_ILLEGAL"}
# Of one number (1 a minute, 5 an hour, 10 a day) or of the whole account.
_LIMITS: Final = {"isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL"}
_LIMIT_PAUSE: Final = 60.0
_DENIED: Final = "isp.RAM_PERMISSION_DENY"


class AliyunSender:
    """Sends through the account of *access_key*, under *sign_name*."""

    name = "aliyun"

    def __init__(
        self,
        http: Http,
        url: str,
        *,
        access_key: str,
        secret: str,
        sign_name: str,
        templates: Templates,
        clock: Callable[[], datetime],
    ) -> None:
        self._http = http
        self._url = url
        self._access_key = access_key
        self._secret = secret
        self._sign_name = sign_name
        self._templates = templates
        self._clock = clock

    async def send(self, message: Message, reference: str) -> None:
        """Send one SMS."""
        template = self._templates.find(message)
        query = {
            "OutId": reference,
            "PhoneNumbers": message.to.removeprefix(_CHINA).removeprefix("+"),
            "SignName": self._sign_name,
            "TemplateCode": template.id,
            "TemplateParam": json.dumps(dict(template.values(message)), ensure_ascii=False),
        }
        headers = {
            "host": urlsplit(self._url).netloc,
            "x-acs-action": "SendSms",
            "x-acs-version": "2017-05-25",
            "x-acs-date": self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256().hexdigest(),
        }
        headers["authorization"] = authorization(self._access_key, self._secret, query, headers)
        reply = await self._http.post(f"{self._url}/?{_canonical(query)}", headers)
        if failed := failure(reply):
            raise failed

    async def check(self) -> None:
        """See that keys, sign name and template are accepted."""
        await demand_refusal(self)


def authorization(access_key: str, secret: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the Authorization header of a POST to `/` without a body; all *headers* are signed."""
    signed = ";".join(sorted(headers))
    request = "\n".join(
        [
            "POST",
            "/",
            _canonical(query),
            "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers)),
            signed,
            headers["x-acs-content-sha256"],
        ]
    )
    text = f"{_ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={access_key},SignedHeaders={signed},Signature={signature}"


def _canonical(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))


def failure(reply: Reply) -> SendFailed | None:
    """Say what an answer means. `isv.…` is the caller's fault, `isp.…` the provider's."""
    code = reply.body.get("Code")
    if not isinstance(code, str):
        return Temporary("garbled")
    if code == "OK" and reply.status == 200:
        return None
    if code in _PERMANENT:
        return Permanent(code)
    if code in _LIMITS or code.startswith("Throttling"):
        return Temporary(code, retry_after=_LIMIT_PAUSE)
    if code == _DENIED or code.startswith("isv.") or 400 <= reply.status < 500:
        return Misconfigured(code)
    return Temporary(code)
