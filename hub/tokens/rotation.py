"""Refresh tokens: how one is made, and what to do with the one that came in (RFC 9700 section 4.14.2).

A token is `hubr_` + base64url(sid ‖ generation ‖ HMAC(key, sid ‖ generation ‖ the row's salt)). The session's
row keeps only generation and salt, so the current token can be made again and an old one recognised as ours.
With G the row's generation, and "fresh" meaning at most 10 s after the last rotation:

    presented                                        session runs          session ended or timed out
    ------------------------------------------------------------------------------------------------
    not our HMAC                                     FORGED                FORGED
    generation G                                     ROTATE                ENDED
    G - 1, fresh, by the presenter that rotated      REPEAT                ENDED
    G - 1, fresh, by another presenter               THEFT                 ENDED
    G - 2 or older, fresh                            STALE                 ENDED
    G - 1 or older, not fresh                        THEFT                 ENDED
    above G                                          STALE                 ENDED

REPEAT answers with the very token of generation G, so parallel refreshes of an honest client end with one
successor and a lost answer can be asked for again. STALE is refused and nothing more: it is what a slow
sibling of such a client sends, or (above G) a token from before the database was restored. THEFT ends the
session. A presenter is the network (/24, /64) and user agent a request comes from.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from hub.limits.networks import network
from hub.tokens.keys import RefreshKeys

PREFIX = "hubr_"
REUSE_WINDOW = timedelta(seconds=10)
SID_BYTES = 16
_GENERATION_BYTES = 4
_MAC_BYTES = 32
_BODY_BYTES = SID_BYTES + _GENERATION_BYTES + _MAC_BYTES


class Verdict(Enum):
    """What a presented refresh token calls for; see the table above."""

    ROTATE = auto()
    REPEAT = auto()
    STALE = auto()
    THEFT = auto()
    ENDED = auto()
    FORGED = auto()


class RefreshToken(NamedTuple):
    """A token taken apart; nothing of it is trusted before `decide`."""

    sid: str
    generation: int
    mac: bytes


class Lineage(NamedTuple):
    """The columns of a session's row that the decision rests on; *idle_until* is last use plus idle life."""

    sid: str
    generation: int
    salt: str
    rotated_at: datetime | None
    rotated_by: str | None
    is_active: bool
    idle_until: datetime
    expires_at: datetime


def build(keys: RefreshKeys, sid: str, generation: int, salt: str) -> str:
    """Return the refresh token of *generation*; the same arguments give the same token."""
    message = _message(sid, generation)
    return PREFIX + _encode(message + keys.mac(message + salt.encode()))


def parse(token: str) -> RefreshToken | None:
    """Take a token apart; None for what is not spelled exactly as `build` spells it."""
    text = token.removeprefix(PREFIX)
    if text == token:
        return None
    try:
        body = base64.b64decode(text + "==", altchars=b"-_", validate=True)
    except ValueError:
        return None
    if len(body) != _BODY_BYTES or _encode(body) != text:
        return None
    generation = int.from_bytes(body[SID_BYTES:-_MAC_BYTES], "big")
    return RefreshToken(_encode(body[:SID_BYTES]), generation, body[-_MAC_BYTES:])


def presenter(ip: str, user_agent: str, salt: str) -> str:
    """Return 64 characters that stand for network and user agent, salted: no row tells the network."""
    return hashlib.sha256("\0".join((salt, network(ip), user_agent)).encode()).hexdigest()


def decide(keys: RefreshKeys, presented: RefreshToken, lineage: Lineage, by: str, now: datetime) -> Verdict:
    """Return the table's cell for *presented*, which the presenter *by* sends at *now*."""
    message = _message(presented.sid, presented.generation)
    if presented.sid != lineage.sid or not keys.matches(message + lineage.salt.encode(), presented.mac):
        return Verdict.FORGED
    if not lineage.is_active or now >= min(lineage.idle_until, lineage.expires_at):
        return Verdict.ENDED
    behind = lineage.generation - presented.generation
    if behind == 0:
        return Verdict.ROTATE
    if behind < 0:
        return Verdict.STALE
    if lineage.rotated_at is None or now - lineage.rotated_at > REUSE_WINDOW:
        return Verdict.THEFT
    if behind > 1:
        return Verdict.STALE
    return Verdict.REPEAT if lineage.rotated_by == by else Verdict.THEFT


def _message(sid: str, generation: int) -> bytes:
    return base64.urlsafe_b64decode(sid + "==") + generation.to_bytes(_GENERATION_BYTES, "big")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
