"""The message that warns a person of an unusual sign-in, or of a stolen refresh token."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hub.codes.messages import Kind, Message
from hub.codes.outbox import Outbox
from hub.codes.sms_budget import SmsBudget
from hub.errors import InvalidRequest, SmsBudgetSpent
from hub.store.database import Connection, Row
from hub.web.language import negotiate, translate

_LIFE = timedelta(days=1)  # after that it would only confuse


class SecurityAlert:
    """Queues it for the account's verified e-mail address, else for its verified number.

    *place* names the city of an IP address in a language, where it is known; *budget* is that of all SMS.
    """

    def __init__(self, outbox: Outbox, place: Callable[[str, str], str | None], budget: SmsBudget) -> None:
        self._outbox = outbox
        self._place = place
        self._budget = budget

    async def send(self, tx: Connection, user_id: int, device: str, ip: str, now: datetime) -> Kind | None:
        """Queue it within the caller's transaction, and return how it goes.

        None where the account has no verified contact, its kind of message no sender, or SMS no budget.
        """
        account = await tx.one("codes.contacts", id=user_id)
        contact = self._contact(account) if account else None
        if account is None or contact is None:
            return None
        kind, address = contact
        if kind == "sms" and not await self._affords(tx, address, now):
            return None
        language = _language(account)
        params = {
            "device": device or translate(language, "message.unknown_device"),
            "place": self._place(ip, language) or ip,
            "time": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        }
        message = Message(address, "security_alert", None, params, language, now + _LIFE)
        await self._outbox.enqueue(tx, kind, message, now)
        return kind

    async def _affords(self, tx: Connection, number: str, now: datetime) -> bool:
        """Count an SMS, and tell whether it may go: a sign-in does not fail for want of a warning."""
        try:
            await self._budget.spend(tx, self._budget.country(number), now)
        except (InvalidRequest, SmsBudgetSpent):
            return False
        return True

    def _contact(self, account: Row) -> tuple[Kind, str] | None:
        contacts: dict[Kind, str | None] = {
            "email": account["email"] if account["email_verified"] else None,
            "sms": account["phone"] if account["is_phone_verified"] else None,
        }
        usable = ((kind, to) for kind, to in contacts.items() if to and kind in self._outbox.kinds)
        return next(usable, None)

    def wake(self) -> None:
        """Let it be sent, after the commit."""
        self._outbox.wake()


def _language(account: Row) -> str:
    """Return what the person most likely reads: WeChat says so, else the country of the number."""
    if account["language"]:
        return negotiate(account["language"].replace("_", "-"))
    return "zh-CN" if account["country_code"] == "+86" else "en"
