"""What the dashboard tells, in the form that clients get it."""

from typing import Literal

from typing_extensions import TypedDict

from hub.web.shapes import described


@described
class Results(TypedDict):
    """How tries to sign in ended."""

    success: int
    """Sign-ins."""
    failed: int
    """Tries that failed."""
    blocked: int
    """Tries that were refused unheard."""


@described
class Point(Results):
    """What happened in one slot of time."""

    at: str
    """When the slot began, in ISO 8601 and UTC."""
    sockets: int
    """WebSockets that were open at its end."""


@described
class Bar(TypedDict):
    """One count."""

    names: list[str]
    """What is counted, by the labels of the metric."""
    count: int
    """How often it happened, or how many there are."""
    whole: int | None
    """What the count is a part of; null for one that stands beside the others."""
    tone: Literal["neutral", "success", "warning", "danger"]
    """Whether that is good."""


@described
class Bars(TypedDict):
    """The counts of the window, list by list."""

    funnel: list[Bar]
    """How far QR sign-ins got: `created`, `scanned`, `confirmed`, `redeemed`."""
    sign_ins: list[Bar]
    """The tries to sign in, by method and result as in the login log."""
    latency: list[Bar]
    """Calls to the API by the time until their answer, in milliseconds; streams and long polls left out."""
    errors: list[Bar]
    """At most 10: WeChat's by call and errcode, the hub's own by route and status, messages given up."""
    senders: list[Bar]
    """The providers of messages: what they took of what was tried, and `idle`, `ok` or `failing`."""
    queues: list[Bar]
    """The messages that wait now, by kind, and for how many seconds the oldest one does."""
    budgets: list[Bar]
    """What today's SMS (UTC) have used up: of `all`, and by calling code where that has a budget."""


@described
class Figures(TypedDict):
    """The figures of the last 15 minutes, over all processes of this machine that serve together."""

    type: Literal["snapshot", "delta"]
    """A `snapshot` has a point for each slot; a `delta` only those that are new or have changed."""
    seq: int
    """Grows from frame to frame, on whatever node."""
    at: str
    """When they were read, in ISO 8601 and UTC."""
    slot: int
    """Seconds between two points."""
    points: list[Point]
    """What happened in time, the oldest first."""
    sockets: int
    """WebSockets that are open now."""
    results: Results
    """How the tries to sign in ended."""
    p50: float | None
    """Milliseconds that half of the answers took at most, as far as the buckets tell; null without any."""
    p99: float | None
    """The same for 99 of 100."""
    bars: Bars
    """The counts."""
