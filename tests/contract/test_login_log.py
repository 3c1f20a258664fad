"""Which tries of the QR sign-in and of refreshing are on record, and as whose, on both engines."""

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.errors import AccountBlocked, AlreadyClaimed, InvalidRefreshToken
from hub.qr.phone import Answer
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.clients import Client
from tests.scanning import Desk
from tests.signing_in import LAPTOP, Clock, execute, make_sessions, make_user, rows, sign_in

RETURN = "https://shop.example/signed-in"
SHOP = Client(
    client_id="shop", secret_sha256=(hashlib.sha256(b"shop-secret").hexdigest(),), redirect_uris=(RETURN,)
)
BROWSER = "10.0.0.0"  # the first address that the desk gives


async def logged(url: str) -> list[tuple[Any, ...]]:
    """The rows, oldest first: account, status, reason, address."""
    found = await rows(
        url, "SELECT account, login_status, failure_reason, ip_address FROM login_logs ORDER BY id"
    )
    return [tuple(row.values()) for row in found]


async def test_a_blocked_person_s_app(store: Store, database_url: str) -> None:
    """Its scan is refused, and on record with the browser's address."""
    desk = Desk(store, MemoryBroker())
    user = await make_user(store)
    waiting = await desk.begin(door="app")
    await execute(database_url, "UPDATE users SET status = 'banned'")
    with pytest.raises(AccountBlocked):
        await desk.phone.scan_in_app(waiting.qr_code, user["id"])
    assert await logged(database_url) == [(f"hub:{user['id']}", "blocked", "account_blocked", BROWSER)]


@pytest.mark.parametrize(("burn", "account"), [(True, "wechat:wx1:alice"), (False, "wechat:wx1:bob")])
async def test_a_second_person_s_scan(store: Store, database_url: str, burn: bool, account: str) -> None:
    """Burnt it was the first one's try that failed; else that of who came second."""
    desk = Desk(store, MemoryBroker(), burn=burn)
    waiting = await desk.begin()
    await desk.scan(waiting)
    with pytest.raises(AlreadyClaimed):
        await desk.scan(waiting, "bob")
    assert await logged(database_url) == [(account, "failed", "unknown", BROWSER)]


@pytest.mark.parametrize("answer", [Answer.CANCEL, Answer.REPORT])
async def test_a_refusal_names_the_browser(store: Store, database_url: str, answer: Answer) -> None:
    """What a person has declined came from there, and not from the phone."""
    desk = Desk(store, MemoryBroker())
    waiting = await desk.begin()
    await desk.scan(waiting)
    await desk.answer(waiting, answer=answer)
    assert await logged(database_url) == [("wechat:wx1:alice", "failed", "declined", BROWSER)]


@pytest.mark.parametrize(("client", "address"), [(None, LAPTOP.ip), (SHOP, BROWSER)])
async def test_whose_device_signed_in(
    store: Store, database_url: str, client: Client | None, address: str
) -> None:
    """A client's back end redeems for everybody: on record is the browser that began."""
    desk = Desk(store, MemoryBroker())
    waiting = await desk.begin(redirect_uri=RETURN)
    await desk.scan(waiting)
    await desk.answer(waiting)
    url = await desk.redemption.redirect_url(waiting.session_id, None)
    assert url is not None
    code = parse_qs(urlsplit(url).query)["code"][0]
    await desk.redemption.by_code(code, RETURN, LAPTOP, verifier=waiting.verifier, client=client)
    assert await logged(database_url) == [("wechat:wx1:alice", "success", None, address)]


async def test_a_refresh_after_the_end_is_on_record_once(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's time was over: that ends it, and what comes later adds nothing."""
    clock = Clock(store, monkeypatch.setattr)
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    pair = await sign_in(store, sessions, await make_user(store))
    clock.forward(15 * 86400)
    for _ in range(3):
        with pytest.raises(InvalidRefreshToken):
            await sessions.refresh(pair.refresh_token, ip="198.51.100.9", user_agent="curl")
    await sessions.stop()
    found = await rows(database_url, "SELECT login_method, failure_reason, device_name FROM login_logs")
    assert [tuple(row.values()) for row in found] == [("refresh", "expired_code", "Laptop")]
    (row,) = await rows(database_url, "SELECT is_active, revoked_reason FROM user_sessions")
    assert (row["is_active"], row["revoked_reason"]) == (0, "expired")
