"""The official account's and the mini program's calls, against the sandbox and against odd answers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx2
import pytest

from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.wechat.account import OfficialAccount, showqrcode
from hub.wechat.account_token import AccountTokens
from hub.wechat.errors import BackOff, CodeRefused, Misconfigured, TokenRefused, Unreachable, WeChatError
from hub.wechat.mini import MiniProgram
from hub.wechat.sandbox.people import PEOPLE
from hub.wechat.transport import App, Transport
from tests.servers.sandbox import ACCOUNT, MINI, SECRET, served
from tests.servers.wechat import Platform

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Ours(NamedTuple):
    """Our own two apps at one WeChat."""

    account: OfficialAccount
    mini: MiniProgram
    transport: Transport


@asynccontextmanager
async def ours(url: str, address: str) -> AsyncIterator[Ours]:
    """Make them, over the database at *url*."""
    store, transport = Store(url), Transport(address)
    tokens = AccountTokens(store, transport, DataKeys(["a-data-key-of-more-than-thirty-two-bytes"]))
    for part in (store, transport, tokens):
        await part.start()
    yield Ours(
        OfficialAccount(transport, tokens, App(ACCOUNT, SECRET)),
        MiniProgram(transport, tokens, App(MINI, SECRET)),
        transport,
    )
    for stopping in (tokens, transport, store):
        await stopping.stop()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve one sandbox for this module."""
    with served() as address:
        yield address


