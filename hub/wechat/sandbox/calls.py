"""What all API calls share: the method, the body, the answer in WeChat's form."""

import json
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.wechat.sandbox.replies import Refused, error_reply, wire


class Call(NamedTuple):
    """A call: its query, its JSON body (empty for GET), and the sandbox's own *address* for links."""

    query: QueryParams
    body: Mapping[str, object]
    address: str


Address = Callable[[Request], str]
Answer = Callable[[Call], Mapping[str, object] | Response]


def call_route(path: str, method: Literal["GET", "POST"], answer: Answer, address: Address) -> Route:
    """Return the route of an API call: HTTP 200 whatever happens, the wrong method is 43001 or 43002."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.method != method:
                raise Refused(43001 if method == "GET" else 43002)
            body = _object(await request.body()) if method == "POST" else {}
            reply = answer(Call(request.query_params, body, address(request)))
        except Refused as refused:
            reply = error_reply(refused.errcode)
        return reply if isinstance(reply, Response) else wire(reply, path)

    return Route(path, endpoint, methods=["GET", "POST"])


def required(values: Mapping[str, object], name: str, errcode: int) -> str:
    """Return a text that must be there. Raises Refused."""
    value = values.get(name)
    if not value or not isinstance(value, str):
        raise Refused(errcode)
    return value


def addresses(public_url: str) -> Address:
    """Return how links to the sandbox begin: *public_url*, or else as the caller reached it."""
    return lambda request: public_url or reached(request)


def reached(request: Request) -> str:
    """Return the sandbox's address as this caller reached it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"


def _object(body: bytes) -> Mapping[str, object]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(47001) from None
    if not isinstance(read, dict):
        raise Refused(47001)
    return read
