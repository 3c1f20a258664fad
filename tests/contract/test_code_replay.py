"""An authorization code that comes again (RFC 6749, 4.1.2), on both engines."""

import asyncio
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.qr.identifiers import hashed
from hub.qr.new_attempt import NewAttempt
from hub.qr.redemption import SignedIn
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.clients import Client
from hub.tokens.errors import InvalidGrant
from tests.scanning import Desk, Waiting
from tests.signing_in import LAPTOP, Clock, rows, warm

RETURN = "https://shop.example/signed-in"
SHOP = Client(
    client_id="shop", secret_sha256=(hashlib.sha256(b"shop-secret").hexdigest(),), redirect_uris=(RETURN,)
)
COOKIE = "the-browser's-binding-secret"


@pytest.fixture
def desk(store: Store) -> Desk:
    """The services over one store."""
    return Desk(store, MemoryBroker())


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)


async def confirmed(desk: Desk) -> Waiting:
    """Return a confirmed attempt with a redirect, bound by PKCE."""
    waiting = await desk.begin(redirect_uri=RETURN)
    await desk.scan(waiting)
    await desk.answer(waiting)
    return waiting


async def code_of(desk: Desk, session_id: str, secret: str | None = None) -> str:
    """Return the code that the browser is sent on with."""
    url = await desk.redemption.redirect_url(session_id, secret)
    assert url is not None
    return parse_qs(urlsplit(url).query)["code"][0]


async def swap(
    desk: Desk, code: str, verifier: str | None, *, client: Client | None = None, uri: str = RETURN
) -> SignedIn:
    """Swap the code for tokens."""
    return await desk.redemption.by_code(code, uri, LAPTOP, verifier=verifier, client=client)


async def running(database_url: str) -> list[str]:
    """The sessions that run."""
    return [
        row["sid"] for row in await rows(database_url, "SELECT sid FROM user_sessions WHERE is_active = 1")
    ]


async def test_a_replay_with_its_proof_ends_the_session(desk: Desk, clock: Clock, database_url: str) -> None:
    """The person is told, and it is on record once, however often it comes."""
    waiting = await confirmed(desk)
    code = await code_of(desk, waiting.session_id)
    sid = (await swap(desk, code, waiting.verifier)).tokens.session_id
    assert await running(database_url) == [sid]
    clock.forward(11)
    for _ in range(2):
        with pytest.raises(InvalidGrant):
            await swap(desk, code, waiting.verifier)
    assert await running(database_url) == []
    (ended,) = await rows(database_url, "SELECT revoked_reason FROM user_sessions")
    assert ended["revoked_reason"] == "reuse_detected"
    log = await rows(database_url, "SELECT login_status, failure_reason FROM login_logs ORDER BY id")
    assert [tuple(entry.values()) for entry in log] == [("success", None), ("failed", "reuse_detected")]


async def test_who_saw_only_the_code_signs_nobody_out(desk: Desk, clock: Clock, database_url: str) -> None:
    """Without the verifier, with another one, or for another address it is refused, and nothing ends."""
    waiting = await confirmed(desk)
    code = await code_of(desk, waiting.session_id)
    sid = (await swap(desk, code, waiting.verifier)).tokens.session_id
    clock.forward(11)
    for verifier, uri in ((None, RETURN), ("x" * 43, RETURN), (waiting.verifier, f"{RETURN}/")):
        with pytest.raises(InvalidGrant):
            await swap(desk, code, verifier, uri=uri)
    with pytest.raises(InvalidGrant):
        await swap(desk, code, None, client=SHOP)
    assert await running(database_url) == [sid]


async def test_a_repeated_request_ends_nothing(desk: Desk, clock: Clock, database_url: str) -> None:
    """Within ten seconds it is a client whose first answer was lost: refused, no more."""
    waiting = await confirmed(desk)
    code = await code_of(desk, waiting.session_id)
    sid = (await swap(desk, code, waiting.verifier)).tokens.session_id
    clock.forward(9)
    with pytest.raises(InvalidGrant):
        await swap(desk, code, waiting.verifier)
    assert await running(database_url) == [sid]


async def test_a_code_whose_attempt_was_redeemed_otherwise_ends_nothing(
    desk: Desk, clock: Clock, database_url: str
) -> None:
    """The code has opened no session, so there is none to end."""
    waiting = await confirmed(desk)
    code = await code_of(desk, waiting.session_id)
    sid = (await desk.redeem(waiting)).tokens.session_id
    clock.forward(11)
    with pytest.raises(InvalidGrant):
        await swap(desk, code, waiting.verifier)
    assert await running(database_url) == [sid]


async def test_a_client_s_replay_ends_the_session(desk: Desk, clock: Clock, database_url: str) -> None:
    """Where no challenge was given, the client's authentication is the proof; without it nothing ends."""
    new = NewAttempt("h5", f"cookie:{hashed(COOKIE)}", "192.0.2.7", "Firefox", RETURN)
    attempt = await desk.attempts.begin(new)
    session_id = desk.attempts.made.session_id(attempt.session_seed)
    waiting = Waiting(attempt.id, session_id, attempt.qr_code, "")
    await desk.scan(waiting)
    await desk.answer(waiting)
    code = await code_of(desk, session_id, COOKIE)
    sid = (await swap(desk, code, None, client=SHOP)).tokens.session_id
    clock.forward(11)
    with pytest.raises(InvalidGrant):
        await swap(desk, code, None)
    assert await running(database_url) == [sid]
    with pytest.raises(InvalidGrant):
        await swap(desk, code, None, client=SHOP)
    assert await running(database_url) == []


async def test_parallel_swaps_leave_the_winner_signed_in(desk: Desk, database_url: str) -> None:
    """Of ten at once one gets tokens, and the others do not take them away."""
    waiting = await confirmed(desk)
    code = await code_of(desk, waiting.session_id)
    await warm(desk.store)
    results = await asyncio.gather(
        *(swap(desk, code, waiting.verifier) for _ in range(10)), return_exceptions=True
    )
    winners = [result for result in results if isinstance(result, SignedIn)]
    assert len(winners) == 1
    assert all(isinstance(result, SignedIn | InvalidGrant) for result in results)
    assert await running(database_url) == [winners[0].tokens.session_id]
