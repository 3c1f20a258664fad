"""What the mini program does for its person: claim by `wx.login`'s code, answer, and give a phone number."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.contacts import Contact
from hub.accounts.identities import Identity, SealedTokens
from hub.errors import AccountBlocked, AttemptNotFound, ProviderAway, SignInRefused, WechatCodeRefused
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts, refused
from hub.qr.identifiers import QR_CODE
from hub.qr.mini.pictures import Pictures
from hub.qr.phone import Answer, Phone
from hub.qr.states import Event, Status, decide
from hub.store.database import Connection
from hub.store.encryption import DataKeys
from hub.tokens.session import Device
from hub.wechat.errors import BackOff, Blocked, CodeRefused, TokenRefused, Unreachable, WeChatError
from hub.wechat.mini import Image, MiniProgram

_PAUSE: Final = 3.0  # seconds after which to ask again, where WeChat says nothing of it
_NUMBER_AGE: Final = timedelta(minutes=10)  # its code lives five; the clocks may differ


class Answered(NamedTuple):
    """The attempt after an answer, and whether the number that came with it is the account's now."""

    attempt: Attempt
    phone_bound: bool


class MiniDoor:
    """The use cases. *page* and *version* name what a code opens."""

    name = "mini_program"

    def __init__(
        self,
        attempts: Attempts,
        phone: Phone,
        program: MiniProgram,
        bindings: Bindings,
        keys: DataKeys,
        *,
        page: str,
        version: Literal["release", "trial", "develop"],
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._program = program
        self._bindings = bindings
        self._keys = keys
        self._page = page
        self._version: Literal["release", "trial", "develop"] = version
        self._pictures = Pictures(self._draw, life=attempts.lives.pending)

    async def start(self) -> None:
        """Nothing is opened before a picture is wanted."""

    async def stop(self) -> None:
        """Give up the pictures that are being fetched."""
        await self._pictures.stop()

    async def picture(self, attempt: Attempt) -> Image:
        """Return the code that opens the mini program. Raises ProviderAway or ProviderFailed."""
        with _told():
            return await self._pictures.get(attempt.qr_code)

    async def scan(self, scene: str, js_code: str) -> Attempt:
        """Claim the attempt of *scene* for who runs the mini program; *js_code* is sent to WeChat once.

        Raises AttemptNotFound, AlreadyClaimed, WechatCodeRefused, AccountBlocked where WeChat holds the
        person for a risk, ProviderAway, ProviderFailed, or what the attempt's state says.
        """
        if not QR_CODE.fullmatch(scene):
            raise AttemptNotFound("malformed scene")
        attempt = await self._phone.land(scene)
        if attempt.door != self.name:
            raise AttemptNotFound(f"door {attempt.door} takes no mini program")
        now = self._attempts.store.now()
        if attempt.status not in (Status.PENDING, Status.SCANNED) or now >= attempt.expires_at:
            raise refused(attempt, now)
        with _told():
            try:
                session = await self._program.session(js_code)
            except WeChatError as error:
                await self._phone.refusals.record_refusal(attempt, error)
                raise
        appid = self._program.app.appid
        sealed = SealedTokens.of_session(self._keys, appid, session.openid, session.session_key)
        identity = Identity(appid, session.openid, session.unionid, tokens=sealed)
        return await self._phone.claim(attempt, identity.subject, identity.profile())

    async def answer(
        self,
        session_id: str,
        subject: str,
        answer: Answer,
        device: Device,
        phone_code: str | None = None,
        *,
        acknowledged: bool = False,
    ) -> Answered:
        """Answer as `Phone.answer`; a confirmation with *phone_code* gives the account its number.

        An account that has a number keeps it. Raises NumberTaken where the number is another account's,
        WechatCodeRefused, ProviderAway or ProviderFailed: then nothing has changed, and the person may
        confirm without a number.
        """
        if phone_code is None or answer is not Answer.CONFIRM:
            answered = await self._phone.answer(
                session_id, subject, answer, device, acknowledged=acknowledged
            )
            return Answered(answered, False)
        attempt = await self._attempts.by_session(session_id)
        now = self._attempts.store.now()
        if decide(attempt, Event.CONFIRM, now) is None:
            raise refused(attempt, now)
        with suppress(SignInRefused):  # which ends the attempt, below
            await self._phone.check(attempt, device.ip, acknowledged=acknowledged)
        contact = await self._number(phone_code)  # not before: it can be asked for once
        changed: list[Changed] = []

        async def give(tx: Connection, user_id: int, now: datetime) -> None:
            given = await self._bindings.give_number(tx, user_id, contact, now)
            changed[:] = [given] if given else []

        attempt = await self._phone.answer(
            session_id, subject, answer, device, within=give, acknowledged=acknowledged
        )
        for one in changed:
            await self._bindings.announce(one)
        return Answered(attempt, bool(changed))

    async def _number(self, phone_code: str) -> Contact:
        with _told():
            phone = await self._program.phone_number(phone_code)
            given_at, now = phone.given_at, self._attempts.store.now()
            if (
                phone.appid != self._program.app.appid
                or given_at is None
                or abs(now - given_at) > _NUMBER_AGE
            ):
                raise CodeRefused("phone_number", detail="a watermark of another app or another time")
        return Contact("phone", phone.phone_e164, phone.country_code)

    async def _draw(self, qr_code: str) -> Image:
        return await self._program.code_image(qr_code, self._page, self._version)


@contextmanager
def _told() -> Iterator[None]:
    """Tell a program what it can do about a WeChatError; what is left of them is for the operator."""
    try:
        yield
    except CodeRefused as error:
        raise WechatCodeRefused(error.reason) from error
    except Blocked as error:
        raise AccountBlocked(error.reason) from error
    except (BackOff, TokenRefused, Unreachable) as error:
        raise ProviderAway(error.reason, retry_after=error.retry_after or _PAUSE) from error
