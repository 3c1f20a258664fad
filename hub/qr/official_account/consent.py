"""Who opens a confirm link: a silent consent (`snsapi_base`) tells, and only who has scanned passes."""

import structlog

from hub.errors import HubError
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.consent import ConsentState, Hit, Kind, Outcome
from hub.qr.identifiers import hashed
from hub.qr.official_account.door import NAME, OfficialAccountDoor
from hub.qr.official_account.links import ConfirmLinks
from hub.qr.states import Status
from hub.store.database import Connection
from hub.wechat.doors import WebConsent

log = structlog.stdlib.get_logger("hub.qr")


class LinkConsent:
    """Takes who opens a link to WeChat and back; a `Consent`."""

    def __init__(
        self,
        attempts: Attempts,
        door: OfficialAccountDoor,
        links: ConfirmLinks,
        consent: WebConsent,
        states: ConsentState,
    ) -> None:
        self._attempts = attempts
        self._door = door
        self._links = links
        self._consent = consent
        self._states = states

    async def open(self, link: str) -> tuple[Attempt, bool]:
        """Return the attempt of *link*, and whether the link is alive. Raises AttemptNotFound."""
        attempt = await self._attempts.tick(await self._attempts.by_id(self._links.read(link) or 0))
        alive = attempt.status is Status.SCANNED and attempt.confirm_link == hashed(link)
        return attempt, alive and attempt.door == NAME

    def consent_url(self, attempt: Attempt, secret: str) -> str:
        """Return the address of WeChat's consent for the browser with this binding secret."""
        now = self._attempts.store.now()
        return self._consent.consent_url(self._states.make(Kind.OFFICIAL_ACCOUNT, attempt.id, secret, now))

    async def accept(self, hit: Hit) -> Outcome:
        """Use up the link for who scanned; anyone else gets nowhere and leaves the link as it is."""
        attempt = await self._attempts.tick(await self._attempts.by_id(hit.attempt_id))
        if attempt.status is not Status.SCANNED or attempt.confirm_link is None:
            return Outcome("dead_link", attempt)
        person = await self._consent.person(hit.code, hit.language)
        if person.is_snapshot:
            return Outcome("snapshot_user", attempt)
        if self._door.subject(person.openid) != attempt.scanned_by:
            log.warning("confirm_link_of_another", attempt=attempt.id)
            return Outcome("dead_link", attempt)
        if attempt.profile.get("language") is None:  # WeChat had no answer when the push came
            attempt = await self._door.learn(attempt, person.openid, person.unionid)

        async def work(tx: Connection) -> bool:
            used = await tx.changed("official_account.use_link", id=attempt.id, scanned_by=attempt.scanned_by)
            if used:
                await hit.settle(tx, "scanned")
            return bool(used)

        return Outcome("scanned" if await self._attempts.store.write(work) else "dead_link", attempt)

    async def decline(self, attempt_id: int) -> Outcome:
        """Change nothing: nobody was asked anything."""
        return Outcome("provider_denied")

    async def give_up(self, attempt_id: int, error: HubError | None) -> None:
        """Change nothing: the link is still alive."""
