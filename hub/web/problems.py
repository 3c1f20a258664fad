"""From exceptions to answers: the handlers the application installs."""

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match, Route

from hub.errors import BadRequest, HubError, InternalError, MethodNotAllowed, NotFound
from hub.web.answers import refusal
from hub.web.language import language

_BY_STATUS: dict[int, type[HubError]] = {400: BadRequest, 404: NotFound, 405: MethodNotAllowed}


async def refuse(connection: HTTPConnection, error: Exception) -> Response:
    """Answer a HubError, or one of Starlette's own HTTPExceptions, with a problem body.

    The reason is left in the scope, for the log line of the request.
    """
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, InternalError)
        headers = dict(error.headers or {})
        if kind is MethodNotAllowed and (methods := _methods(connection)):
            headers["Allow"] = ", ".join(sorted(methods))
        error = kind(error.detail, headers=headers)
    if not isinstance(error, HubError):
        raise error
    connection.scope["hub.reason"] = f"{error.slug}: {error.reason}" if error.reason else error.slug
    return refusal(error, language(connection))


def _methods(connection: HTTPConnection) -> set[str]:
    """The methods of all routes with this path; Starlette itself names those of the first one only."""
    return {
        method
        for route in connection.app.routes
        if isinstance(route, Route) and route.matches(connection.scope)[0] is Match.PARTIAL
        for method in route.methods or ()
    }


HANDLERS = {HubError: refuse, HTTPException: refuse}
