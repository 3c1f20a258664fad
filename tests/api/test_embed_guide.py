"""The Python of the guide to embedding, run against a hub as it stands there, in each language."""

import contextlib
import io
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from tests.people import Browser, Phone
from tests.servers.hub import SECRET, HubProcess

GUIDES = Path(__file__).parents[2] / "hub" / "docs" / "guides"
BACK = "https://shop.example.com/signed-in"


@pytest.fixture(params=["embed.md", "embed.zh-CN.md"])
def snippets(request: pytest.FixtureRequest) -> list[str]:
    """The guide's blocks of Python, in their order."""
    text = (GUIDES / request.param).read_text("utf-8")
    found = re.findall(r"^( *)```python\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


async def test_a_back_end_signs_people_in(snippets: list[str], tmp_path: Path) -> None:
    """What it prints is a file of clients; with the code it gets tokens, whose account it reads."""
    register, swap, check = snippets
    room: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(register, room)  # noqa: S102 - our own
    clients = tmp_path / "clients.json"
    clients.write_text(printed.getvalue(), "utf-8")
    assert json.loads(printed.getvalue())[0]["redirect_uris"] == [BACK]
    hub = HubProcess(tmp_path, OAUTH_CLIENTS=str(clients)).start()
    try:
        async with Browser(hub.url) as browser, Phone(hub.url) as phone:
            await browser.begin(pkce=False, redirect_uri=BACK, state="s")
            await phone.scan(browser.attempt["qr_content"])
            await phone.answer()
            led = (await browser.status()).json()["data"]
        room["code"] = parse_qs(urlsplit(led["redirect_url"]).query)["code"][0]
        room["JWT_SECRET"] = f"jwt-{SECRET}"
        for snippet in (swap, check):
            exec(snippet.replace("https://login.example.com", hub.url), room)  # noqa: S102 - our own
        tokens, account = room["tokens"], room["account"]
        assert isinstance(tokens, dict)
        assert callable(account)
        assert account(tokens["access_token"]) == led["user_info"]["user_id"]
        forged = jwt.encode({"sub": "1", "sid": "s", "exp": 2**31, "iss": hub.url}, f"jwt-{SECRET}", "HS256")
        with pytest.raises(jwt.InvalidTokenError):
            account(forged)
    finally:
        hub.stop()
