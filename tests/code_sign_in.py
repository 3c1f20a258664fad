"""Codes sent and checked straight through the services, for the tests of codes and of signing in by them."""

from typing import Any, NamedTuple

from hub.accounts.contacts import Contact
from hub.accounts.passwords import Passwords
from hub.accounts.profile import Profiles
from hub.codes.outbox import Kind, Message, Outbox
from hub.codes.rules import Asker, Channel, Peppers, Purpose
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn, SignedIn
from hub.codes.sms_budget import SmsBudget
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.tokens.service import Device, Sessions
from tests.signing_in import DATA_KEY, PHONE, make_sessions, make_watching

NUMBER = "+8613800138000"
EMAIL = "li.na@example.com"
OWNER = Asker("192.0.2.7", "192.0.2.0/24", None, None, "Firefox")
STRANGER = Asker("198.51.100.7", "198.51.100.0/24", None, None, "curl")
SIGN_IN_PHONE = PHONE

_KEYS = DataKeys([DATA_KEY])


def make_codes(store: Store, *, kinds: tuple[Kind, ...] = ("sms", "email"), **options: Any) -> Codes:
    """Return codes over *store*, with a queue that nobody works on."""
    given: dict[str, Any] = {
        "lengths": {"phone": 6, "email": 6},
        "countries": {"+86": None},
        "daily_budget": 1000,
        "limited": True,
    }
    given |= options
    budget = SmsBudget(given.pop("countries"), given.pop("daily_budget"))
    return Codes(store, Outbox(store, _KEYS, kinds), Peppers(["a-pepper-" * 4]), budget=budget, **given)


async def sent(store: Store, kind: Kind = "sms") -> list[Message]:
    """Take every message of the queue, in the order in which they were put there."""
    outbox = Outbox(store, _KEYS, [kind])
    claims = [await outbox.claim(row) for row in await outbox.due(kind, 100)]
    return [outbox.open(claim) for claim in sorted(filter(None, claims), key=lambda claim: claim.id)]


async def ask(
    store: Store,
    codes: Codes,
    address: str = NUMBER,
    purpose: Purpose = "login",
    asker: Asker = OWNER,
) -> str:
    """Have a code sent, and return it."""
    channel, kind = channel_of(address)
    await codes.send(channel, address, purpose, asker, "en")
    code = (await sent(store, kind))[-1].code
    assert code is not None
    return code


def channel_of(address: str) -> tuple[Channel, Kind]:
    """Return an address' channel, and the kind of message that goes there."""
    return ("email", "email") if "@" in address else ("phone", "sms")


def another(code: str) -> str:
    """Return a code that is not this one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


class Entry(NamedTuple):
    """All that a sign-in by code takes."""

    store: Store
    codes: Codes
    sessions: Sessions
    service: CodeSignIn

    async def sign_in(
        self,
        address: str = NUMBER,
        code: str | None = None,
        *,
        asker: Asker = OWNER,
        device: Device = SIGN_IN_PHONE,
        **options: Any,
    ) -> SignedIn:
        """Sign in, with a fresh code where none is given."""
        purpose = options.get("purpose", "login")
        code = code or await ask(self.store, self.codes, address, purpose)
        contact = Contact(channel_of(address)[0], address)
        return await self.service.sign_in(contact, code, asker, device, **options)


def make_entry(store: Store, **options: Any) -> Entry:
    """Return the services over *store*; an address may ask for codes as often as it likes."""
    codes = make_codes(store, **{"limited": False, **options})
    sessions = make_sessions(store, MemoryBroker())
    signals = make_watching(store, MemoryBroker()).signals
    service = CodeSignIn(store, codes, sessions, Profiles(store), signals, Passwords())
    return Entry(store, codes, sessions, service)
