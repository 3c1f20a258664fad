"""What a mini program's back end calls: sessions, codes with a scene, phone numbers."""

import base64
import re
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from hub.wechat.sandbox.access_tokens import AccessTokens
from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.calls import Address, Call, call_route, required
from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.drawing import picture
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.people import Person
from hub.wechat.sandbox.quotas import Quotas
from hub.wechat.sandbox.replies import Refused
from hub.wechat.sandbox.unionids import Unionids

CODE_LIFE: Final = 300
SCENE_LONGEST: Final = 32

_SCENE: Final = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]+")
_PAGE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z/_.-]*")
_DEFAULT_PAGE: Final = "pages/index/index"
_VERSIONS: Final = ("release", "trial", "develop")


@dataclass(slots=True)
class OneTimeCode:
    """What `wx.login` or the phone-number button has given to a mini program on a phone."""

    appid: str
    person: Person
    expires_at: float
    used: bool = False


class MiniProgramCodes:
    """The one-time codes of mini programs, which live five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logins: Kept[str, OneTimeCode] = Kept()
        self._numbers: Kept[str, OneTimeCode] = Kept()

    def login(self, appid: str, person: Person) -> str:
        """Return a `js_code`, as `wx.login` does."""
        code = "0" + secrets.token_urlsafe(23)
        self._logins[code] = OneTimeCode(appid, person, self._clock.time() + CODE_LIFE)
        return code

    def number(self, appid: str, person: Person) -> str:
        """Return a code for the person's number, as the button `getPhoneNumber` does."""
        code = secrets.token_hex(32)
        self._numbers[code] = OneTimeCode(appid, person, self._clock.time() + CODE_LIFE)
        return code

    def look(self, appid: str, js_code: str) -> OneTimeCode:
        """Return a good `js_code`, unspent. Raises Refused: 40163 used, 40029 anything else."""
        code = self._logins.get(js_code)
        if code is not None and code.used:
            raise Refused(40163)
        return self._good(code, appid)

    def spend_number(self, appid: str, value: str) -> Person:
        """Spend a phone-number code. Raises Refused: 40013 of another app, 40029 unknown, used or too old."""
        code = self._numbers.get(value)
        if code is not None and code.appid != appid:
            raise Refused(40013)
        good = self._good(code, appid)
        good.used = True
        return good.person

    def _good(self, code: OneTimeCode | None, appid: str) -> OneTimeCode:
        if code is None or code.used or code.appid != appid or self._clock.time() >= code.expires_at:
            raise Refused(40029)
        return code


class MiniProgramRoutes:
    """`/sns/jscode2session` and the calls below `/wxa/`."""

    def __init__(
        self,
        apps: Apps,
        tokens: AccessTokens,
        codes: MiniProgramCodes,
        unionids: Unionids,
        quotas: Quotas,
        clock: Clock,
        address: Address,
    ) -> None:
        self._apps = apps
        self._tokens = tokens
        self._codes = codes
        self._unionids = unionids
        self._quotas = quotas
        self._clock = clock
        self._address = address

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            call_route("/sns/jscode2session", "GET", self._session, self._address),
            call_route("/wxa/getwxacodeunlimit", "POST", self._image, self._address),
            call_route("/wxa/business/getuserphonenumber", "POST", self._phone_number, self._address),
        ]

    def _session(self, call: Call) -> dict[str, object]:
        appid = required(call.query, "appid", 41002)
        secret = required(call.query, "secret", 41004)
        js_code = required(call.query, "js_code", 41008)
        if call.query.get("grant_type") != "authorization_code":
            raise Refused(40002)
        self._apps.prove(appid, secret, "mini_program")
        code = self._codes.look(appid, js_code)
        openid = code.person.openid(appid)
        self._quotas.spend("jscode2session", openid)
        code.used = True
        unionid = self._unionids.met(appid, code.person)
        session_key = base64.b64encode(secrets.token_bytes(16)).decode()
        return {"session_key": session_key, "openid": openid, **({"unionid": unionid} if unionid else {})}

    def _image(self, call: Call) -> Response:
        appid = self._caller(call)
        scene = call.body.get("scene")
        if not isinstance(scene, str) or not 1 <= len(scene) <= SCENE_LONGEST:
            raise Refused(40169)
        if not _SCENE.fullmatch(scene):
            raise Refused(40129)
        page = call.body.get("page", _DEFAULT_PAGE)
        if not isinstance(page, str) or not _PAGE.fullmatch(page):
            raise Refused(41030)
        version = call.body.get("env_version", "release")
        width = call.body.get("width", 430)
        if version not in _VERSIONS or not isinstance(width, int) or isinstance(width, bool):
            raise Refused(40097)
        self._quotas.spend("getwxacodeunlimit", appid)
        query = urlencode({"page": page, "env_version": version, "scene": scene})
        return picture(
            f"{call.address}/m/{appid}?{query}",
            min(max(width, 280), 1280),
            dark=_colour(call.body.get("line_color")),
            transparent=call.body.get("is_hyaline") is True,
        )

    def _phone_number(self, call: Call) -> dict[str, object]:
        appid = self._caller(call)
        person = self._codes.spend_number(appid, required(call.body, "code", 40029))
        abroad = person.country_code != "86"
        return {
            "errcode": 0,
            "errmsg": "ok",
            "phone_info": {
                "phoneNumber": f"+{person.country_code}{person.phone}" if abroad else person.phone,
                "purePhoneNumber": person.phone,
                "countryCode": person.country_code,
                "watermark": {"timestamp": int(self._clock.time()), "appid": appid},
            },
        }

    def _caller(self, call: Call) -> str:
        appid = self._tokens.check(call.query.get("access_token", ""))
        if appid not in self._apps.ids("mini_program"):
            raise Refused(48001)
        return appid


def _colour(line_color: object) -> str:
    if not isinstance(line_color, dict):
        return "#000000"
    try:
        red, green, blue = (min(max(int(line_color[name]), 0), 255) for name in ("r", "g", "b"))
    except (KeyError, TypeError, ValueError):
        raise Refused(40097) from None
    return f"#{red:02x}{green:02x}{blue:02x}"
