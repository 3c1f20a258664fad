"""What the dashboard tells, in the form that clients get it."""

from typing import Literal

from typing_extensions import TypedDict

from hub.web.shapes import described


@described
class Point(TypedDict):
    """What happened in one slot of time."""

    at: str
    """When the slot began, in ISO 8601 and UTC."""
    success: int
    """Sign-ins."""
    failed: int
    """Tries that failed."""
    blocked: int
    """Tries that were refused unheard."""
    sockets: int
    """WebSockets that were open at its end."""


@described
class Funnel(TypedDict):
    """How far the QR sign-ins of the window got."""

    created: int
    """Attempts begun."""
    scanned: int
    """Attempts that a phone claimed."""
    confirmed: int
    """Attempts that a phone confirmed."""
    redeemed: int
    """Attempts that gave out their tokens."""


@described
class SignIns(TypedDict):
    """The tries of the window that were made in one way and ended alike."""

    method: str
    """How it was tried, as in the login log."""
    status: str
    """What came of it: `success`, `failed` or `blocked`."""
    count: int
    """How many."""


@described
class Bucket(TypedDict):
    """The requests of the window that took about the same time."""

    up_to: float | None
    """The longest of them, in seconds; null for those beyond the last bound."""
    count: int
    """How many."""


@described
class Latency(TypedDict):
    """How long the API took to answer, event streams and long polls left out."""

    buckets: list[Bucket]
    """The requests by time, the quickest first."""
    p50: float | None
    """The time in seconds that half of them took at most, as far as the buckets tell; null without any."""
    p99: float | None
    """The same for 99 of 100."""


@described
class SenderHealth(TypedDict):
    """How a provider of messages does."""

    provider: str
    """The provider's name, as in the settings."""
    ok: int
    """Messages that it took in the window."""
    failed: int
    """Tries in the window that failed."""
    health: Literal["idle", "ok", "failing"]
    """`failing` where more tries failed than not, `idle` without any."""


@described
class Queue(TypedDict):
    """The messages of one kind that wait to be sent."""

    kind: str
    """`sms` or `email`."""
    waiting: int
    """How many there are."""
    oldest: float
    """How long the oldest one waits, in seconds."""
    dead: int
    """How many were given up in the window."""


@described
class Budget(TypedDict):
    """What today's SMS (UTC) have used up."""

    scope: str
    """`all`, or a country's calling code."""
    spent: int
    """SMS so far."""
    budget: int
    """SMS that a day may have."""


@described
class Failure(TypedDict):
    """Errors of the window that are alike."""

    source: Literal["wechat", "hub"]
    """Whose errors they are."""
    call: str
    """The call to WeChat, or the route."""
    code: str
    """WeChat's `errcode` or what took its place, or the HTTP status from 500 on."""
    count: int
    """How many."""


@described
class Figures(TypedDict):
    """The figures of the last 15 minutes, over all processes of this machine that serve together."""

    type: Literal["snapshot", "delta"]
    """A `delta` holds only the points that are new or have changed; its other figures are whole."""
    seq: int
    """Grows from frame to frame, on whatever node; milliseconds since 1970."""
    at: str
    """When they were read, in ISO 8601 and UTC."""
    slot: int
    """Seconds between two points."""
    window: int
    """Seconds that the figures cover."""
    points: list[Point]
    """What happened in time, the oldest first."""
    sockets: int
    """WebSockets that are open now."""
    funnel: Funnel
    """The QR sign-ins."""
    sign_ins: list[SignIns]
    """The tries to sign in, by method and result."""
    latency: Latency
    """How long the API took to answer."""
    senders: list[SenderHealth]
    """The providers of messages."""
    queues: list[Queue]
    """The messages that wait."""
    budgets: list[Budget]
    """What the day's SMS have used up."""
    errors: list[Failure]
    """The errors, the most frequent first, at most 10."""
