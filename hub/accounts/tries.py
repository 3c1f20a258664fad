"""The count of wrong passwords: each costs a longer wait, and there are not many in a row.

Everybody who never signed in to an account shares one counter of it; a device that did has its own. So a
stranger who guesses makes other strangers wait, and never the person at the own device. Each network has one
counter over all accounts. A name that nobody has is counted as an account is.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

from prometheus_client import Counter

from hub.errors import PasswordLocked, RateLimited
from hub.store.database import Connection, Row, Store

REFUSED = Counter("hub_password_tries_refused_total", "Passwords that were not looked at.", ["counter"])

IN_A_ROW: Final = 100  # wrong passwords (NIST SP 800-63B-4, 3.2.2)
FREE: Final = 5  # wrong passwords for an account that cost no wait
FREE_OF_NETWORK: Final = 20
LONGEST: Final = 900  # seconds
QUIET: Final = timedelta(hours=1)  # after which a network's count begins anew

_ANY = ""  # the account of a network's counter, and the asker of the strangers'


class Asker(NamedTuple):
    """Who tries: *device* is the hash of the device cookie's secret, *network* that of the address."""

    device: str
    network: str


class Try(NamedTuple):
    """One try that was counted."""

    account: str
    asker: Asker


class Tries:
    """Counts before anything is compared; switched off (*limited*) nobody waits, and nobody is refused."""

    def __init__(self, store: Store, *, limited: bool) -> None:
        self._store = store
        self._limited = limited

    async def count(self, account: str, asker: Asker) -> Try:
        """Count a try, as a wrong one until `right` says otherwise.

        *account* is what `account_key` or `name_key` made. Raises RateLimited before its time, or
        PasswordLocked after IN_A_ROW wrong ones.
        """

        async def work(tx: Connection) -> tuple[str | None, float]:
            now = self._store.now()
            await tx.changed("passwords.hold", account=_ANY, asker=_network(asker), updated_at=now)
            await tx.changed("passwords.hold", account=account, asker=_ANY, updated_at=now)
            all_of_network = await _held(tx, _ANY, _network(asker))
            strangers = await _held(tx, account, _ANY)
            own = await tx.one("passwords.tries", account=account, asker=_device(asker))
            counter = own or strangers
            now = self._store.now()
            if self._limited:
                if counter["failures"] >= IN_A_ROW:
                    return "row", 0.0
                left = max(counter["wait_until"], all_of_network["wait_until"]) - now
                if left > timedelta(0):
                    return "wait", left.total_seconds()
            so_far = 0 if all_of_network["updated_at"] + QUIET < now else all_of_network["failures"]
            await _count(tx, _ANY, _network(asker), so_far, FREE_OF_NETWORK, now)
            await _count(tx, account, _device(asker) if own else _ANY, counter["failures"], FREE, now)
            return None, 0.0

        refused, left = await self._store.write(work)
        if refused:
            REFUSED.labels(refused).inc()
        if refused == "row":
            raise PasswordLocked(f"{IN_A_ROW} wrong passwords in a row")
        if refused == "wait":
            raise RateLimited("wrong passwords before", retry_after=left)
        return Try(account, asker)

    async def right(self, tx: Connection, tried: Try) -> None:
        """Take a try back that was right, in the caller's transaction; its device is known from now on."""
        now = self._store.now()
        account, asker = tried
        await tx.changed("passwords.take_back", account=_ANY, asker=_network(asker), wait_until=now)
        await tx.changed("passwords.clear", account=account, asker=_ANY, wait_until=now)
        await tx.changed("passwords.hold", account=account, asker=_device(asker), updated_at=now)
        await tx.changed("passwords.clear", account=account, asker=_device(asker), wait_until=now)

    async def forget(self, tx: Connection, user_id: int) -> None:
        """Begin anew for an account whose password is another now; known devices are forgotten too."""
        await tx.changed("passwords.forget", account=account_key(user_id))


def account_key(user_id: int) -> str:
    """Return the name of an account's counters."""
    return sha256(f"user:{user_id}".encode()).hexdigest()


def name_key(name: str) -> str:
    """Return the name of the counter of a name that nobody has."""
    return sha256(f"name:{name}".encode()).hexdigest()


def wait(failures: int, free: int) -> int:
    """Return the seconds to wait after so many wrong ones: none, then 1, 2, 4 … up to LONGEST."""
    return 0 if failures < free else min(LONGEST, 2 ** min(failures - free, 16))


def _network(asker: Asker) -> str:
    return f"network:{asker.network}"


def _device(asker: Asker) -> str:
    return f"device:{asker.device}"


async def _held(tx: Connection, account: str, asker: str) -> Row:
    (row,) = await tx.all("passwords.tries", account=account, asker=asker)
    return row


async def _count(tx: Connection, account: str, asker: str, failures: int, free: int, now: datetime) -> None:
    await tx.changed(
        "passwords.count",
        account=account,
        asker=asker,
        failures=failures + 1,
        wait_until=now + timedelta(seconds=wait(failures + 1, free)),
        updated_at=now,
    )
