"""The HTTP edge of the accounts."""

import hashlib
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.accounts.bindings import Bindings
from hub.accounts.deletion import Deletion
from hub.accounts.password_change import PasswordChange
from hub.accounts.password_sign_in import PasswordSignIn
from hub.accounts.profile import Profiles
from hub.accounts.tries import Asker
from hub.limits.guard import VERIFY, Guard
from hub.limits.networks import network
from hub.tokens.claims import Claims
from hub.tokens.service import Device, Prove, Sessions
from hub.web.answers import success
from hub.web.cookies import REFRESH, Cookies
from hub.web.origins import Origins
from hub.web.parsing import Body, Printable, bearer, body, client_address

Secret = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Nickname = Annotated[Printable, StringConstraints(min_length=2, max_length=64, pattern=r"\S")]
Picture = Annotated[Printable, StringConstraints(max_length=1024, pattern=r"^https://")]
_USER_AGENT_LENGTH = 512


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text or not "1900" <= text <= "9999":
        raise ValueError("not a day in the form YYYY-MM-DD")
    return text


class PasswordLogin(Body):
    """`POST /api/login/password`."""

    account: Annotated[Printable, StringConstraints(min_length=1, max_length=254)]
    password: Secret
    device_name: Annotated[Printable, StringConstraints(max_length=100)] | None = None
    device_type: Annotated[Printable, StringConstraints(max_length=20)] | None = None
    device_id: Annotated[Printable, StringConstraints(max_length=128)] | None = None


class ChangePassword(Body):
    """`POST /api/password/change`; the current one where the account has a password."""

    current_password: Secret | None = None
    new_password: Secret


class ChangeProfile(Body):
    """`PATCH /api/user/profile`: what is given changes; other members are those of the profile schema."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    nickname: Nickname | None = None
    avatar_url: Picture | None = None
    avatar: Picture | None = None  # another name of avatar_url
    bio: Annotated[str, StringConstraints(max_length=500)] | None = None
    gender: Literal["male", "female", "other", "prefer_not_to_say"] | None = None
    birth_date: Annotated[str, AfterValidator(_day)] | None = None


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
            Route("/api/login/password", self.login, methods=["POST"]),
            Route("/api/password/change", self.change_password, methods=["POST"]),
            Route("/api/user/profile", self.profile, methods=["GET", "PATCH"]),
            Route("/api/user", self.delete, methods=["DELETE"]),
            Route("/api/user/unbind-wechat", self.unbind_wechat, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """`POST /api/login/password`: sign in by number, e-mail address or username, and password."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await body(request, PasswordLogin)
        secret = self._cookies.device_or_new(request)
        device = _device(request)._replace(name=asked.device_name, type=asked.device_type, id=asked.device_id)
        signed_in = await self._sign_in.sign_in(
            asked.account, asked.password, _asker(request, secret), device
        )
        response = success(signed_in.reply(), headers=headers)
        self._cookies.mark_device(request, response, secret)
        return response

    async def change_password(self, request: Request) -> Response:
        """`POST /api/password/change`: another password; the account's other sessions end."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await body(request, ChangePassword)
        asker = _asker(request, self._cookies.device_or_new(request))
        await self._change.change(claims, asked.current_password, asked.new_password, asker, _device(request))
        return success(None, headers=headers)

    async def profile(self, request: Request) -> Response:
        """`GET` and `PATCH /api/user/profile`: the caller's own profile; the two share one `Allow`."""
        if request.method == "PATCH":
            return await self._change_profile(request)
        claims = await self._sessions.verify(bearer(request))
        return success(await self._profiles.read(claims.user_id))

    async def _change_profile(self, request: Request) -> Response:
        """Change the members that are given, and answer the whole profile."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await body(request, ChangeProfile)
        given = asked.model_dump(exclude_unset=True)
        if "avatar" in given:
            given.setdefault("avatar_url", given.pop("avatar"))
        return success(await self._profiles.change(claims.user_id, given), headers=headers)

    async def unbind_wechat(self, request: Request) -> Response:
        """`POST /api/user/unbind-wechat`: part from WeChat; the account's other sessions end."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        await self._bindings.unbind_wechat(claims)
        return success(await self._profiles.read(claims.user_id), headers=headers)

    async def delete(self, request: Request) -> Response:
        """`DELETE /api/user`: delete the caller's own account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        await self._deletion.delete(claims)
        response = success(None, headers=headers)
        if self._cookies.name(REFRESH) in request.cookies:
            self._cookies.clear(response, REFRESH)
        return response

    async def prove(self, request: Request, claims: Claims, password: str) -> Prove:
        """Check a password for `POST /api/reauth`. Raises as `PasswordChange.prove`."""
        asker = _asker(request, self._cookies.device_or_new(request))
        return await self._change.prove(claims, password, asker, _device(request))


def _asker(request: Request, secret: str) -> Asker:
    return Asker(hashlib.sha256(secret.encode()).hexdigest(), network(client_address(request)))


def _device(request: Request) -> Device:
    user_agent = request.headers.get("user-agent", "")[:_USER_AGENT_LENGTH]
    return Device(None, None, None, client_address(request), user_agent, None)