@pytest.fixture
async def sandbox(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Its controls, with no fault on, the real time and no call listed."""
    async with httpx2.AsyncClient(base_url=address) as http:
        for control in ("/faults", "/clock", "/requests"):
            await http.delete(control)
        yield http


@pytest.fixture
async def apps(sqlite_url: str, address: str, sandbox: httpx2.AsyncClient) -> AsyncIterator[Ours]:
    """Our apps at the sandbox."""
    async with ours(sqlite_url, address) as found:
        yield found


@pytest.fixture
async def platform() -> Platform:
    """A WeChat that answers what a test wants."""
    return Platform()


@pytest.fixture
async def odd(sqlite_url: str, platform: Platform) -> AsyncIterator[Ours]:
    """Our apps at that one."""
    async with platform.open() as address, ours(sqlite_url, address) as found:
        yield found


async def test_a_scan_finds_the_follower(apps: Ours, sandbox: httpx2.AsyncClient) -> None:
    """A code is made and scanned; then its person follows, and has a unionid."""
    ticket = await apps.account.create_qr("AbC-_123", 300)
    assert ticket.expire_seconds == 300
    assert ticket.url.startswith("http")
    openid = PEOPLE["bob"].openid(ACCOUNT)
    assert not (await apps.account.user_info(openid)).subscribe
    await sandbox.post("/official-account/scan", json={"scene": "AbC-_123", "person": "bob"})
    follower = await apps.account.user_info(openid, "en")
    assert (follower.openid, follower.subscribe, follower.language) == (openid, True, "en")
    assert follower.unionid


async def test_wechat_shows_its_own_picture(apps: Ours) -> None:
    """The ticket leads to a picture without any token, and a ticket that WeChat has not given to none."""
    ticket = await apps.account.create_qr("scene", 60)
    assert (await showqrcode(apps.transport, ticket.ticket)).content
    with pytest.raises(Unreachable):
        await showqrcode(apps.transport, ticket.ticket[:-2] + "xx")


async def test_nobodys_openid_is_refused(apps: Ours) -> None:
    """An openid of another account is not the operator's fault, and not WeChat's."""
    with pytest.raises(CodeRefused) as refused:
        await apps.account.user_info("oNobody")
    assert refused.value.errcode == 40003


async def test_a_js_code_is_spent(apps: Ours, sandbox: httpx2.AsyncClient) -> None:
    """The first swap gives the session, the second is refused, and neither is sent twice."""
    code = (await sandbox.post("/mini-program/login", json={"person": "alice"})).json()["code"]
    session = await apps.mini.session(code)
    assert session.openid == PEOPLE["alice"].openid(MINI)
    assert session.unionid
    assert session.session_key
    with pytest.raises(CodeRefused) as refused:
        await apps.mini.session(code)
    assert refused.value.errcode == 40163
    calls = (await sandbox.get("/requests")).json()
    assert [call["path"] for call in calls].count("/sns/jscode2session") == 2


async def test_a_code_picture_is_drawn(apps: Ours) -> None:
    """The bytes are a picture, of a type that its first bytes tell."""
    image = await apps.mini.code_image("AbC-_123", "pages/sign-in", "release", 280)
    assert image.media_type in ("image/png", "image/jpeg")
    assert len(image.content) > 100


@pytest.mark.parametrize("person", ["alice", "emoji"])
async def test_a_phone_number_is_given(apps: Ours, sandbox: httpx2.AsyncClient, person: str) -> None:
    """The button's code is worth a number in E.164, once."""
    code = (await sandbox.post("/mini-program/phone-number", json={"person": person})).json()["code"]
    found = await apps.mini.phone_number(code)
    known = PEOPLE[person]
    assert found.phone_e164 == f"+{known.country_code}{known.phone}"
    assert found.country_code == f"+{known.country_code}"
    with pytest.raises(CodeRefused):
        await apps.mini.phone_number(code)


@pytest.mark.parametrize(
    ("path", "fault", "kind"),
    [
        ("/cgi-bin/qrcode/create", {"fault": "busy"}, BackOff),
        ("/cgi-bin/qrcode/create", {"fault": "too_fast"}, BackOff),
        ("/cgi-bin/qrcode/create", {"fault": "drop"}, Unreachable),
        ("/cgi-bin/qrcode/create", {"fault": "broken_json"}, Unreachable),
        ("/cgi-bin/qrcode/create", {"fault": "server_error"}, Unreachable),
        ("/cgi-bin/qrcode/create", {"fault": "errcode", "errcode": 48001}, Misconfigured),
        ("/cgi-bin/stable_token", {"fault": "errcode", "errcode": 40164}, Misconfigured),
    ],
)
async def test_a_failed_call_is_not_repeated(
    apps: Ours, sandbox: httpx2.AsyncClient, path: str, fault: dict[str, object], kind: type[WeChatError]
) -> None:
    """Whatever comes back but a refused token, the call was made once."""
    await sandbox.post("/faults", json={**fault, "path": path})
    with pytest.raises(WeChatError) as failed:
        await apps.account.create_qr("scene", 60)
    assert type(failed.value) is kind
    calls = [call["path"] for call in (await sandbox.get("/requests")).json()]
    assert calls.count(path) == 1


async def test_a_token_that_has_run_out_is_replaced(apps: Ours, sandbox: httpx2.AsyncClient) -> None:
    """Where WeChat's clock is ahead of ours, the call goes through with the next token, nobody the wiser."""
    await apps.account.create_qr("scene", 60)
    await sandbox.post("/clock", json={"advance": 7201})
    assert (await apps.account.create_qr("scene", 60)).ticket
    calls = [call["path"] for call in (await sandbox.get("/requests")).json()]
    assert calls.count("/cgi-bin/stable_token") == 2
    assert calls.count("/cgi-bin/qrcode/create") == 3


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
async def test_a_refused_token_is_replaced_once(odd: Ours, platform: Platform, errcode: int) -> None:
    """Each way to refuse a token brings one more try, and where that is refused too, the error."""
    platform.answer = lambda asked: {"openid": "oAbC"}
    platform.refusal = errcode
    await odd.account.user_info("oAbC")
    platform.next_token()
    assert (await odd.account.user_info("oAbC")).openid == "oAbC"
    assert (platform.count(), platform.count("/cgi-bin/user/info")) == (2, 3)
    platform.good = set()
    with pytest.raises(TokenRefused):
        await odd.account.user_info("oAbC")
    assert platform.count("/cgi-bin/user/info") == 4  # there was no other token to try


async def test_a_body_is_utf8_as_it_stands(odd: Ours, platform: Platform) -> None:
    """What is posted is JSON of the documented form, with its media type."""
    platform.answer = lambda asked: {"ticket": "t", "expire_seconds": 60, "url": "http://weixin.qq.com/q/1"}
    await odd.account.create_qr("AbC", 60)
    asked = platform.asked[-1]
    assert (asked.method, asked.query) == ("POST", {"access_token": "token1"})
    assert asked.body == {
        "expire_seconds": 60,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": "AbC"}},
    }
    assert asked.content_type.startswith("application/json")


async def test_the_page_is_checked_where_it_is_released(odd: Ours, platform: Platform) -> None:
    """A page of a trial version is not known to WeChat, so it is told not to look for it."""
    platform.answer = lambda asked: PNG
    await odd.mini.code_image("scene", "pages/x", "trial")
    await odd.mini.code_image("scene", "pages/x")
    assert [asked.body["check_path"] for asked in platform.asked[1:]] == [False, True]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"errcode": 41030}, Misconfigured),
        ({"errcode": 40129}, Misconfigured),
        ({"errcode": 40169}, Misconfigured),
        ({"errcode": 45009}, BackOff),
        ({"errcode": 0}, Unreachable),
        (b"<html>", Unreachable),
        (b"GIF89a", Unreachable),
        (b"x" * 70_000, Unreachable),
        (PNG + bytes(4 * 1024 * 1024), Unreachable),
    ],
)
async def test_no_picture_is_an_error(
    odd: Ours, platform: Platform, reply: dict[str, object] | bytes, kind: type[WeChatError]
) -> None:
    """Where an error, garbage or far too much comes instead of a picture, nothing is shown."""
    platform.answer = lambda asked: reply
    with pytest.raises(WeChatError) as failed:
        await odd.mini.code_image("scene", "pages/x")
    assert type(failed.value) is kind


