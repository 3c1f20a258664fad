"""The sandbox as the hub mounts it, served; and what most of its tests do with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.wechat.sandbox import OfficialAccount, create_sandbox
from tests.servers.uvicorn_app import serve

APPID = "wx0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
OTHER_APPID = "wxfedcba9876543210"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"
WEBSITE = "wx00000000website"
MINI = "wx000000000000mini"
ACCOUNT = "wx0000000000000oa"
TOKEN = "pushtoken"
AES_KEY = "A" * 43
BACK = "http://127.0.0.1:9/back"


@contextmanager
def served(
    *,
    callback_hosts: tuple[str, ...] = (),
    hub_url: str = "",
    public_url: str = "",
    poll_hold: float = 25.0,
    push_patience: float = 5.0,
) -> Iterator[str]:
    """Serve the sandbox with apps of each kind below `/sandbox` and yield its address."""
    sandbox = create_sandbox(
        {APPID: SECRET, OTHER_APPID: OTHER_SECRET},
        websites={WEBSITE: SECRET},
        mini_programs={MINI: SECRET},
        official_account=OfficialAccount(ACCOUNT, SECRET, TOKEN, AES_KEY),
        app_name="Acme & Sons",
        callback_hosts=callback_hosts,
        hub_url=hub_url,
        public_url=public_url,
        poll_hold=poll_hold,
        push_patience=push_patience,
    )
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


def stable_token(http: httpx2.Client, appid: str = ACCOUNT, **changed: object) -> dict[str, object]:
    """Ask for the stable token and return the reply."""
    body = {"grant_type": "client_credential", "appid": appid, "secret": SECRET, **changed}
    reply: dict[str, object] = http.post("/cgi-bin/stable_token", json=body).json()
    return reply


def token_of(http: httpx2.Client, appid: str = ACCOUNT) -> str:
    """Return a good access token of this app."""
    return str(stable_token(http, appid)["access_token"])


def ticket(http: httpx2.Client, scene: str = "scene-1", **changed: object) -> dict[str, object]:
    """Order a code with a scene and return the reply."""
    order = {
        "expire_seconds": 300,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": scene}},
        **changed,
    }
    params = {"access_token": token_of(http)}
    reply: dict[str, object] = http.post("/cgi-bin/qrcode/create", params=params, json=order).json()
    return reply


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
