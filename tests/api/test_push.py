"""The push endpoint of a real hub: who is let in, in which mode, and what comes back."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wechatpy import parse_message

from tests.people import Browser
from tests.pushing import (
    AES_KEY,
    APPID,
    AT,
    ORIGINAL_ID,
    PREVIOUS_KEY,
    SECRET,
    TOKEN,
    WeChat,
    said,
    scan,
    signature,
    written,
)
from tests.servers.hub import HubProcess

ACCOUNT = {"WECHAT_OA_APP_ID": APPID, "WECHAT_OA_APP_SECRET": SECRET, "WECHAT_OA_TOKEN": TOKEN}
SEALED = {**ACCOUNT, "WECHAT_OA_AES_KEY": AES_KEY, "WECHAT_OA_AES_KEY_PREVIOUS": PREVIOUS_KEY}
BOMB = '<!DOCTYPE xml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Event>&b;</Event></xml>'


@pytest.fixture(scope="module")
def sealed_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with an EncodingAESKey, and the one before."""
    process = HubProcess(tmp_path_factory.mktemp("sealed"), **SEALED).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture(scope="module")
def plain_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub without an EncodingAESKey."""
    process = HubProcess(tmp_path_factory.mktemp("plain"), **ACCOUNT).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def sealed(sealed_hub: HubProcess) -> AsyncIterator[WeChat]:
    """WeChat in secure mode."""
    async with httpx2.AsyncClient(base_url=sealed_hub.url) as http:
        yield WeChat(http)


@pytest.fixture
async def plain(plain_hub: HubProcess) -> AsyncIterator[WeChat]:
    """WeChat in plain mode."""
    async with httpx2.AsyncClient(base_url=plain_hub.url) as http:
        yield WeChat(http, secure=False)


@pytest.fixture(params=["sealed", "plain"])
def wechat(request: pytest.FixtureRequest) -> WeChat:
    """WeChat in each mode in turn."""
    mode: WeChat = request.getfixturevalue(request.param)
    return mode


async def scene(hub: HubProcess) -> str:
    """Begin an attempt and return its code."""
    async with Browser(hub.url) as browser:
        code: str = (await browser.begin(door="official_account"))["qr_code"]
        return code


def link(text: str) -> str:
    """The confirm link of a reply."""
    assert "/c/" in text, text
    return text.partition("/c/")[2].split()[0]


async def test_server_verification(wechat: WeChat) -> None:
    """The echo comes back as it was, as plain text, in secure mode too."""
    answer = await wechat.verify()
    assert (answer.status_code, answer.text) == (200, "9151394385729845781")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "changed", [{"signature": "0" * 40}, {"nonce": "1"}, {"timestamp": "1"}, {"signature": "é"}]
)
async def test_verification_by_others(wechat: WeChat, changed: dict[str, str]) -> None:
    """Whoever does not know the Token gets no echo."""
    answer = await wechat.verify(0, **changed)
    assert answer.status_code == 403
    assert "9151394385729845781" not in answer.text


@pytest.mark.parametrize(("seconds", "status"), [(-290, 200), (290, 200), (-310, 403), (310, 403)])
async def test_only_fresh_calls(wechat: WeChat, seconds: float, status: int) -> None:
    """A call that is signed for another time than now, by five minutes, is a replay."""
    assert (await wechat.verify(seconds)).status_code == status


async def test_a_scan_is_answered_with_a_link(sealed: WeChat, sealed_hub: HubProcess) -> None:
    """A sealed scan gets a sealed reply that WeChat's side can read."""
    answer = await sealed.sealed(written(scan(await scene(sealed_hub))))
    assert answer.status_code == 200
    assert "/c/" not in answer.text
    assert link(sealed.reply(answer))


async def test_a_plain_scan_is_answered_in_plain(plain: WeChat, plain_hub: HubProcess) -> None:
    """Without an EncodingAESKey both ways are plain; the fields of a compatible push are enough."""
    for beside in ({}, {"Encrypt": "unread"}):
        answer = await plain.plain(written({**scan(await scene(plain_hub)), **beside}))
        reply = parse_message(answer.text)
        assert (reply.source, reply.target) == (ORIGINAL_ID, "oAlice")
        assert link(reply.content)