async def test_a_large_picture_is_read_whole(odd: Ours, platform: Platform) -> None:
    """Pictures may be larger than any JSON reply."""
    platform.answer = lambda asked: PNG + bytes(2 * 1024 * 1024)
    assert len((await odd.mini.code_image("scene", "pages/x")).content) == len(PNG) + 2 * 1024 * 1024


async def test_another_persons_data_is_refused(odd: Ours, platform: Platform) -> None:
    """A reply about somebody else binds nobody."""
    platform.answer = lambda asked: {"subscribe": 1, "openid": "oMallory"}
    with pytest.raises(Unreachable, match="somebody else"):
        await odd.account.user_info("oAbC")


async def test_what_wechat_would_refuse_is_not_sent(odd: Ours, platform: Platform) -> None:
    """Scenes, lives, pages and widths out of bounds are our own mistakes, codes of no shape the person's."""
    account, mini = odd.account, odd.mini
    for scene, life in (("", 60), ("s" * 65, 60), ("a b", 60), ("é", 60), ("s", 0), ("s", 2_592_001)):
        with pytest.raises(ValueError, match=r"scene|expire"):
            await account.create_qr(scene, life)
    for scene, page, width in (
        ("", "p", 430), ("s" * 33, "p", 430), ("50%", "p", 430), ("s", "/p", 430), ("s", "p?x=1", 430),
        ("s", "", 430), ("s", "p", 279), ("s", "p", 1281),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"scene|page|width"):
            await mini.code_image(scene, page, "release", width)
    for code in ("", "a b", "c" * 513, "\ud800"):
        with pytest.raises(CodeRefused):
            await mini.session(code)
        with pytest.raises(CodeRefused):
            await mini.phone_number(code)
    assert platform.asked == []
