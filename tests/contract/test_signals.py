"""Signals, alerts and their bounds, on both engines."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from prometheus_client import REGISTRY

from hub.accounts.contacts import Choice, Contact, find_or_create
from hub.audit import reports
from hub.audit.failures import WAITING, Failure
from hub.audit.log import LoginLog, Method
from hub.audit.places import Places
from hub.audit.rules import FAILURES_TOLD, MANY_ACCOUNTS, MANY_FAILURES, MESSAGE_GAP, REMEMBERED, Caution
from hub.audit.signals import Noted
from hub.codes.messages import Message
from hub.errors import SmsBudgetSpent
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.tokens.events import AccountEvents, Event
from hub.tokens.service import Device
from tests import geography
from tests.code_sign_in import ask, make_codes, sent
from tests.signing_in import Clock, Watching, execute, make_user, make_watching, rows

NUMBER = "+8613800138000"
MAILBOX = "li.na@example.com"
LAPTOP = Device("Laptop", "web", "laptop-1", geography.HANGZHOU, "Firefox", None)
PHONE = LAPTOP._replace(name="Phone", type="ios", id="phone-1")
HOUR = 3600.0


class Watched(NamedTuple):
    """One account, and all that looks at its sign-ins."""

    store: Store
    url: str
    clock: Clock
    watching: Watching
    user: int

    async def sign_in(
        self, device: Device = LAPTOP, user: int | None = None, account: str = NUMBER, seconds: float = 0
    ) -> Noted:
        """Sign in, so many seconds after the last thing that happened."""
        self.clock.forward(seconds)
        user_id = self.user if user is None else user
        now = self.store.now()

        async def work(tx: Connection) -> Noted:
            await tx.changed("tokens.mark_login", id=user_id, last_login_at=now)
            await events.append_counted(tx, user_id, "session.created", {}, now)
            return await self.watching.signals.signed_in(
                tx, user_id=user_id, account=account, method="sms_code", device=device, now=now
            )

        events = AccountEvents(self.store, MemoryBroker())
        noted = await self.store.write(work)
        await self.watching.signals.announce(noted)
        return noted

    async def fail(
        self,
        times: int = 1,
        account: str | None = NUMBER,
        method: Method = "sms_code",
        user: int | None = None,
        device: Device = PHONE,
    ) -> None:
        """Have tries refused, and what follows on them done."""
        for _ in range(times):
            await self.watching.signals.failed(
                user_id=user, account=account, method=method, device=device, reason="invalid_code"
            )
            await self.watching.failures.settled()

    async def risks(self) -> list[dict[str, Any] | None]:
        """The risk of each row of the log, oldest first."""
        found = await rows(self.url, "SELECT risk FROM login_logs ORDER BY id")
        return [row["risk"] and json.loads(row["risk"]) for row in found]

    async def events(self, kind: str) -> list[Event]:
        """The account's events of this kind, oldest first."""
        found = await AccountEvents(self.store, MemoryBroker()).after(self.user, 0)
        return [event for event in found if event.type == kind]

    async def mails(self) -> list[Message]:
        """What was queued by e-mail since the last look."""
        return await sent(self.store, "email")


async def make_account(store: Store, address: str) -> int:
    """Return the account of a number or an e-mail address, made with it proved."""
    contact = Contact("email" if "@" in address else "phone", address)

    async def work(tx: Connection) -> Row:
        return (await find_or_create(tx, contact, Choice(), store.now())).user

    user_id: int = (await store.write(work))["id"]
    return user_id


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Three cities' networks."""
    return Places(geography.write_cities(tmp_path_factory.mktemp("places") / "cities.mmdb"))


