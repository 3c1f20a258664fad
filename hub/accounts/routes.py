"""The HTTP edge of the accounts."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.bindings import Bindings
from hub.accounts.deletion import Deletion
from hub.accounts.password_change import PasswordChange
from hub.accounts.password_sign_in import PasswordSignIn, SignInReply
from hub.accounts.profile import Profile, Profiles
from hub.accounts.tries import Asker
from hub.errors import (
    AccountBlocked,
    InvalidCredentials,
    LastSignInMethod,
    NotFound,
    OriginNotAllowed,
    PasswordLocked,
    ReauthRequired,
    Unauthorized,
    Unavailable,
)
from hub.limits.guard import VERIFY, Guard
from hub.limits.networks import network
from hub.tokens.claims import Claims
from hub.tokens.service import Device, Prove, Sessions
from hub.web.cookies import Cookies
from hub.web.operations import Auth, Nothing, Operation
from hub.web.origins import Origins
from hub.web.parsing import Body, Printable, Prose, Visible, bearer, client_address, user_agent

Secret = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Nickname = Annotated[Visible, StringConstraints(min_length=2, max_length=64, pattern=r"\S")]
Picture = Annotated[Printable, StringConstraints(max_length=1024, pattern=r"^https://")]


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    if day.isoformat() != text or day.year < 1900:
        raise ValueError("not a day in the form YYYY-MM-DD")
    if day > datetime.now(UTC).date() + timedelta(days=1):  # in the east it is tomorrow already
        raise PydanticCustomError("future_day", "nobody is born in the future")
    return text


class PasswordLogin(Body):
    """`POST /api/login/password`."""

    account: Annotated[Printable, StringConstraints(min_length=1, max_length=254)]
    """The account's number, e-mail address or username."""
    password: Secret
    """Its password."""
    device_name: Annotated[Printable, StringConstraints(max_length=100)] | None = None
    """What the device is called in the list of sessions."""
    device_type: Annotated[Printable, StringConstraints(max_length=20)] | None = None
    """What kind of device it is."""
    device_id: Annotated[Printable, StringConstraints(max_length=128)] | None = None
    """An id of the client's choice, by which a device can be signed out."""
    token_delivery: Literal["body", "cookie"] = "body"
    """Where the refresh token goes; with `cookie` no script can read it."""


class ChangePassword(Body):
    """`POST /api/password/change`; the current one where the account has a password."""

    current_password: Secret | None = None
    """The password so far."""
    new_password: Secret
    """8 to 128 characters, none of the common ones."""


