"""What an app asks of a person, read from the address of a consent page."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.scanned import web_link

_STATE_LIMIT: Final = 128


class Asked(NamedTuple):
    """The parameters, found in order."""

    appid: str
    redirect_uri: str
    scope: str
    state: str

    def answered(self, code: str | None = None) -> str:
        """Return where the person is led to: with the state alone where there is no code."""
        answer = {"state": self.state} if code is None else {"code": code, "state": self.state}
        return str(URL(self.redirect_uri).include_query_params(**answer))


class BadLink(Exception):
    """The consent address is wrong; *key* is the catalogue key that says how."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def read(
    query: Mapping[str, str],
    appids: Collection[str],
    scopes: Collection[str],
    callback_hosts: Collection[str],
) -> Asked:
    """Return what is asked. Raises BadLink.

    *callback_hosts* are the registered callback domains, with their port where it is not the scheme's own;
    none registered means that any will do.
    """
    asked = Asked(*(query.get(name, "") for name in Asked._fields))
    if asked.appid not in appids:
        raise BadLink("notice.appid")
    if web_link(asked.redirect_uri) is None:
        raise BadLink("notice.redirect_uri")
    if callback_hosts and urlsplit(asked.redirect_uri).netloc not in callback_hosts:
        raise BadLink("notice.domain")
    if query.get("response_type") != "code":
        raise BadLink("notice.response_type")
    if asked.scope not in scopes:
        raise BadLink("notice.scope")
    if len(asked.state.encode()) > _STATE_LIMIT:
        raise BadLink("notice.state")
    return asked


def named(request: Request) -> Person | None:
    """Return who the header X-Sandbox-Person names. Raises BadLink for a name that nobody has."""
    name = request.headers.get("x-sandbox-person")
    if name is not None and name not in PEOPLE:
        raise BadLink("notice.person")
    return None if name is None else PEOPLE[name]


def decision(request: Request, person: Person | None, *, silent: bool = False) -> str | None:
    """Return `allow` or `deny` where the headers decide, None where the person is to be asked.

    X-Sandbox-Decision wins; a person named by header decides as they would; *silent* asks nobody.
    """
    given = request.headers.get("x-sandbox-decision")
    if given not in ("allow", "deny"):
        given = None
    if given is None and "x-sandbox-person" in request.headers:
        return "deny" if person and person.declines and not silent else "allow"
    return given


def led_back(address: str) -> Response:
    """Lead to the app."""
    headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    return RedirectResponse(address, 302, headers=headers)
