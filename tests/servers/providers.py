"""Stand-ins for the SMS providers, as far as their documents describe them.

They check signatures by code of their own, straight from the documents, and answer the providers' own errors.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.servers.uvicorn_app import serve

KEY, SECRET, SIGN = "test-key-id", "test-key-secret", "登录中心"
TEMPLATE, ALERT_TEMPLATE = "SMS_1000", "SMS_2000"

Fault = Literal[
    "", "refused", "busy", "limited", "unpaid", "garbage", "empty", "html", "redirect", "slow", "huge"
]


class Provider:
    """What a stand-in has received, and how it behaves: *fault* is how it fails, always or *count* times."""

    errors: ClassVar[dict[str, str]]

    def __init__(self) -> None:
        self.url = ""
        self.fault: Fault = ""
        self.count = -1
        self.calls = 0
        self.taken: list[dict[str, Any]] = []
        self.before_answering: Callable[[], None] = lambda: None

    def fail(self, fault: Fault, count: int = -1) -> None:
        """Fail from now on, the next *count* times where that is given."""
        self.fault, self.count = fault, count

    def next_fault(self) -> Fault:
        """Count this call, and return how it fails."""
        self.calls += 1
        if self.count == 0:
            return ""
        self.count -= 1
        return self.fault

    async def answer(self, request: Request) -> Response:
        """Answer a call."""
        body = await request.body()
        match fault := self.next_fault():
            case "garbage":
                return JSONResponse([1, 2, 3])
            case "empty":
                return JSONResponse({"Response": {"SendStatusSet": [{"Code": 0}]}, "Code": 0})
            case "html":
                return HTMLResponse("<h1>Service Unavailable</h1>", 503)
            case "redirect":
                return RedirectResponse(str(request.url), 307)
            case "huge":
                return JSONResponse({"Code": "OK", "Message": "x" * 200_000})
            case "slow":
                while (await request.receive())["type"] != "http.disconnect":
                    continue
                return Response()
            case _:
                answer = self.reply(request, body, fault)
                self.before_answering()
                return answer

    def reply(self, request: Request, body: bytes, fault: Fault) -> Response:
        """Check the call and answer it as the provider does."""
        raise NotImplementedError


class Aliyun(Provider):
    """SendSms 2017-05-25."""

    errors: ClassVar = {
        "refused": "isv.MOBILE_NUMBER_ILLEGAL",
        "busy": "isp.SYSTEM_ERROR",
        "limited": "isv.BUSINESS_LIMIT_CONTROL",
        "unpaid": "isv.AMOUNT_NOT_ENOUGH",
    }

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[str] = set()

    def reply(self, request: Request, body: bytes, fault: Fault) -> Response:
        if refusal := self.refusal(request, body):
            status = 404 if refusal == "InvalidAction.NotFound" else 400
            return self.told(refusal, status)
        query = dict(parse_qsl(request.scope["query_string"].decode()))
        if query["SignName"] != SIGN:
            return self.told("isv.SMS_SIGNATURE_ILLEGAL")
        if query["TemplateCode"] not in (TEMPLATE, ALERT_TEMPLATE):
            return self.told("isv.SMS_TEMPLATE_ILLEGAL")
        if not re.fullmatch(r"1\d{10}|(?!86)[1-9]\d{6,14}", query["PhoneNumbers"]):
            return self.told("isv.MOBILE_NUMBER_ILLEGAL")
        if fault:
            return self.told(self.errors[fault])
        values = json.loads(query["TemplateParam"])
        self.taken.append({"to": query["PhoneNumbers"], "reference": query["OutId"], "values": values})
        return JSONResponse({"Code": "OK", "Message": "OK", "BizId": "9006^0", "RequestId": "R"})

    def told(self, code: str, status: int = 200) -> Response:
        return JSONResponse({"Code": code, "Message": "…", "RequestId": "R"}, status)

    def refusal(self, request: Request, body: bytes) -> str:
        """What the gateway says of the signature; empty when it is right."""
        heads = request.headers
        if (heads["x-acs-action"], heads["x-acs-version"]) != ("SendSms", "2017-05-25"):
            return "InvalidAction.NotFound"
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=(.+?),SignedHeaders=(.+?),Signature=([0-9a-f]{64})",
            heads["authorization"],
        )
        if not found:
            return "IncompleteSignature"
        if found[1] != KEY:
            return "InvalidAccessKeyId.NotFound"
        names = found[2].split(";")
        demanded = {"host"} | {name for name in heads if name.startswith("x-acs-")}
        if names != sorted(names) or not demanded <= set(names):
            return "IncompleteSignature"
        sent = datetime.strptime(heads["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - sent).total_seconds()) > 900:
            return "InvalidTimeStamp.Expired"
        if heads["x-acs-signature-nonce"] in self.nonces:
            return "SignatureNonceUsed"
        self.nonces.add(heads["x-acs-signature-nonce"])
        pairs = sorted(parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True))
        lines = [request.method, request.url.path]
        lines += [
            "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
        ]
        lines += [f"{name}:{heads[name].strip()}" for name in names]
        lines += ["", found[2], hashlib.sha256(body).hexdigest()]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        right = hmac.new(SECRET.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), "sha256").hexdigest()
        return "" if right == found[3] else "SignatureDoesNotMatch"


class Tencent(Provider):
    """SendSms 2021-01-11."""

    errors: ClassVar = {
        "refused": "FailedOperation.PhoneNumberInBlacklist",
        "busy": "InternalError.Timeout",
        "limited": "LimitExceeded.PhoneNumberThirtySecondLimit",
        "unpaid": "FailedOperation.InsufficientBalanceInSmsPackage",
    }

    def reply(self, request: Request, body: bytes, fault: Fault) -> Response:
        if refusal := self.refusal(request, body):
            return JSONResponse({"Response": {"Error": {"Code": refusal, "Message": "…"}, "RequestId": "R"}})
        given = json.loads(body)
        (number,) = given["PhoneNumberSet"]
        code = "Ok"
        if given["SmsSdkAppId"] != "1400006666":
            code = "InvalidParameterValue.SdkAppIdNotExist"
        elif given["SignName"] != SIGN:
            code = "FailedOperation.SignatureIncorrectOrUnapproved"
        elif given["TemplateId"] not in (TEMPLATE, ALERT_TEMPLATE):
            code = "FailedOperation.TemplateIncorrectOrUnapproved"
        elif not re.fullmatch(r"\+[1-9]\d{6,14}", number):
            code = "InvalidParameterValue.IncorrectPhoneNumber"
        elif fault:
            code = self.errors[fault]
        else:
            values = given["TemplateParamSet"]
            self.taken.append({"to": number, "reference": given["SessionContext"], "values": values})
        status = {"SerialNo": "1", "PhoneNumber": number, "Fee": 1, "Code": code, "Message": "…"}
        return JSONResponse({"Response": {"SendStatusSet": [status], "RequestId": "R"}})

    def refusal(self, request: Request, body: bytes) -> str:
        """What the gateway says of the signature; empty when it is right."""
        heads = request.headers
        if (heads["x-tc-action"], heads["x-tc-version"]) != ("SendSms", "2021-01-11"):
            return "InvalidAction"
        if heads["x-tc-region"] != "ap-guangzhou":
            return "UnsupportedRegion"
        found = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=(.+?)/(\d{4}-\d\d-\d\d)/sms/tc3_request, "
            r"SignedHeaders=(.+?), Signature=([0-9a-f]{64})",
            heads["authorization"],
        )
        if not found or not {"content-type", "host"} <= set(found[3].split(";")):
            return "AuthFailure.InvalidAuthorization"
        if found[1] != KEY:
            return "AuthFailure.SecretIdNotFound"
        stamp = heads["x-tc-timestamp"]
        if abs(time.time() - int(stamp)) > 300:
            return "AuthFailure.SignatureExpire"
        if time.strftime("%Y-%m-%d", time.gmtime(int(stamp))) != found[2]:
            return "AuthFailure.SignatureFailure"
        heading = "".join(f"{name}:{heads[name].lower()}\n" for name in found[3].split(";"))
        asked = f"POST\n/\n\n{heading}\n{found[3]}\n{hashlib.sha256(body).hexdigest()}"
        text = "\n".join(
            [
                "TC3-HMAC-SHA256",
                stamp,
                f"{found[2]}/sms/tc3_request",
                hashlib.sha256(asked.encode()).hexdigest(),
            ]
        )
        day = hmac.digest(f"TC3{SECRET}".encode(), found[2].encode(), "sha256")
        signing = hmac.digest(hmac.digest(day, b"sms", "sha256"), b"tc3_request", "sha256")
        right = hmac.digest(signing, text.encode(), "sha256").hex()
        return "" if right == found[4] else "AuthFailure.SignatureFailure"


@contextmanager
def served(provider: Provider) -> Iterator[None]:
    """Serve a stand-in, and set its `url`."""
    app = Starlette(routes=[Route("/", provider.answer, methods=["GET", "POST"])])
    with serve(app, lifespan=False) as address:
        provider.url = address
        yield
