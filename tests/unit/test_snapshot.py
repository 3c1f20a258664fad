"""What watchers are told of an attempt, and what they are not."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.qr.attempt import Attempt, Snapshot
from hub.qr.states import Status
from hub.realtime.watch import Message

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
SESSION_ID = "S" * 43
PENDING = Attempt(
    id=7,
    key="k" * 64,
    session_seed="seed" * 5,
    user_id=None,
    qr_code="Q" * 22,
    previous_qr_code="P" * 22,
    qr_expires_at=NOW + timedelta(seconds=60),
    status=Status.PENDING,
    reason=None,
    seq=3,
    purpose="login",
    door="h5",
    binding="S256:" + "c" * 43,
    successor_id=None,
    redirect_uri=None,
    state="client-state",
    scanned_by=None,
    profile={},
    ip_address="192.0.2.1",
    user_agent="Firefox",
    city=None,
    created_at=NOW,
    expires_at=NOW + timedelta(seconds=300),
    redeemed_at=None,
)
SCANNED = replace(
    PENDING,
    status=Status.SCANNED,
    seq=4,
    user_id=42,
    scanned_by="wechat:wx1:oAbC",
    profile={"nickname": "李", "avatar_url": "https://x.example/a.png", "openid": "oAbC", "unionid": "uXyZ"},
)


def frame(attempt: Attempt, now: datetime = NOW) -> dict[str, Any]:
    """The wire form, by way of the broker's message."""
    frame = Snapshot.from_message(attempt.message()).frame(SESSION_ID, "https://hub.example", now)
    told: dict[str, Any] = json.loads(frame)
    return told


def test_a_pending_frame() -> None:
    """While pending, the code and its picture are told."""
    assert frame(PENDING) == {
        "type": "status",
        "session_id": SESSION_ID,
        "seq": 3,
        "status": "pending",
        "reason": None,
        "expires_in": 300,
        "qr_code": "Q" * 22,
        "qr_url": f"https://hub.example/api/auth/wechat/qr-code/{'Q' * 22}.svg",
        "qr_expires_in": 60,
        "user_info": None,
    }


def test_a_scanned_frame_shows_the_face_and_no_account() -> None:
    """From scanned on there are nickname and picture; the account is told only once it is confirmed."""
    told = frame(SCANNED)
    assert told["user_info"] == {
        "user_id": None,
        "nickname": "李",
        "avatar_url": "https://x.example/a.png",
    }
    assert (told["qr_code"], told["qr_url"], told["qr_expires_in"]) == (None, None, None)
    assert frame(replace(SCANNED, status=Status.CONFIRMED))["user_info"]["user_id"] == 42


@pytest.mark.parametrize("status", list(Status))
def test_no_message_holds_a_secret(status: Status) -> None:
    """Whatever the state, the broker gets public facts only."""
    body = replace(SCANNED, status=status, redirect_uri="https://shop.example/cb").message().body.decode()
    for secret in (
        SCANNED.key,
        SCANNED.session_seed,
        SCANNED.binding,
        "c" * 43,
        "oAbC",
        "uXyZ",
        "client-state",
    ):
        assert secret not in body
    assert "shop.example" not in body
    assert "192.0.2.1" not in body


@pytest.mark.parametrize("status", list(Status))
def test_a_message_comes_back_as_it_was(status: Status) -> None:
    """Times survive to the millisecond, and the reader knows whether more can follow."""
    snapshot = Snapshot.from_message(replace(SCANNED, status=status).message())
    assert (snapshot.seq, snapshot.status, snapshot.expires_at) == (4, status, SCANNED.expires_at)
    assert snapshot.qr_expires_at == SCANNED.qr_expires_at
    assert snapshot.final is (status not in (Status.PENDING, Status.SCANNED))


def test_a_message_is_json_that_a_script_reads() -> None:
    """The seq stands outside the body, so that the broker need not read it."""
    message = PENDING.message()
    assert message.seq == 3
    assert json.loads(message.body)["status"] == "pending"


def test_a_publication_carries_its_time() -> None:
    """What was published can be timed; what was read cannot."""
    assert Snapshot.from_message(PENDING.message(NOW)).told_at == NOW
    assert Snapshot.from_message(PENDING.message()).told_at is None
    assert "told_at" not in frame(PENDING)


NAMES = st.text() | st.sampled_from(
    ('","redirects":true,"door":"x","told_at":null}', "}", "{", '"', "\\", "\n")
)


@given(NAMES, st.none() | NAMES, st.integers(0, 2**31), st.integers(0, 4 * 10**12))
def test_any_name_survives(nickname: str, avatar_url: str | None, seq: int, ends: int) -> None:
    """Whatever people call themselves, message and frame are JSON that says so, and nothing else changes."""
    profile = {"nickname": nickname, "avatar_url": avatar_url}
    expires_at = datetime.fromtimestamp(ends / 1000, UTC)
    attempt = replace(SCANNED, profile=profile, seq=seq, expires_at=expires_at, reason=None)
    try:
        message = attempt.message(NOW)
    except UnicodeEncodeError:  # half a character, which no JSON from outside can have brought
        assert nickname.encode(errors="ignore") != nickname.encode(errors="surrogatepass") or avatar_url
        return
    assert Snapshot.from_message(message) == attempt.snapshot(NOW)
    assert json.loads(message.body)["user_info"] == {"user_id": None, **profile}
    assert frame(attempt)["user_info"] == {"user_id": None, **profile}


@pytest.mark.parametrize("broken", [b"", b"{}", b"null", b"\xff", b'{"status":"scanned"}'])
def test_what_is_no_snapshot(broken: bytes) -> None:
    """One of another release, or no JSON at all: whoever gets it reads SQL."""
    with pytest.raises(ValueError, match=r"snapshot|utf-8"):
        Snapshot.from_message(Message(1, broken))
    longer = PENDING.message().body.replace(b"}", b',"new":1}')
    with pytest.raises(ValueError, match="snapshot"):
        Snapshot.from_message(Message(1, longer))


def test_seconds_left_are_never_negative() -> None:
    """A frame that is told late says zero, and so does one of an attempt that is over."""
    late = NOW + timedelta(hours=1)
    assert (frame(PENDING, late)["expires_in"], frame(PENDING, late)["qr_expires_in"]) == (0, 0)
    assert frame(replace(PENDING, status=Status.EXPIRED))["expires_in"] == 0
    assert frame(replace(SCANNED, status=Status.FAILED, reason="declined"))["expires_in"] == 0


def test_a_confirmed_frame_says_how_long_it_can_be_redeemed() -> None:
    """`expires_in` is the deadline of the present state."""
    confirmed = replace(SCANNED, status=Status.CONFIRMED, expires_at=NOW + timedelta(seconds=60))
    assert frame(confirmed)["expires_in"] == 60


def test_time_has_something_to_do_at_the_earlier_end() -> None:
    """A pending attempt is due when its code or its life ends, a scanned one when its life ends."""
    snapshot = Snapshot.from_message(PENDING.message())
    assert snapshot.due_in(NOW) == 60
    assert snapshot.due_in(NOW + timedelta(seconds=400)) == 0
    assert Snapshot.from_message(SCANNED.message()).due_in(NOW) == 300


def test_an_attempt_that_nobody_claimed_shows_nobody() -> None:
    """One that expired or was cancelled before a scan has no face."""
    assert frame(replace(PENDING, status=Status.EXPIRED))["user_info"] is None
    assert frame(replace(PENDING, status=Status.FAILED, reason="cancelled"))["user_info"] is None
