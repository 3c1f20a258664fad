"""The sandbox as the hub mounts it, served; and what most of its tests do with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.wechat.sandbox import create_sandbox
from tests.servers.uvicorn_app import serve

APPID = "wx0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
OTHER_APPID = "wxfedcba9876543210"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"
BACK = "http://127.0.0.1:9/back"


@contextmanager
def served(*, callback_hosts: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve the sandbox for two apps below `/sandbox` and yield its address."""
    apps = {APPID: SECRET, OTHER_APPID: OTHER_SECRET}
    sandbox = create_sandbox(apps, app_name="Acme & Sons", callback_hosts=callback_hosts)
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


def authorize(
    http: httpx2.Client, person: str | None = None, decision: str | None = None, **changed: str
) -> httpx2.Response:
    """Open the consent page, with the sandbox's headers where given and some parameters *changed*."""
    headers = {"x-sandbox-person": person, "x-sandbox-decision": decision}
    query = {
        "appid": APPID,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "snsapi_userinfo",
        "state": "st",
    }
    return http.get(
        "/connect/oauth2/authorize",
        params={**query, **changed},
        headers={name: value for name, value in headers.items() if value is not None},
    )


def returned(answer: httpx2.Response) -> dict[str, str]:
    """Return the parameters that a redirect gives back to the app."""
    assert answer.status_code == 302, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def exchange(http: httpx2.Client, code: str, **changed: str) -> dict[str, object]:
    """Exchange *code* and return the reply."""
    query = {"appid": APPID, "secret": SECRET, "code": code, "grant_type": "authorization_code"}
    reply: dict[str, object] = http.get("/sns/oauth2/access_token", params={**query, **changed}).json()
    return reply


def signed_in(http: httpx2.Client, person: str, **changed: str) -> dict[str, object]:
    """Let *person* consent and return the reply of the exchange."""
    return exchange(http, returned(authorize(http, person, **changed))["code"])
