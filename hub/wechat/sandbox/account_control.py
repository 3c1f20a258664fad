"""The official account and mini programs by script: what a person with a phone would do, and the settings."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.control import refused
from hub.wechat.sandbox.mini_program import MiniProgramCodes
from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.pushes import Pushes
from hub.wechat.sandbox.tickets import DEFAULT_LIFE, Tickets

Name = Literal["alice", "bob", "noavatar", "emoji", "decliner", "snapshot", "lateunion"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scan(_Body):
    """*person* scans the code with this *scene*; the push comes *times* times, as if answers were lost."""

    scene: Annotated[str, Field(min_length=1, max_length=64)] | Annotated[int, Field(ge=1, lt=2**32)]
    person: Name
    times: int = Field(default=1, ge=1, le=20)


class Somebody(_Body):
    """*person* does it, in the mini program *appid*, the first one where there is none given."""

    person: Name
    appid: str | None = None


class Said(_Body):
    """*person* writes *text* to the account."""

    person: Name
    text: str = Field(min_length=1, max_length=600)


class ServerSettings(_Body):
    """What is given is changed."""

    push_url: str | None = Field(default=None, pattern=r"^(https?://\S+)?$")
    token: str | None = Field(default=None, pattern=r"^[0-9A-Za-z]{3,32}$")
    aes_key: str | None = Field(default=None, pattern=r"^[0-9A-Za-z]{43}$")
    mode: Literal["plain", "compatible", "secure"] | None = None


class AccountControl:
    """The endpoints below `/official-account`."""

    def __init__(self, pushes: Pushes, tickets: Tickets) -> None:
        self._pushes = pushes
        self._tickets = tickets

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        at = "/official-account"
        return [
            Route(at, self.settings, methods=["GET", "POST"]),
            Route(f"{at}/verify", self.verify, methods=["POST"]),
            Route(f"{at}/scan", self.scan, methods=["POST"]),
            Route(f"{at}/unfollow", self.unfollow, methods=["POST"]),
            Route(f"{at}/message", self.message, methods=["POST"]),
            Route(f"{at}/pushes", self.listed, methods=["GET", "DELETE"]),
        ]

    async def settings(self, request: Request) -> Response:
        """Answer `{appid, original_id, push_url, mode}`; POST changes them, token and aes_key as well."""
        account = self._pushes.account
        if request.method == "POST":
            try:
                given = ServerSettings.model_validate_json(await request.body())
            except ValidationError as error:
                return refused(error)
            changed = given.model_dump(exclude_none=True)
            if changed.get("mode", account.mode) != "plain" and not changed.get("aes_key", account.aes_key):
                return JSONResponse([{"loc": ["aes_key"], "msg": "this mode needs one"}], 422)
            for name, value in changed.items():
                setattr(account, name, value)
        return JSONResponse(
            {
                "appid": account.appid,
                "original_id": account.original_id,
                "push_url": account.push_url,
                "mode": account.mode,
            }
        )

    async def verify(self, _: Request) -> Response:
        """Answer `{verified}`: whether the server passes the check made when its address is saved."""
        return JSONResponse({"verified": await self._pushes.verify()})

    async def scan(self, request: Request) -> Response:
        """Answer what became of the push: `{push, delivered, tries, reply}`; 410 where the code has expired.

        A scene of which no code was ordered is pushed too, with a ticket that nobody knows.
        """
        try:
            asked = Scan.model_validate_json(await request.body())
        except ValidationError as error:
            return refused(error)
        appid, scene = self._pushes.account.appid, str(asked.scene)
        ticket = self._tickets.by_scene(appid, scene) or self._tickets.issue(appid, scene, DEFAULT_LIFE)
        if self._tickets.is_over(ticket):
            return JSONResponse([{"loc": ["scene"], "msg": "the code has expired"}], 410)
        return JSONResponse(await self._pushes.scan(PEOPLE[asked.person], ticket, times=asked.times))

    async def unfollow(self, request: Request) -> Response:
        """Answer what became of the push; 409 where the person did not follow."""
        try:
            asked = Somebody.model_validate_json(await request.body())
        except ValidationError as error:
            return refused(error)
        delivery = await self._pushes.unfollow(PEOPLE[asked.person])
        if delivery is None:
            return JSONResponse([{"loc": ["person"], "msg": "does not follow"}], 409)
        return JSONResponse(delivery)

    async def message(self, request: Request) -> Response:
        """Answer what became of the push of a text."""
        try:
            asked = Said.model_validate_json(await request.body())
        except ValidationError as error:
            return refused(error)
        return JSONResponse(await self._pushes.say(PEOPLE[asked.person], asked.text))

    async def listed(self, request: Request) -> Response:
        """Answer all pushes so far, newest first."""
        if request.method == "DELETE":
            self._pushes.sent.clear()
        return JSONResponse(list(self._pushes.sent))


class MiniProgramControl:
    """The endpoints below `/mini-program`: the codes that a phone would hand to a mini program."""

    def __init__(self, apps: Apps, codes: MiniProgramCodes) -> None:
        self._apps = apps
        self._codes = codes

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/mini-program/login", self.login, methods=["POST"]),
            Route("/mini-program/phone-number", self.number, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """Answer `{code}`, a `js_code` as `wx.login` gives it."""
        return await self._code(request, self._codes.login)

    async def number(self, request: Request) -> Response:
        """Answer `{code}`, as the button `getPhoneNumber` gives it."""
        return await self._code(request, self._codes.number)

    async def _code(self, request: Request, make: Callable[[str, Person], str]) -> Response:
        try:
            asked = Somebody.model_validate_json(await request.body())
        except ValidationError as error:
            return refused(error)
        known = self._apps.ids("mini_program")
        appid = asked.appid or next(iter(known), "")
        if appid not in known:
            return JSONResponse([{"loc": ["appid"], "msg": "no such mini program"}], 422)
        return JSONResponse({"code": make(appid, PEOPLE[asked.person])})