async def test_the_compatible_mode(sealed: WeChat, sealed_hub: HubProcess) -> None:
    """With a key only the sealed half of a compatible push counts, whatever stands beside it."""
    inner, other = scan(await scene(sealed_hub)), scan(await scene(sealed_hub), "oMallory")
    answer = await sealed.sealed(written(inner), beside=other)
    assert link(sealed.reply(answer))
    again = await sealed.sealed(written({**other, "FromUserName": "oAlice"}))
    assert link(sealed.reply(again)), "the half in plain has claimed its attempt"


async def test_a_plain_push_to_a_sealed_hub(sealed: WeChat, sealed_hub: HubProcess) -> None:
    """With a key a plain push is refused, however well it is signed."""
    assert (await sealed.plain(written(scan(await scene(sealed_hub))))).status_code == 403


async def test_the_key_before(sealed: WeChat, sealed_hub: HubProcess) -> None:
    """While WeChat still seals by the previous key, the reply comes under that one."""
    former = WeChat(sealed.http, PREVIOUS_KEY)
    answer = await former.sealed(written(scan(await scene(sealed_hub))))
    assert link(former.reply(answer))


async def test_json(sealed: WeChat, plain: WeChat, sealed_hub: HubProcess, plain_hub: HubProcess) -> None:
    """An account that has chosen JSON gets JSON, in plain and sealed."""
    answer = await plain.plain(json.dumps(scan(await scene(plain_hub))))
    assert link(answer.json()["Content"])
    answer = await sealed.sealed(json.dumps(scan(await scene(sealed_hub))), as_json=True)
    outer = answer.json()
    signed = signature(str(outer["TimeStamp"]), outer["Nonce"], outer["Encrypt"])
    assert signed == outer["MsgSignature"]


async def test_messages_and_other_events(wechat: WeChat) -> None:
    """What is not for the hub is taken note of, and no more."""
    for members in (said("hello"), scan("a poster"), {**scan(""), "Event": "VIEW"}, scan("x", event="CLICK")):
        answer = await wechat.push(written(members))
        assert (answer.status_code, answer.text) == (200, "success")


async def test_refusals_are_all_alike(sealed: WeChat) -> None:
    """A wrong signature, a foreign key and a foreign account get one and the same answer, without detail."""
    stranger = WeChat(sealed.http, "n" * 42 + "A")
    foreign = WeChat(sealed.http)
    foreign.crypto.app_id = foreign.crypto._id = "wxffffffffffffffff"
    text = written(scan("A" * 22))
    answers = [
        await sealed.sealed(text, msg_signature="0" * 40),
        await sealed.sealed(text, nonce="1"),
        await sealed.sealed(text, 310),
        await sealed.plain("<xml><Encrypt></Encrypt></xml>"),
        await sealed.plain("<xml></xml>"),
        await stranger.sealed(text),
        await foreign.sealed(text),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["type"] == "/problems/forbidden"


@pytest.mark.parametrize(
    "body", ["", "<xml>", BOMB, "<html/>", "{", "[]", written({"FromUserName": "o1"}), "\x00"]
)
async def test_bodies_that_say_nothing(plain: WeChat, body: str) -> None:
    """What WeChat does not send is a bad request, and entities are never expanded."""
    assert (await plain.plain(body)).status_code == 400


async def test_sealed_entities(sealed: WeChat) -> None:
    """A document type inside the encryption is refused as well."""
    assert (await sealed.sealed(BOMB)).status_code == 400


async def test_large_bodies(wechat: WeChat) -> None:
    """64 KiB are read, more is not."""
    text = "x" * (64 * 1024)
    assert (await wechat.plain(written(said(text)))).status_code == 413
    streamed = (chunk for chunk in [text.encode()] * 2)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in streamed:
            yield chunk

    answer = await wechat.http.post(AT, params=wechat.signed(), content=chunks())
    assert answer.status_code == 413


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), query=st.text(max_size=20))
def test_no_body_brings_it_down(plain_hub: HubProcess, body: bytes, query: str) -> None:
    """Whatever is sent, by whoever knows the Token or not, is answered without a defect."""
    with httpx2.Client(base_url=plain_hub.url) as http:
        stamp = WeChat(httpx2.AsyncClient()).signed()
        assert http.post(AT, params=stamp, content=body).status_code in (200, 400)
        assert http.post(AT, params={**stamp, "nonce": query + "!"}, content=body).status_code == 403


async def test_the_stand_in_of_development(hub_on_servers: HubProcess) -> None:
    """Without any setting the sandbox's account is known here, and its server check passes."""
    async with httpx2.AsyncClient(base_url=hub_on_servers.url) as http:
        verified = await http.post("/sandbox/official-account/verify")
    assert verified.json() == {"verified": True}
