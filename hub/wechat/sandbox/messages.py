"""`/messages`: what the hub's console senders have sent, for scripts that play a person with a phone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Messages = Callable[[str], Awaitable[Sequence[Mapping[str, str | None]]]]


def messages_route(messages: Messages, prefix: str = "") -> Route:
    """Return the endpoint; *messages* returns what was sent to an address, to anybody where that is empty."""

    async def listed(request: Request) -> Response:
        """Answer what was sent to `?to=` as a JSON array of `{to, code, text, sent_at}`, newest first."""
        return JSONResponse(await messages(request.query_params.get("to", "")))

    return Route(f"{prefix}/messages", listed, methods=["GET"])
