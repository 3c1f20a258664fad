"""Tencent Cloud SMS: SendSms 2021-01-11 with the signature TC3-HMAC-SHA256."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from hub.codes.messages import Message
from hub.codes.senders.http import Http, Reply
from hub.codes.senders.port import Misconfigured, Permanent, SendFailed, Temporary, demand_refusal
from hub.codes.senders.templates import Templates

_ALGORITHM: Final = "TC3-HMAC-SHA256"
_SERVICE: Final = "sms"
_CONTENT_TYPE: Final = "application/json; charset=utf-8"
_PERMANENT: Final = {
    "InvalidParameterValue.IncorrectPhoneNumber",
    "FailedOperation.PhoneNumberInBlacklist",  # the person wants no messages
}
_LIMITS: Final = ("LimitExceeded", "RequestLimitExceeded")
_LIMIT_PAUSE: Final = 60.0
_REFUSALS: Final = (
    "AuthFailure",
    "FailedOperation",
    "InternalError.Sig",
    "InvalidAction",
    "InvalidParameter",
    "InvalidRequest",
    "IpInBlacklist",
    "IpNotInWhitelist",
    "MissingParameter",
    "NoSuch",
    "ResourceInsufficient",
    "Unauthorized",
    "Unsupported",
)


class TencentSender:
    """Sends as the application *app_id* of the account of *secret_id*, under *sign_name*."""

    name = "tencent"

    def __init__(
        self,
        http: Http,
        url: str,
        *,
        secret_id: str,
        secret_key: str,
        region: str,
        app_id: str,
        sign_name: str,
        templates: Templates,
        clock: Callable[[], datetime],
    ) -> None:
        self._http = http
        self._url = url
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._region = region
        self._app_id = app_id
        self._sign_name = sign_name
        self._templates = templates
        self._clock = clock

    async def send(self, message: Message, reference: str) -> None:
        """Send one SMS."""
        template = self._templates.find(message)
        body = json.dumps(
            {
                "PhoneNumberSet": [message.to],
                "SmsSdkAppId": self._app_id,
                "SignName": self._sign_name,
                "TemplateId": template.id,
                "TemplateParamSet": [value for _, value in template.values(message)],
                "SessionContext": reference,
            }
        ).encode()
        host = urlsplit(self._url).netloc
        now = self._clock()
        headers = {
            "host": host,
            "content-type": _CONTENT_TYPE,
            "x-tc-action": "SendSms",
            "x-tc-version": "2021-01-11",
            "x-tc-region": self._region,
            "x-tc-timestamp": str(int(now.timestamp())),
            "authorization": authorization(self._secret_id, self._secret_key, _SERVICE, host, body, now),
        }
        reply = await self._http.post(f"{self._url}/", headers, body)
        if failed := failure(reply):
            raise failed

    async def check(self) -> None:
        """See that keys, sign name and template are accepted."""
        await demand_refusal(self)


def authorization(
    secret_id: str, secret_key: str, service: str, host: str, body: bytes, now: datetime
) -> str:
    """Return the Authorization header of a POST of JSON to `/`; content-type and host are signed."""
    signed = "content-type;host"
    request = "\n".join(
        [
            "POST",
            "/",
            "",
            f"content-type:{_CONTENT_TYPE}\nhost:{host}\n",
            signed,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    date = now.astimezone(UTC).date().isoformat()
    scope = f"{date}/{service}/tc3_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{int(now.timestamp())}\n{scope}\n{digest}"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = _keyed(key, part)
    return (
        f"{_ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, "
        f"Signature={_keyed(key, text).hex()}"
    )


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def failure(reply: Reply) -> SendFailed | None:
    """Say what an answer means: an error of the whole call, or the status of the one number."""
    try:
        response = reply.body["Response"]
        code = response["Error"]["Code"] if "Error" in response else response["SendStatusSet"][0]["Code"]
    except (KeyError, IndexError, TypeError):
        return Temporary("garbled")
    if not isinstance(code, str):
        return Temporary("garbled")
    if code == "Ok" and "Error" not in response and reply.status == 200:
        return None
    if code in _PERMANENT:
        return Permanent(code)
    if code.startswith(_LIMITS):
        return Temporary(code, retry_after=_LIMIT_PAUSE)
    return Misconfigured(code) if code.startswith(_REFUSALS) else Temporary(code)
