"""The HTTP edge of the QR sign-in: browsers that begin and redeem, and the customer's app that confirms."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.errors import FieldError, InvalidRequest, NotFound
from hub.limits.guard import QR, VERIFY, Guard
from hub.qr import image
from hub.qr.attempt import Attempt, image_url
from hub.qr.attempts import Attempts
from hub.qr.binding import Binding
from hub.qr.grants import PREFIX as GRANT
from hub.qr.grants import Grants
from hub.qr.identifiers import hashed
from hub.qr.new_attempt import Initiator, NewAttempt
from hub.qr.open_platform.service import OpenPlatform
from hub.qr.operations.answering import CONFIRM, SCAN
from hub.qr.operations.creating import CREATE, DRAW_PNG, DRAW_SVG, Create, Created
from hub.qr.operations.redeeming import REDEEM
from hub.qr.phone import Answer, Phone
from hub.qr.redemption import Redemption, challenge_binding, cookie_binding
from hub.qr.request_info import RequestInfo
from hub.qr.states import PROVIDER_DOORS
from hub.tokens.clients import Clients
from hub.tokens.service import Device, Sessions
from hub.web.cookies import Cookies
from hub.web.language import language
from hub.web.origins import Origins
from hub.web.parsing import bearer, client_address, user_agent
from hub.wechat.replies import Image

_NO_COOKIE = ("cross-site", "same-site")  # from there no call can set one (Fetch Metadata, Sec-Fetch-Site)

Picture = Callable[[Attempt], Awaitable[Image]]
Edge = Callable[[Request], Awaitable[Response]]


class QrRoutes:
    """The endpoints under `/api/auth/wechat`, without those that wait.

    *doors* are the configured ones, the first is the default. Where there is a mini program, *picture* gets
    its codes and *confirm_in_mini* takes its confirmations.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        phone: Phone,
        redemption: Redemption,
        open_platform: OpenPlatform | None,
        binding: Binding,
        sessions: Sessions,
        clients: Clients,
        guard: Guard,
        cookies: Cookies,
        grants: Grants,
        origins: Origins,
        base_url: str,
        info: RequestInfo,
        doors: tuple[str, ...],
        redirect_uris: frozenset[str],
        picture: Picture | None = None,
        confirm_in_mini: Edge | None = None,
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._redemption = redemption
        self._open_platform = open_platform
        self._binding = binding
        self._sessions = sessions
        self._clients = clients
        self._guard = guard
        self._cookies = cookies
        self._grants = grants
        self._origins = origins
        self._base_url = base_url
        self._info = info
        self._doors = doors
        self._redirect_uris = redirect_uris
        self._picture = picture
        self._confirm_in_mini = confirm_in_mini

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            CREATE.route(self.create),
            DRAW_SVG.route(self.svg),
            DRAW_PNG.route(self.png),
            SCAN.route(self.scan),
            CONFIRM.route(self.confirm),
            REDEEM.route(self.token),
        ]

    async def create(self, request: Request) -> Response:
        """Begin an attempt, bound to this browser by challenge or cookie."""
        self._origins.check(request)
        await self._guard.spend(QR, client_address(request))
        asked = await CREATE.read(request)
        binds = asked.purpose == "bind"
        initiator = await self._binding.initiator(bearer(request)) if binds else Initiator()
        door = self._allow(asked)
        challenge = asked.code_challenge
        returns = door in PROVIDER_DOORS  # the callback comes to this browser, which the cookie then proves
        if returns and request.headers.get("sec-fetch-site") in _NO_COOKIE:
            raise InvalidRequest([FieldError("door", "door_needs_our_page")])
        secret = self._cookies.binding_or_new(request) if returns or not challenge else ""
        attempt = await self._attempts.begin(
            NewAttempt(
                door=door,
                binding=challenge_binding(challenge) if challenge else cookie_binding(secret),
                cookie_hash=hashed(secret) if returns else None,
                ip_address=client_address(request),
                user_agent=user_agent(request),
                redirect_uri=None if binds else asked.redirect_uri,
                state=asked.state,
                initiator=initiator,
            )
        )
        response = CREATE.answer(self._created(attempt, secret))
        if secret:
            self._cookies.bind(request, response, secret)
        return response

    async def svg(self, request: Request) -> Response:
        """Draw the code as SVG; WeChat draws that of its mini program, as it likes."""
        attempt = await self._drawable(request)
        if attempt.door == "mini_program":
            return await self.png(request)
        drawn = image.svg(self._content(attempt, request.path_params["qr_code"]))
        return Response(drawn, media_type="image/svg+xml", headers={"cache-control": "no-store"})

    async def png(self, request: Request) -> Response:
        """Draw the code as PNG; WeChat draws that of its mini program, as it likes."""
        attempt = await self._drawable(request)
        if attempt.door == "mini_program" and self._picture:
            drawn = await self._picture(attempt)
        else:
            drawn = Image(image.png(self._content(attempt, request.path_params["qr_code"])), "image/png")
        return Response(drawn.content, media_type=drawn.media_type, headers={"cache-control": "no-store"})

    async def scan(self, request: Request) -> Response:
        """Claim an attempt by the customer's app, whose person is signed in."""
        claims = await self._sessions.verify(bearer(request))
        await self._guard.spend(VERIFY, client_address(request))
        asked = await SCAN.read(request)
        attempt = await self._phone.scan_in_app(asked.qr_code, int(claims.sub))
        session_id = self._attempts.made.session_id(attempt.session_seed, attempt.key)
        info = self._info.describe(attempt, client_address(request), language(request))
        return SCAN.answer({"session_id": session_id, "request": info})

    async def confirm(self, request: Request) -> Response:
        """Confirm, decline or report, by the phone that scanned."""
        token = bearer(request)
        if token and token.startswith(GRANT) and self._confirm_in_mini:
            return await self._confirm_in_mini(request)
        claims = await self._sessions.verify(token) if token else None
        if claims is None:
            self._origins.check(request, demanded=True)
        asked = await CONFIRM.read(request)
        if claims is not None:
            subject = f"hub:{claims.sub}"
        else:
            subject = self._grants.demand(request, hashed(asked.session_id)).subject
        attempt = await self._phone.answer(
            asked.session_id,
            subject,
            Answer(asked.action),
            device_of(request),
            on_page=token is None,
            acknowledged=asked.acknowledged,
        )
        return CONFIRM.answer({"status": attempt.status})

    async def token(self, request: Request) -> Response:
        """Redeem a confirmed attempt, once."""
        self._origins.check(request)
        await self._guard.spend(VERIFY, client_address(request))
        asked = await REDEEM.read(request)
        device = device_of(request, asked.device_name, asked.device_type, asked.device_id)
        signed_in = await self._redemption.by_session(
            asked.session_id,
            device,
            verifier=asked.code_verifier,
            secret=self._cookies.binding(request),
        )
        reply = signed_in.tokens.reply()
        if asked.token_delivery == "body":
            return REDEEM.answer(reply)
        refresh_token = reply.pop("refresh_token")
        response = REDEEM.answer(reply)
        self._cookies.give_refresh(response, refresh_token, signed_in.tokens.refresh_expires_in)
        return response

    def _allow(self, asked: Create) -> str:
        """Return the door that is asked for. Raises InvalidRequest."""
        fitting = [door for door in self._doors if asked.purpose == "login" or door != "app"]
        door = asked.door or (fitting or self._doors)[0]
        if door not in fitting:
            known = door in self._doors
            raise InvalidRequest([FieldError("door", "door_not_for_binding" if known else "door_unknown")])
        if asked.redirect_uri is None or self._clients.owns(asked.redirect_uri):
            return door
        if asked.redirect_uri not in self._redirect_uris:
            raise InvalidRequest([FieldError("redirect_uri", "redirect_not_allowed")])
        if asked.code_challenge is None:
            raise InvalidRequest([FieldError("code_challenge", "pkce_needed")])
        return door

    async def _drawable(self, request: Request) -> Attempt:
        attempt = await self._attempts.by_qr_code(request.path_params["qr_code"])
        if attempt.door in PROVIDER_DOORS:
            raise NotFound("WeChat shows its own code at this door")
        return attempt

    def _content(self, attempt: Attempt, qr_code: str) -> str:
        if attempt.door == "mini_program":
            return qr_code
        return attempt.qr_content or f"{self._base_url}/s/{qr_code}"

    def _created(self, attempt: Attempt, secret: str) -> Created:
        session_id = self._attempts.made.session_id(attempt.session_seed, attempt.key)
        now = self._attempts.store.now()
        at = f"{self._base_url}/api/auth/wechat"
        created: Created = {
            "session_id": session_id,
            "qr_code": attempt.qr_code,
            "qr_url": image_url(self._base_url, attempt.qr_code, attempt.door),
            "qr_content": None if attempt.door in PROVIDER_DOORS else self._content(attempt, attempt.qr_code),
            "expires_in": round((attempt.expires_at - now).total_seconds()),
            "qr_expires_in": round((attempt.qr_expires_at - now).total_seconds()),
            "ws_url": f"{at.replace('http', 'ws', 1)}/ws/{session_id}",
            "events_url": f"{at}/events/{session_id}",
            "status_url": f"{at}/status/{session_id}",
        }
        if self._open_platform and (url := self._open_platform.authorize_url(attempt, secret)):
            created["authorize_url"] = url
        return created


def device_of(
    request: Request, name: str | None = None, kind: str | None = None, device_id: str | None = None
) -> Device:
    """Return the device that sends *request*, with what it tells of itself."""
    return Device(name, kind, device_id, client_address(request), user_agent(request), None)
