"""What a scan of the official account's code sets off, and what its person is answered."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Literal

import structlog

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.identities import Identity
from hub.accounts.wechat_tokens import PersonTokens
from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyClaimed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    HubError,
    Unavailable,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.identifiers import QR_CODE, hashed
from hub.qr.official_account.links import PATH, ConfirmLinks
from hub.qr.phone import Answer, Phone
from hub.qr.states import Status
from hub.store.database import Connection
from hub.tokens.session import Device
from hub.web.language import LANGUAGES, translate
from hub.web.tasks import Tasks
from hub.wechat.account import OfficialAccount
from hub.wechat.push import Event

log = structlog.stdlib.get_logger("hub.qr")

NAME: Final = "official_account"
_LEARNING: Final = 100  # people being asked about at once; who comes on top stays without a name
_LEARN_FIRST: Final = 1.0  # seconds that an automatic confirmation waits for the unionid

Standing = Literal[
    "link", "bind", "confirmed", "claimed", "expired", "failed", "account_blocked", "already_bound"
]

_REFUSED: Final[tuple[tuple[type[HubError], Standing], ...]] = (
    (AlreadyClaimed, "claimed"),
    (AttemptExpired, "expired"),
    (AttemptNotFound, "expired"),
    (AttemptFailed, "failed"),
    (AccountBlocked, "account_blocked"),
    (AlreadyBound, "already_bound"),
)


class OfficialAccountDoor:
    """Takes the account's pushes.

    The push alone claims an attempt. With *auto* it confirms as well: who is made to scan is then signed in.
    """

    def __init__(
        self,
        attempts: Attempts,
        phone: Phone,
        bindings: Bindings,
        account: OfficialAccount,
        people: PersonTokens,
        links: ConfirmLinks,
        *,
        base_url: str,
        site_name: str,
        auto: bool,
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._bindings = bindings
        self._account = account
        self._people = people
        self._links = links
        self._base_url = base_url
        self._site_name = site_name
        self._auto = auto
        self._tasks = Tasks(_LEARNING)

    async def start(self) -> None:
        """Say it where scans alone sign people in."""
        if self._auto:
            log.warning("scans_confirm_by_themselves", setting="WECHAT_OA_CONFIRM=auto")

    async def stop(self) -> None:
        """Let what goes on behind the replies end."""
        await self._tasks.stop()

    async def receive(self, event: Event) -> str | None:
        """Act upon a push once, and return the text that answers it; None where there is nothing to say.

        Raises StoreUnavailable.
        """
        if event.kind == "unsubscribe":
            await self._forget(event)
        elif event.scene is not None and QR_CODE.fullmatch(event.scene):
            return await self._scanned(event, event.scene)
        return None  # nothing for us, or another of the account's own codes

    def subject(self, openid: str) -> str:
        """Return the person's name across providers."""
        return Identity(self._account.app.appid, openid).subject

    async def learn(self, attempt: Attempt, openid: str, unionid: str | None = None) -> Attempt:
        """Add what WeChat tells of the person who scanned, as far as it does, and return the attempt.

        The watchers are told with the next move. *unionid* is known already, where it is given.
        """
        try:
            follower = await self._account.user_info(openid)
        except HubError as error:
            log.info("follower_unknown", attempt=attempt.id, reason=error.reason)
            if unionid is None:
                return attempt
            known = replace(Identity.from_profile(attempt.profile), unionid=unionid)
        else:
            known = Identity.from_profile(attempt.profile)
            known = replace(
                known,
                unionid=follower.unionid or unionid,
                nickname=follower.nickname or known.nickname,
                avatar_url=follower.avatar_url or known.avatar_url,
                language=follower.language or known.language,
            )
        await self._attempts.store.changed(
            "official_account.learn",
            id=attempt.id,
            scanned_by=known.subject,
            provider_profile=json.dumps(known.profile(), ensure_ascii=False),
        )
        return replace(attempt, profile=known.profile())

    async def _scanned(self, event: Event, qr_code: str) -> str | None:
        appid = self._account.app.appid
        first, row = await asyncio.gather(
            self._attempts.store.changed(
                "official_account.see_push", push_key=event.key, received_at=self._attempts.store.now()
            ),
            self._attempts.store.one("official_account.known", appid=appid, openid=event.openid),
        )
        known: Mapping[str, str | None] = row or {}
        person = Identity(
            appid, event.openid, nickname=known.get("nickname"), avatar_url=known.get("avatar_url")
        )
        tongue, link = known.get("language"), ""
        try:
            attempt = await self._attempts.by_qr_code(qr_code)
            if attempt.door != NAME:
                raise AttemptNotFound(f"a code of the door {attempt.door}")
            link = self._links.make(attempt.id, event.key)
            attempt, standing = await self._move(attempt, person, link, first=bool(first))
            tongue = attempt.profile.get("language") or tongue
        except Unavailable:
            raise
        except HubError as error:
            standing = next((name for kind, name in _REFUSED if isinstance(error, kind)), "failed")
        if standing is None:
            return None
        said = [
            translate(each, f"reply.scan.{standing}", site=self._site_name) for each in _languages(tongue)
        ]
        if standing in ("link", "bind"):
            said.append(f"{self._base_url}{PATH}{link}")
        return "\n\n".join(said)

    async def _move(
        self, attempt: Attempt, person: Identity, link: str, *, first: bool
    ) -> tuple[Attempt, Standing | None]:
        """Claim, and return how things stand then. A repeated push only claims what the first try has not."""
        link_hash = hashed(link)
        if first or attempt.status is Status.PENDING:
            try:
                attempt = await self._claim(attempt, person, link_hash, first=first)
            except WrongState:
                attempt = await self._attempts.by_id(attempt.id)
        attempt = await self._attempts.tick(attempt)
        if attempt.scanned_by not in (person.subject, None):
            raise AlreadyClaimed("another person's")
        if attempt.status is Status.SCANNED:
            binds = attempt.purpose == "bind"
            if self._auto and not binds:  # whose account it is to bind, only the page says
                return attempt, await self._confirm(attempt, person.subject)
            if attempt.confirm_link != link_hash:
                return attempt, None
            return attempt, "bind" if binds else "link"
        if attempt.status is Status.CONFIRMED:
            return attempt, "confirmed"
        return attempt, "expired" if attempt.status is Status.EXPIRED else "failed"

    async def _claim(self, attempt: Attempt, identity: Identity, link_hash: str, *, first: bool) -> Attempt:
        claimed = await self._phone.claim(
            attempt, identity.subject, identity.profile(), confirm_link=link_hash
        )
        if claimed.confirm_link != link_hash:  # the same person again
            await self._attempts.store.changed(
                "official_account.give_link",
                id=attempt.id,
                scanned_by=identity.subject,
                confirm_link=link_hash,
            )
            return replace(claimed, confirm_link=link_hash)
        if self._auto:
            try:
                async with asyncio.timeout(_LEARN_FIRST):
                    claimed = await self.learn(claimed, identity.openid)
            except TimeoutError:
                log.info("confirmed_without_unionid", attempt=attempt.id)
        elif first:
            self._behind(self.learn(claimed, identity.openid))
        if first:  # the push names nobody, but a token from an earlier consent may
            self._behind(self._people.refresh_profile_of(identity.appid, identity.openid))
        return claimed

    def _behind(self, work: Coroutine[Any, Any, object]) -> None:
        """Let *work* go on behind the reply, unless too much does already."""
        with suppress(Unavailable):
            self._tasks.begin(work)

    async def _confirm(self, attempt: Attempt, subject: str) -> Standing:
        session_id = self._attempts.made.session_id(attempt.session_seed, attempt.key)
        device = Device(None, None, None, attempt.ip_address, attempt.user_agent, attempt.city)
        try:
            await self._phone.answer(session_id, subject, Answer.CONFIRM, device)
        except WrongState:  # another try of the push has just done it
            log.info("confirmed_by_another_try", attempt=attempt.id)
        return "confirmed"

    async def _forget(self, event: Event) -> None:
        store = self._attempts.store

        async def work(tx: Connection) -> tuple[bool, Changed | None]:
            now = store.now()
            if not await tx.changed("official_account.see_push", push_key=event.key, received_at=now):
                return False, None
            appid = self._account.app.appid
            return True, await self._bindings.forget_wechat(tx, appid, event.openid, now)

        first, changed = await store.write(work)
        if first:
            log.info("follower_forgotten", user_id=changed.user_id if changed else None)
        if changed:
            await self._bindings.announce(changed)


def _languages(told: str | None) -> Sequence[str]:
    """Return the languages to answer in: that which WeChat has told of the person, else all there are."""
    primary = (told or "").partition("_")[0]
    return [language for language in LANGUAGES if language.partition("-")[0] == primary] or LANGUAGES