@pytest.fixture
async def watched(
    store: Store, database_url: str, places: Places, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """An account with a number and a mailbox that has never signed in; failures are followed up at once."""
    monkeypatch.setattr("hub.audit.failures._LATER", (0.0, 0.0))
    watching = make_watching(store, MemoryBroker(), places)
    user = await make_account(store, NUMBER)
    await execute(database_url, "UPDATE users SET email = :email, email_verified = 1", email=MAILBOX)
    await watching.failures.start()
    yield Watched(store, database_url, Clock(store, monkeypatch.setattr), watching, user)
    await watching.failures.stop()


async def test_a_first_sign_in_is_told_to_nobody(watched: Watched) -> None:
    """It is on record without a risk, and makes its device and place known."""
    assert (await watched.sign_in()).raised == ()
    assert (await watched.sign_in(seconds=HOUR)).raised == ()
    assert await watched.risks() == [None, None]
    assert await watched.events("security.alert") == []
    assert await watched.mails() == []


async def test_a_new_device(watched: Watched) -> None:
    """It is on record, told on the stream, and by e-mail; the second time it is known."""
    await watched.sign_in()
    await watched.sign_in(PHONE, seconds=HOUR)
    await watched.sign_in(PHONE, seconds=HOUR)
    assert await watched.risks() == [None, {"signals": ["new_device"], "score": 3}, None]
    (alert,) = await watched.events("security.alert")
    assert alert.payload == {
        "kind": "unusual_sign_in",
        "signals": ["new_device"],
        "device_name": "Phone",
        "device_type": "ios",
        "ip_address": geography.HANGZHOU,
        "location": "杭州",
    }
    (mail,) = await watched.mails()
    assert (mail.to, mail.template, mail.language) == (MAILBOX, "security_alert", "zh-CN")
    assert (mail.params["device"], mail.params["place"]) == ("Phone", "杭州")
    assert mail.params["time"].endswith(" UTC")


async def test_a_network_in_the_same_city_is_no_alarm(watched: Watched) -> None:
    """It is on record, and nobody is told."""
    await watched.sign_in()
    await watched.sign_in(LAPTOP._replace(ip=geography.HANGZHOU_TOO), seconds=HOUR)
    assert (await watched.risks())[1] == {"signals": ["new_network"], "score": 1}
    assert await watched.events("security.alert") == []
    assert await watched.mails() == []


async def test_a_new_city(watched: Watched) -> None:
    """With time enough to travel it is new, without it is impossible too."""
    there = LAPTOP._replace(ip=geography.BERLIN)
    await watched.sign_in()
    slow = await watched.sign_in(there, seconds=24 * HOUR)
    back = await watched.sign_in(seconds=HOUR)
    assert slow.raised == ("new_city", "new_network")
    assert back.raised == ("impossible_travel",)
    assert [mail.params["place"] for mail in await watched.mails()] == ["柏林", "杭州"]


async def test_a_message_of_each_kind_once_in_a_while(watched: Watched) -> None:
    """Each event is told on the stream; of one kind a second message is sent only after the gap."""
    gap = MESSAGE_GAP.total_seconds()
    await watched.sign_in()
    for number, (seconds, wanted) in enumerate([(1, 1), (1, 1), (gap - 3, 1), (2, 2), (gap, 3)]):
        await watched.sign_in(LAPTOP._replace(id=f"new-{number}"), seconds=seconds)
        total = await rows(watched.url, "SELECT COUNT(*) AS n FROM outbox")
        assert total[0]["n"] == wanted, number
    assert len(await watched.events("security.alert")) == 5
    await watched.sign_in(LAPTOP._replace(ip=geography.BERLIN), seconds=1)
    assert len(await watched.mails()) == 4


async def test_guessing_that_succeeds_is_told(watched: Watched) -> None:
    """After many refused tries even the known device is an alarm."""
    await watched.sign_in()
    await watched.fail(MANY_FAILURES - 1)
    assert (await watched.sign_in()).raised == ()
    await watched.fail()
    assert (await watched.sign_in()).raised == ("many_failures",)
    assert len(await watched.mails()) == 1
    assert (await watched.sign_in(seconds=HOUR + 1)).raised == ()


async def test_many_accounts_from_one_address(watched: Watched) -> None:
    """Tries for others from there are on record; other networks do not count, a /64 counts as one."""
    await watched.sign_in()
    for number in range(MANY_ACCOUNTS):
        await watched.fail(account=f"someone-{number}", method="password", device=LAPTOP)
    assert (await watched.sign_in()).raised == ("many_accounts",)
    assert await watched.mails() == []
    assert (await watched.sign_in(LAPTOP._replace(ip="203.0.113.8"))).raised == ()
    for number in range(MANY_ACCOUNTS):
        other = LAPTOP._replace(ip=f"2001:db8::{number:x}")
        await watched.fail(account=f"someone-{number}", method="password", device=other)
    assert "many_accounts" in (await watched.sign_in(LAPTOP._replace(ip="2001:db8::ffff"))).raised
    assert "many_accounts" not in (await watched.sign_in(LAPTOP._replace(ip="2001:db8:1::1"))).raised


async def test_only_the_last_sign_ins_are_remembered(watched: Watched) -> None:
    """A device that has not been seen for so many sign-ins is a new one again."""
    await watched.sign_in(PHONE)
    await watched.sign_in()
    double = (
        "INSERT INTO login_logs (user_id, login_method, login_status, ip_address, device_key, created_at)"
        " SELECT user_id, login_method, login_status, ip_address, device_key, created_at FROM login_logs"
        " WHERE id = (SELECT MAX(id) FROM login_logs)"
    )
    for _ in range(REMEMBERED - 2):
        await execute(watched.url, double)
    assert (await watched.sign_in(PHONE, seconds=1)).raised == ()
    for _ in range(REMEMBERED):
        await watched.sign_in()
    assert (await watched.sign_in(PHONE, seconds=1)).raised == ("new_device",)


async def test_others_sign_ins_are_not_looked_at(watched: Watched) -> None:
    """What is usual for one account is new to another."""
    other = await make_account(watched.store, "+8613900139000")
    await watched.sign_in()
    await watched.sign_in(PHONE, user=other, account="+8613900139000")
    assert (await watched.sign_in(PHONE)).raised == ("new_device",)


async def test_a_proof_makes_nothing_usual(watched: Watched) -> None:
    """Who resets a password elsewhere, and then signs in there, is still a new device."""
    await watched.sign_in()

    async def work(tx: Connection) -> None:
        await watched.watching.signals.proved(
            tx,
            user_id=watched.user,
            account=NUMBER,
            method="sms_code",
            device=PHONE,
            now=watched.store.now(),
        )

    await watched.store.write(work)
    assert (await watched.sign_in(PHONE)).raised == ("new_device",)


@pytest.mark.parametrize(
    ("account", "method"), [(NUMBER, "sms_code"), (MAILBOX, "email_code"), ("wechat:wx1:oAbC", "wechat")]
)
async def test_a_refused_try_finds_its_account(watched: Watched, account: str, method: Method) -> None:
    """Later than the answer; the try is then in the account's own history."""
    await execute(
        watched.url,
        "INSERT INTO wechat_users (uid, appid, openid, created_at, updated_at)"
        " VALUES (:uid, 'wx1', 'oAbC', :at, :at)",
        uid=watched.user,
        at=watched.store.now(),
    )
    await watched.fail(account=account, method=method)
    await watched.fail(account=f"{account}x", method=method)
    found = await rows(watched.url, "SELECT user_id, account FROM login_logs ORDER BY id")
    assert [row["user_id"] for row in found] == [watched.user, None]


async def test_refused_tries_are_told_once_a_minute(watched: Watched) -> None:
    """From the threshold on the account's clients learn of them, with what was tried, and not of each."""
    await watched.fail(FAILURES_TOLD - 1)
    assert await watched.events("login.failed") == []
    await watched.fail(5)
    (event,) = await watched.events("login.failed")
    assert event.payload == {
        "method": "sms_code",
        "reason": "invalid_code",
        "failures": FAILURES_TOLD,
        "device_name": "Phone",
        "device_type": "ios",
        "ip_address": geography.HANGZHOU,
        "location": "杭州",
    }
    watched.clock.forward(61)
    await watched.fail(2, account="lina", method="password", user=watched.user)
    assert [event.payload["failures"] for event in await watched.events("login.failed")] == [3, 8]
    assert await watched.mails() == []


async def test_the_risk_of_a_refused_try(watched: Watched) -> None:
    """It is written where the count is reached, for an account as for a name that nobody has."""
    for account, method in ((NUMBER, "sms_code"), ("nobody", "password")):
        await watched.fail(MANY_FAILURES, account=account, method=method)  # type: ignore[arg-type]
    many = {"signals": ["many_failures"], "score": 3}
    assert await watched.risks() == ([None] * (MANY_FAILURES - 1) + [many]) * 2


async def test_without_the_database_nothing_is_followed_up(watched: Watched) -> None:
    """Tries that cannot be followed up are given up, as are those too many; what comes afterwards is told."""

    def counted(result: str) -> float:
        return REGISTRY.get_sample_value("hub_login_failures_total", {"result": result}) or 0.0

    failures = watched.watching.failures
    lost, dropped = counted("store_unavailable"), counted("dropped")
    now = watched.store.now()
    await watched.store.stop()
    for number in range(WAITING + 3):
        failures.note(Failure(number, None, NUMBER, "sms_code", "invalid_code", PHONE, now))
    await failures.settled()
    assert (counted("store_unavailable") - lost, counted("dropped") - dropped) == (WAITING, 3)
    await watched.store.start()
    await watched.fail(FAILURES_TOLD)
    assert len(await watched.events("login.failed")) == 1


async def test_of_a_deleted_account_the_number_is_left(watched: Watched) -> None:
    """Tries that are followed up after the deletion stay on record, and tell nobody."""
    for _ in range(FAILURES_TOLD + 1):
        await watched.watching.signals.failed(
            user_id=watched.user, account=NUMBER, method="sms_code", device=PHONE
        )
    await execute(watched.url, "DELETE FROM users WHERE id = :id", id=watched.user)
    await watched.watching.failures.settled()
    found = await rows(watched.url, "SELECT user_id, account FROM login_logs")
    assert {(row["user_id"], row["account"]) for row in found} == {(None, NUMBER)}


@pytest.mark.parametrize(
    ("change", "kind", "to", "language"),
    [
        ("email_verified = 0", "sms", NUMBER, "zh-CN"),
        ("email = NULL, country_code = '+49'", "sms", NUMBER, "en"),
        ("phone = NULL", "email", MAILBOX, "zh-CN"),
    ],
)
async def test_where_a_message_goes(watched: Watched, change: str, kind: Any, to: str, language: str) -> None:
    """To the verified e-mail address, else to the verified number, in the likely language."""
    await execute(watched.url, f"UPDATE users SET {change}")  # noqa: S608 - a case of this test
    await watched.sign_in()
    noted = await watched.sign_in(PHONE)
    assert noted.channels == ("stream", kind)
    (message,) = await sent(watched.store, kind)
    assert (message.to, message.language) == (to, language)


async def test_nowhere_to_send(watched: Watched) -> None:
    """Without a verified contact the stream is the only way, and nothing fails."""
    await execute(watched.url, "UPDATE users SET email_verified = 0, is_phone_verified = 0")
    await watched.sign_in()
    assert (await watched.sign_in(PHONE)).channels == ("stream",)


async def test_no_sender_for_it(watched: Watched, places: Places) -> None:
    """An address of a kind that nobody sends is passed over for the number."""
    mute = make_watching(watched.store, MemoryBroker(), places, kinds=("sms",))
    by_sms = watched._replace(watching=mute)
    await by_sms.sign_in()
    assert (await by_sms.sign_in(PHONE)).channels == ("stream", "sms")


async def test_warnings_keep_within_the_budget(watched: Watched, places: Places) -> None:
    """A warning by SMS is counted as a code is: with nothing left the stream is the only way."""
    await execute(watched.url, "UPDATE users SET email = NULL")
    now = watched.store.now()
    midnight = now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    watched.clock.forward((midnight - now).total_seconds())  # or the next one might come in between
    frugal = make_watching(watched.store, MemoryBroker(), places, daily_budget=1)
    by_sms = watched._replace(watching=frugal)
    await by_sms.sign_in()
    assert (await by_sms.sign_in(PHONE)).channels == ("stream", "sms")
    other = PHONE._replace(id="phone-2")
    later = MESSAGE_GAP.total_seconds() + 1
    codes = make_codes(watched.store, daily_budget=1)
    with pytest.raises(SmsBudgetSpent):
        await ask(watched.store, codes, "+8613800138009")
    assert (await by_sms.sign_in(other, seconds=later)).channels == ("stream",)
    assert len(await rows(watched.url, "SELECT id FROM outbox")) == 1


async def test_a_country_without_sms_gets_no_warning(watched: Watched) -> None:
    """A number that WeChat vouched for may be of any country; that opens none to SMS."""
    await execute(watched.url, "UPDATE users SET email = NULL, phone = '+14155552671'")
    await watched.sign_in()
    assert (await watched.sign_in(PHONE)).channels == ("stream",)


async def test_rows_from_before_are_no_past(watched: Watched) -> None:
    """After an update of the hub nobody's usual device is a new one: older rows know no devices."""
    await LoginLog(Places()).record_alone(
        watched.store,
        user_id=watched.user,
        account=NUMBER,
        method="sms_code",
        status="success",
        device=PHONE,
        now=watched.store.now(),
    )
    assert (await watched.sign_in(seconds=1)).raised == ()


async def report(watched: Watched, reporter: str, ip: str = geography.BERLIN) -> None:
    """Say "this was not me" of a browser there."""
    browser = Device(None, None, None, ip, "Firefox", None)
    await watched.watching.reports.report(reporter, None, browser, logged=True)


async def caution(watched: Watched, ip: str = geography.BERLIN) -> Caution:
    """What a confirmation for a browser there takes."""
    return await watched.watching.reports.caution(ip)


async def test_a_report_is_told_to_its_account(watched: Watched) -> None:
    """On record with the browser's address, on the stream, and by no message: its person knows."""
    user = await make_user(watched.store, "oAbC")
    await report(watched, "wechat:wx1:oAbC")
    (row,) = await rows(watched.url, "SELECT * FROM login_logs")
    assert (row["user_id"], row["failure_reason"]) == (user["id"], "declined")
    assert (row["ip_address"], row["location"]) == (geography.BERLIN, "柏林")
    (alert,) = await watched._replace(user=user["id"]).events("security.alert")
    assert alert.payload["kind"] == "sign_in_reported"
    assert alert.payload["ip_address"] == geography.BERLIN
    assert await watched.mails() == []


async def test_a_report_makes_confirmations_stricter(watched: Watched) -> None:
    """For a day, for whoever is asked for a browser there, and for no other address."""
    assert await caution(watched) is Caution.NONE
    await report(watched, "wechat:wx1:a")
    assert await caution(watched) is Caution.ACKNOWLEDGE
    assert await caution(watched, geography.HANGZHOU) is Caution.NONE
    watched.clock.forward(23 * HOUR)
    assert await caution(watched) is Caution.ACKNOWLEDGE
    watched.clock.forward(HOUR + 1)
    assert await caution(watched) is Caution.NONE


async def test_several_reporters_end_it(watched: Watched) -> None:
    """Three people do, one who reports three times does not; after an hour it is a second step again."""
    for reporter in ("a", "b", "b", "a"):
        await report(watched, reporter)
    assert await caution(watched) is Caution.ACKNOWLEDGE
    await report(watched, "c")
    assert await caution(watched) is Caution.REFUSE
    watched.clock.forward(HOUR + 1)
    assert await caution(watched) is Caution.ACKNOWLEDGE


async def test_this_machine_is_never_reported(watched: Watched) -> None:
    """A loopback address is that of a proxy which nobody named: it would stand for everybody."""
    for reporter in ("a", "b", "c"):
        await report(watched, reporter, "127.0.0.1")
        await report(watched, reporter, "::1")
    assert await caution(watched, "127.0.0.1") is Caution.NONE
    assert await caution(watched, "::1") is Caution.NONE


async def test_a_report_at_another_process(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts here as soon as what was read is no longer fresh; what is fresh costs no statement."""
    assert await caution(watched) is Caution.NONE
    await report(watched._replace(watching=make_watching(watched.store, MemoryBroker())), "a")
    asked: list[str] = []
    read = Store.all

    async def noted(self: Store, query: str, /, **values: object) -> list[Row]:
        asked.append(query)
        return await read(self, query, **values)

    monkeypatch.setattr(Store, "all", noted)
    assert await caution(watched) is Caution.NONE
    assert asked == []
    monkeypatch.setattr(reports, "FRESH", 0.0)
    assert await caution(watched) is Caution.ACKNOWLEDGE
    assert asked == ["audit.reported", "audit.suspicion"]
