"""The WeChat client against a served stand-in: what a code is worth, and each errcode's meaning."""

import logging
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from hub.errors import ProviderFailed
from hub.wechat.client import App, WeChatClient
from hub.wechat.errors import (
    BackOff,
    Blocked,
    CodeRefused,
    Misconfigured,
    Unreachable,
    WeChatError,
)
from hub.wechat.sandbox import create_sandbox
from hub.wechat.transport import Transport
from tests.servers.uvicorn_app import serve

APP = App("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
OTHER = App("wxfedcba9876543210", "fedcba9876543210fedcba9876543210")


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Serve one stand-in for all tests of this module."""
    with serve(create_sandbox(dict([APP, OTHER])), lifespan=False) as address:
        yield address


@pytest.fixture
async def sandbox(base: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Return the stand-in's own controls, with no fault on and no call listed."""
    async with httpx2.AsyncClient(base_url=base) as http:
        await http.delete("/faults")
        await http.delete("/clock")
        await http.delete("/requests")
        yield http


@pytest.fixture
async def client(base: str) -> AsyncIterator[WeChatClient]:
    """Return a started client of the stand-in."""
    transport = Transport(base)
    await transport.start()
    yield WeChatClient(transport, base)
    await transport.stop()


async def consent(
    client: WeChatClient,
    sandbox: httpx2.AsyncClient,
    person: str = "alice",
    *,
    app: App = APP,
    scope: str = "snsapi_userinfo",
) -> str:
    """Let *person* consent and return the code."""
    url = client.consent_url(app, "http://127.0.0.1/back", scope, "state")
    answer = await sandbox.get(url, headers={"x-sandbox-person": person})
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def failures(call: str, errcode: str) -> float:
    """Return how many failed calls have been counted."""
    labels = {"call": call, "errcode": errcode}
    return REGISTRY.get_sample_value("hub_wechat_errors_total", labels) or 0.0


def test_the_consent_address_has_wechats_order_and_fragment() -> None:
    """Parameters stand in the documented order, everything in them is escaped, and the fragment ends it."""
    client = WeChatClient(Transport("https://api.weixin.qq.com"), "https://open.weixin.qq.com/")
    url = client.consent_url(App("wx1", "s"), "https://hub.test/cb?a=b c", "snsapi_userinfo", "s+/=")
    assert url == (
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1"
        "&redirect_uri=https%3A%2F%2Fhub.test%2Fcb%3Fa%3Db%20c&response_type=code&scope=snsapi_userinfo"
        "&state=s%2B%2F%3D#wechat_redirect"
    )


def test_the_websites_address_has_wechats_order_and_fragment() -> None:
    """A website's scope is `snsapi_login`, and the order is WeChat's again."""
    client = WeChatClient(Transport("https://api.weixin.qq.com"), "https://open.weixin.qq.com")
    assert client.qrconnect_url(App("wx1", "s"), "https://hub.test/cb", "a1") == (
        "https://open.weixin.qq.com/connect/qrconnect?appid=wx1&redirect_uri=https%3A%2F%2Fhub.test%2Fcb"
        "&response_type=code&scope=snsapi_login&state=a1#wechat_redirect"
    )


@pytest.mark.parametrize("state", ["", "a-b", "a" * 129, "ä"])
def test_a_state_that_wechat_would_not_take_is_refused(state: str) -> None:
    """WeChat passes on letters and digits only, 128 at most."""
    client = WeChatClient(Transport("https://api.weixin.qq.com"), "https://open.weixin.qq.com")
    with pytest.raises(ValueError, match="state"):
        client.qrconnect_url(APP, "https://hub.test/cb", state)


def test_an_apps_secret_stays_out_of_its_repr() -> None:
    """Printing an app, as a traceback does, shows no secret."""
    assert APP.secret not in repr(APP) + str(APP) + f"{APP}"


async def test_a_client_that_is_not_started_says_so() -> None:
    """Calling before start is a defect of the caller, not an error of WeChat's."""
    with pytest.raises(RuntimeError, match="not started"):
        await WeChatClient(Transport("http://127.0.0.1:9"), "http://127.0.0.1:9").exchange(APP, "code")


async def test_a_code_becomes_a_person(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """A consent to the profile gives identifiers, tokens, nickname and picture."""
    person = await client.person(APP, await consent(client, sandbox))
    assert person.appid == APP.appid
    assert person.nickname == "爱丽丝 Alice"
    assert person.avatar_url.endswith("/avatars/alice.svg")
    assert person.unionid
    assert (person.scope, person.expires_in, person.is_snapshot) == ("snsapi_userinfo", 7200, False)
    assert person.access_token not in repr(person)
    assert person.refresh_token not in repr(person)


async def test_an_emoji_nickname_survives_text_plain(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """A media type without charset does not garble a nickname."""
    person = await client.person(APP, await consent(client, sandbox, "emoji"))
    assert person.nickname == "🦊小狐狸👩‍💻🎉"


async def test_a_person_without_picture_has_none(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """WeChat's empty picture address stays empty."""
    assert (await client.person(APP, await consent(client, sandbox, "noavatar"))).avatar_url == ""


async def test_a_silent_consent_asks_for_no_profile(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """With `snsapi_base` the openid is all there is; userinfo, which would answer 48001, is not called."""
    person = await client.person(APP, await consent(client, sandbox, scope="snsapi_base"))
    assert (person.scope, person.nickname, person.unionid) == ("snsapi_base", "", None)
    assert "/sns/userinfo" not in [call["path"] for call in (await sandbox.get("/requests")).json()]


async def test_a_snapshot_user_is_marked(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """A snapshot page's virtual user comes back marked, with nothing of the made-up profile."""
    person = await client.person(APP, await consent(client, sandbox, "snapshot"))
    assert (person.is_snapshot, person.nickname) == (True, "")


async def test_a_late_unionid_shows_up(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """No unionid at the first sign-in, one at the second, for the same openid."""
    first = await client.person(OTHER, await consent(client, sandbox, "lateunion", app=OTHER))
    second = await client.person(OTHER, await consent(client, sandbox, "lateunion", app=OTHER))
    assert first.openid == second.openid
    assert first.unionid is None
    assert second.unionid


async def test_a_code_is_refused_the_second_time(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """A used code means: start again; the error carries errcode and request id, and is a 502 at the edge."""
    code = await consent(client, sandbox)
    await client.exchange(APP, code)
    with pytest.raises(CodeRefused) as refused:
        await client.exchange(APP, code)
    assert refused.value.errcode == 40163
    assert refused.value.rid
    assert isinstance(refused.value, ProviderFailed)
    assert refused.value.status == 502


@pytest.mark.parametrize("code", ["", "a b", "c" * 513, "\ud800"])
async def test_what_cannot_be_a_code_is_not_sent(
    client: WeChatClient, sandbox: httpx2.AsyncClient, code: str
) -> None:
    """A code that is empty, too long or not printable is refused without a call."""
    with pytest.raises(CodeRefused):
        await client.exchange(APP, code)
    assert (await sandbox.get("/requests")).json() == []


async def test_a_wrong_secret_is_a_misconfiguration(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """A secret that WeChat does not know is the operator's to mend."""
    code = await consent(client, sandbox)
    with pytest.raises(Misconfigured) as refused:
        await client.exchange(App(APP.appid, "wrong"), code)
    assert refused.value.errcode == 40125


async def test_a_silent_token_may_not_read_the_profile(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """userinfo with a `snsapi_base` token is a matter of configuration (48001)."""
    granted = await client.exchange(APP, await consent(client, sandbox, scope="snsapi_base"))
    with pytest.raises(Misconfigured) as refused:
        await client.userinfo(granted.access_token, granted.openid)
    assert refused.value.errcode == 48001


async def test_a_token_that_has_run_out_means_start_again(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """Two hours later the access token is of no use."""
    granted = await client.exchange(APP, await consent(client, sandbox))
    await sandbox.post("/clock", json={"advance": 7201})
    with pytest.raises(CodeRefused) as refused:
        await client.userinfo(granted.access_token, granted.openid)
    assert refused.value.errcode == 42001


async def test_a_refresh_token_gives_a_live_access_token(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """After its two hours the access token is replaced, and the new one reads the profile."""
    granted = await client.exchange(APP, await consent(client, sandbox))
    await sandbox.post("/clock", json={"advance": 7201})
    fresh = await client.refresh(APP, granted.refresh_token)
    assert fresh.openid == granted.openid
    assert (await client.userinfo(fresh.access_token, fresh.openid)).nickname == "爱丽丝 Alice"


async def test_a_refresh_token_ends_after_thirty_days(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """A month later only a new consent helps, and a refresh token of another app is none."""
    granted = await client.exchange(APP, await consent(client, sandbox))
    with pytest.raises(CodeRefused):
        await client.refresh(OTHER, granted.refresh_token)
    await sandbox.post("/clock", json={"advance": 31 * 86400})
    with pytest.raises(CodeRefused) as refused:
        await client.refresh(APP, granted.refresh_token)
    assert refused.value.errcode in (40030, 42002)


async def test_a_token_is_checked(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """A live token of this person is, one of somebody else or too old is not; no answer is no verdict."""
    granted = await client.exchange(APP, await consent(client, sandbox))
    assert await client.check(granted.access_token, granted.openid)
    assert not await client.check(granted.access_token, "oSomebodyElse")
    await sandbox.post("/clock", json={"advance": 7201})
    assert not await client.check(granted.access_token, granted.openid)
    await sandbox.post("/faults", json={"fault": "busy", "count": 1})
    with pytest.raises(BackOff):
        await client.check(granted.access_token, granted.openid)


CLASSES = {
    CodeRefused: (40003, 40014, 40029, 40030, 40163, 41008, 42001, 42002, 42003, 42007, 50001, 50005),
    BackOff: (-1, 45009, 45011),
    Misconfigured: (
        *(40001, 40002, 40013, 40125, 40164, 41001, 41002, 41004),
        *(43001, 43002, 43003, 47001, 48001, 89503),
    ),
    Blocked: (40226, 50002),
    WeChatError: (99999, 1),
}


@pytest.mark.parametrize(
    ("kind", "errcode"), [(kind, errcode) for kind, errcodes in CLASSES.items() for errcode in errcodes]
)
async def test_each_errcode_says_what_to_do(
    client: WeChatClient, sandbox: httpx2.AsyncClient, kind: type[WeChatError], errcode: int
) -> None:
    """Every errcode raises exactly its kind of error, and is counted under its own number or `other`."""
    await sandbox.post("/faults", json={"fault": "errcode", "errcode": errcode})
    counted = str(errcode) if kind is not WeChatError else "other"
    before = failures("exchange", counted)
    with pytest.raises(WeChatError) as refused:
        await client.exchange(APP, "code")
    assert type(refused.value) is kind
    assert refused.value.errcode == errcode
    assert failures("exchange", counted) == before + 1


async def test_a_bad_token_is_not_taken_for_a_bad_secret(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """40001 at userinfo speaks of the access token: the person starts again, nobody is alarmed."""
    with pytest.raises(CodeRefused) as refused:
        await client.userinfo("no-such-token", "oNobody")
    assert refused.value.errcode == 40001


async def test_a_busy_wechat_says_when_to_come_back(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """Busy means seconds, a quota means a minute."""
    await sandbox.post("/faults", json={"fault": "busy", "count": 1})
    await sandbox.post("/faults", json={"fault": "too_fast", "count": 1})
    with pytest.raises(BackOff) as busy:
        await client.exchange(APP, "code")
    with pytest.raises(BackOff) as too_fast:
        await client.exchange(APP, "code")
    assert (busy.value.retry_after, too_fast.value.retry_after) == (3.0, 60.0)


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "busy"},
        {"fault": "drop"},
        {"fault": "broken_json"},
        {"fault": "server_error"},
        {"fault": "errcode", "errcode": 45009},
    ],
)
async def test_an_exchange_is_sent_once_whatever_comes_back(
    client: WeChatClient, sandbox: httpx2.AsyncClient, fault: dict[str, object]
) -> None:
    """After no kind of failure is the code sent again."""
    code = await consent(client, sandbox)
    await sandbox.delete("/requests")
    await sandbox.post("/faults", json={**fault, "count": 1})
    with pytest.raises(WeChatError):
        await client.exchange(APP, code)
    assert len((await sandbox.get("/requests")).json()) == 1


async def test_a_lost_answer_is_unreachable_and_counted(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """A connection that breaks within the answer is no refusal, and has no errcode."""
    await sandbox.post("/faults", json={"fault": "drop", "count": 1})
    before = failures("exchange", "unreachable")
    with pytest.raises(Unreachable) as lost:
        await client.exchange(APP, "code")
    assert lost.value.errcode is None
    assert failures("exchange", "unreachable") == before + 1


async def test_a_lying_charset_garbles_nothing(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """The body is read as UTF-8 though its media type says ISO-8859-1."""
    code = await consent(client, sandbox, "emoji")
    await sandbox.post("/faults", json={"fault": "wrong_charset"})
    assert (await client.person(APP, code)).nickname == "🦊小狐狸👩‍💻🎉"


async def test_another_encoding_costs_the_nickname_only(
    client: WeChatClient, sandbox: httpx2.AsyncClient
) -> None:
    """Bytes that are no UTF-8 do not keep anybody from signing in."""
    code = await consent(client, sandbox, "noavatar")
    await sandbox.post("/faults", json={"fault": "gbk", "path": "/sns/userinfo"})
    person = await client.person(APP, code)
    assert person.openid
    assert "\ufffd" in person.nickname


async def test_each_call_is_timed(client: WeChatClient, sandbox: httpx2.AsyncClient) -> None:
    """A call that succeeds and one that fails are both in the histogram."""
    labels = {"call": "exchange"}
    before = REGISTRY.get_sample_value("hub_wechat_call_seconds_count", labels) or 0.0
    await client.exchange(APP, await consent(client, sandbox))
    with pytest.raises(CodeRefused):
        await client.exchange(APP, "bad")
    assert REGISTRY.get_sample_value("hub_wechat_call_seconds_count", labels) == before + 2


async def test_nothing_secret_is_logged(
    client: WeChatClient, sandbox: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither our log nor the HTTP library's, at its most talkative, holds secret, code, token or openid."""
    caplog.set_level(logging.DEBUG)
    code = await consent(client, sandbox)
    caplog.clear()
    with capture_logs() as events:
        person = await client.person(APP, code)
        with pytest.raises(CodeRefused):
            await client.exchange(APP, code)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    written = repr(ours) + repr(events)
    assert "wechat_call_failed" in written
    for secret in (APP.secret, code, person.access_token, person.refresh_token, person.openid):
        assert secret not in written
