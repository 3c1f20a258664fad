"""The in-app door: a phone that has landed goes to WeChat's consent, and its person claims the attempt."""

from hub.accounts.identities import Identity, SealedTokens
from hub.errors import HubError
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.consent import ConsentState, Hit, Kind, Outcome
from hub.qr.phone import Phone
from hub.store.encryption import DataKeys
from hub.wechat.doors import WebConsent


class H5:
    """Sends a landed phone to WeChat's consent and takes it back; a `Consent`."""

    name = "h5"

    def __init__(
        self, attempts: Attempts, phone: Phone, door: WebConsent, states: ConsentState, keys: DataKeys
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._door = door
        self._states = states
        self._data_keys = keys

    def consent_url(self, attempt: Attempt, secret: str) -> str:
        """Return the address of WeChat's consent page for the browser with this binding secret."""
        now = self._attempts.store.now()
        return self._door.consent_url(self._states.make(Kind.H5, attempt.id, secret, now))

    async def accept(self, hit: Hit) -> Outcome:
        """Claim the attempt for who has consented; `snapshot_user` where WeChat made that person up."""
        attempt = await self._attempts.by_id(hit.attempt_id)
        person = await self._door.person(hit.code, hit.language)
        if person.is_snapshot:
            return Outcome("snapshot_user")
        sealed = SealedTokens.seal(self._data_keys, person, self._attempts.store.now())
        identity = Identity.from_person(person, sealed)
        claimed = await self._phone.claim(attempt, identity.subject, identity.profile())
        return Outcome("scanned", claimed)

    async def decline(self, attempt_id: int) -> Outcome:
        """Change nothing: the person may allow it after all, or scan again."""
        return Outcome("provider_denied")

    async def give_up(self, attempt_id: int, error: HubError | None) -> None:
        """Change nothing: the person may scan again."""
