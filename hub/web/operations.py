"""What an endpoint declares of itself, once: it is routed, reads its input and words its answer by it.

The API documents are made from the same declarations, so they cannot say anything else.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from hub.errors import (
    BadRequest,
    HubError,
    InternalError,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    StoreUnavailable,
    UnsupportedMediaType,
)
from hub.web.answers import success
from hub.web.parsing import Body, body, form, query

Endpoint = Callable[[Request], Awaitable[Response]]

Asked = TypeVar("Asked", bound=Body)
Told = TypeVar("Told")


class Nothing(Body):
    """The input of an endpoint that reads none."""


class Auth(Enum):
    """What a caller can show; the value is the scheme's name in the documents, None for a caller unknown."""

    NOBODY = None
    ACCESS_TOKEN = "accessToken"
    SCAN_GRANT = "scanGrant"
    GRANT_COOKIE = "grantCookie"
    BINDING_COOKIE = "bindingCookie"
    REFRESH_COOKIE = "refreshCookie"
    CLIENT = "clientBasic"


class Answer(NamedTuple):
    """An answer other than the envelope and the problems; *shape* is the type of its body.

    *headers* are those it always has, by name, with what they say.
    """

    status: int
    description: str
    media_types: tuple[str, ...] = ()
    shape: Any = None
    headers: Mapping[str, str] = {}


PAGE: Final = Answer(200, "The page", ("text/html",))
EVENT_STREAM: Final = Answer(200, "The events", ("text/event-stream",))


@dataclass(frozen=True, slots=True, eq=False)
class Operation(Generic[Asked, Told]):
    """One method of one path: *asked* is what it reads, *told* is the `data` of its envelope.

    A GET reads its query, the others a JSON body, or with *reads_form* a form. With *optional* no body at
    all stands for `{}`. What every operation can answer, and what follows from the input that it reads, need
    not be named in *problems*. *lenient* are parameters of the query that are read, but never refused, and
    *headers* those of the request, each with its meaning; *path_parameters* say what the path names.
    *limited* operations answer the RateLimit headers, and every envelope has *reply_headers*; *events* are
    the shapes of what an event stream tells.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    asked: type[Asked]
    told: type[Told]
    _: KW_ONLY
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    problems: tuple[type[HubError], ...] = ()
    auth: tuple[Auth, ...] = (Auth.NOBODY,)
    optional: bool = False
    reads_form: bool = False
    limited: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    lenient: Mapping[str, str] = field(default_factory=dict)
    reply_headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Any, ...] = ()

    async def read(self, request: Request) -> Asked:
        """Return the input. Raises as `query`, `form` or `body`."""
        if self.method == "GET":
            return query(request, self.asked)
        if self.reads_form:
            return await form(request, self.asked)
        return await body(request, self.asked, optional=self.optional)

    def answer(self, told: Told, headers: Mapping[str, str] | None = None) -> Response:
        """Return the envelope with *told*."""
        return success(told, headers=headers)

    def route(self, endpoint: Endpoint) -> "OperationRoute":
        """Return the route that leads to *endpoint*, whose docstring describes the operation."""
        return OperationRoute(self, endpoint)

    @property
    def refusals(self) -> tuple[type[HubError], ...]:
        """Every problem that it can answer."""
        found: list[type[HubError]] = [*self.problems, StoreUnavailable, InternalError]
        if self.limited:
            found.append(RateLimited)
        if self.asked.model_fields and not self.reads_form:  # whose endpoints answer as their RFCs say
            found.append(InvalidRequest)
            if self.method != "GET":
                found += (BadRequest, PayloadTooLarge, UnsupportedMediaType)
        return tuple(dict.fromkeys(found))


class Frame(Body):
    """What a client says on a socket; `type` is a literal in each of them."""

    type: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel(Generic[Asked]):
    """One WebSocket: *asked* is the query of its handshake, which answers *problems* where it is refused.

    *takes* are the frames that clients send, *sends* the shapes of those that they are sent, *closes* the
    close codes with what they mean.
    """

    path: str
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    asked: type[Asked]
    takes: tuple[type[Frame], ...]
    sends: tuple[Any, ...]
    closes: Mapping[int, str]
    problems: tuple[type[HubError], ...] = ()

    def read(self, websocket: WebSocket) -> Asked:
        """Return the query. Raises InvalidRequest."""
        return query(websocket, self.asked)

    def route(self, endpoint: Callable[[WebSocket], Awaitable[None]]) -> "ChannelRoute":
        """Return the route that leads to *endpoint*, whose docstring describes the channel."""
        return ChannelRoute(self, endpoint)

    @property
    def refusals(self) -> tuple[type[HubError], ...]:
        """Every problem that the handshake can answer."""
        return tuple(dict.fromkeys((*self.problems, InvalidRequest, StoreUnavailable, InternalError)))


class OperationRoute(Route):
    """A route that knows what it declares."""

    def __init__(self, operation: Operation[Any, Any], endpoint: Endpoint) -> None:
        super().__init__(operation.path, endpoint, methods=[operation.method])
        self.operation = operation


class ChannelRoute(WebSocketRoute):
    """A route that knows what it declares."""

    def __init__(self, channel: Channel[Any], endpoint: Callable[[WebSocket], Awaitable[None]]) -> None:
        super().__init__(channel.path, endpoint)
        self.channel = channel