class ChangeProfile(Body):
    """`PATCH /api/user/profile`: what is given changes; other members are those of the profile schema."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    nickname: Nickname | None = None
    """What others call the person."""
    avatar_url: Picture | None = None
    """The picture, by https."""
    avatar: Picture | None = None
    """Another name of `avatar_url`."""
    bio: Annotated[Prose, StringConstraints(max_length=500)] | None = None
    """What the person says about themselves."""
    gender: Literal["male", "female", "other", "prefer_not_to_say"] | None = None
    """The gender."""
    birth_date: Annotated[str, AfterValidator(_day)] | None = None
    """The day, as YYYY-MM-DD."""


_SIGNED_IN = (Auth.ACCESS_TOKEN,)
LOGIN = Operation(
    "POST",
    "/api/login/password",
    PasswordLogin,
    SignInReply,
    limited=True,
    problems=(OriginNotAllowed, InvalidCredentials, AccountBlocked, PasswordLocked, Unavailable),
)
CHANGE_PASSWORD = Operation(
    "POST",
    "/api/password/change",
    ChangePassword,
    NoneType,
    limited=True,
    auth=_SIGNED_IN,
    problems=(Unauthorized, ReauthRequired, InvalidCredentials, PasswordLocked, Unavailable),
)
PROFILE = Operation("GET", "/api/user/profile", Nothing, Profile, auth=_SIGNED_IN, problems=(Unauthorized,))
CHANGE_PROFILE = Operation(
    "PATCH",
    "/api/user/profile",
    ChangeProfile,
    Profile,
    limited=True,
    auth=_SIGNED_IN,
    problems=(Unauthorized,),
)
DELETE = Operation(
    "DELETE",
    "/api/user",
    Nothing,
    NoneType,
    limited=True,
    auth=_SIGNED_IN,
    problems=(Unauthorized, ReauthRequired),
)
UNBIND_WECHAT = Operation(
    "POST",
    "/api/user/unbind-wechat",
    Nothing,
    Profile,
    limited=True,
    auth=_SIGNED_IN,
    problems=(Unauthorized, ReauthRequired, LastSignInMethod, NotFound),
)


class AccountRoutes:
    """The endpoints of passwords, and what a signed-in person asks of the own account."""

    def __init__(
        self,
        sessions: Sessions,
        profiles: Profiles,
        sign_in: PasswordSignIn,
        change: PasswordChange,
        bindings: Bindings,
        deletion: Deletion,
        guard: Guard,
        cookies: Cookies,
        origins: Origins,
    ) -> None:
        self._sessions = sessions
        self._profiles = profiles
        self._sign_in = sign_in
        self._change = change
        self._bindings = bindings
        self._deletion = deletion
        self._guard = guard
        self._cookies = cookies
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            LOGIN.route(self.login),
            CHANGE_PASSWORD.route(self.change_password),
            PROFILE.route(self.profile),
            CHANGE_PROFILE.route(self.change_profile),
            DELETE.route(self.delete),
            UNBIND_WECHAT.route(self.unbind_wechat),
        ]

    async def login(self, request: Request) -> Response:
        """`POST /api/login/password`: sign in by number, e-mail address or username, and password."""
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await LOGIN.read(request)
        secret = self._cookies.device_or_new(request)
        device = _device(request)._replace(name=asked.device_name, type=asked.device_type, id=asked.device_id)
        signed_in = await self._sign_in.sign_in(
            asked.account, asked.password, _asker(request, secret), device
        )
        reply, tokens = signed_in.reply(), signed_in.tokens
        if asked.token_delivery == "cookie":
            del reply["refresh_token"]
        response = LOGIN.answer(reply)
        if asked.token_delivery == "cookie":
            self._cookies.give_refresh(response, tokens.refresh_token, tokens.refresh_expires_in)
        self._cookies.mark_device(request, response, secret)
        return response

    async def change_password(self, request: Request) -> Response:
        """`POST /api/password/change`: another password; the account's other sessions end."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await CHANGE_PASSWORD.read(request)
        asker = _asker(request, self._cookies.device_or_new(request))
        await self._change.change(claims, asked.current_password, asked.new_password, asker, _device(request))
        return CHANGE_PASSWORD.answer(None)

    async def profile(self, request: Request) -> Response:
        """`GET /api/user/profile`: the caller's own profile."""
        claims = await self._sessions.verify(bearer(request))
        return PROFILE.answer(await self._profiles.read(claims.user_id))

    async def change_profile(self, request: Request) -> Response:
        """`PATCH /api/user/profile`: change the members that are given, and answer the whole profile."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await CHANGE_PROFILE.read(request)
        given = asked.model_dump(exclude_unset=True)
        if "avatar" in given:
            given.setdefault("avatar_url", given.pop("avatar"))
        return CHANGE_PROFILE.answer(await self._profiles.change(claims.user_id, given))

    async def unbind_wechat(self, request: Request) -> Response:
        """`POST /api/user/unbind-wechat`: part from WeChat; the account's other sessions end."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        await self._bindings.unbind_wechat(claims)
        return UNBIND_WECHAT.answer(await self._profiles.read(claims.user_id))

    async def delete(self, request: Request) -> Response:
        """`DELETE /api/user`: delete the caller's own account."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        await self._deletion.delete(claims)
        response = DELETE.answer(None)
        self._cookies.take_refresh(request, response)
        return response

    async def prove(self, request: Request, claims: Claims, password: str) -> Prove:
        """Check a password for `POST /api/reauth`. Raises as `PasswordChange.prove`."""
        asker = _asker(request, self._cookies.device_or_new(request))
        return await self._change.prove(claims, password, asker, _device(request))


def _asker(request: Request, secret: str) -> Asker:
    return Asker(hashlib.sha256(secret.encode()).hexdigest(), network(client_address(request)))


def _device(request: Request) -> Device:
    return Device(None, None, None, client_address(request), user_agent(request), None)
