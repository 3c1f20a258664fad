"""The sandbox's pushes: signed, in three modes, with a time limit, repeats, and replies on the phone."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from hub.wechat.sandbox import OfficialAccount, create_sandbox, push_crypto
from hub.wechat.sandbox.people import PEOPLE
from tests.servers.push_receiver import Receiver, member, opened, sealed, signed
from tests.servers.sandbox import ACCOUNT, AES_KEY, APPID, TOKEN, served, ticket, token_of
from tests.servers.uvicorn_app import serve

ALICE = PEOPLE["alice"].openid(ACCOUNT)


@pytest.fixture
def server() -> Receiver:
    """The account's server, which has not been told of yet."""
    return Receiver(TOKEN)


@pytest.fixture
def http(server: Receiver) -> Iterator[httpx2.Client]:
    """Return a client of a sandbox that pushes to the server, with 0.3 s of patience."""
    with (
        serve(server.app) as receiving,
        served(push_patience=0.3) as address,
        httpx2.Client(base_url=address, timeout=20) as http,
    ):
        http.post("/official-account", json={"push_url": f"{receiving}/push"})
        yield http


def scan(http: httpx2.Client, person: str = "alice", **members: object) -> dict[str, Any]:
    """Let a person scan, and return what became of the push."""
    answer = http.post("/official-account/scan", json={"scene": "scene-1", "person": person, **members})
    assert answer.status_code == 200, answer.text
    delivery: dict[str, Any] = answer.json()
    return delivery


def reply(text: str, *, to: str = ALICE, sender: str | None = None, http: httpx2.Client) -> str:
    """Return a text reply of the account."""
    original = sender or http.get("/official-account").json()["original_id"]
    return (
        f"<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[{original}]]></FromUserName>"
        f"<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        f"<Content><![CDATA[{text}]]></Content></xml>"
    )


def test_a_newcomer_subscribes_with_the_scene(http: httpx2.Client, server: Receiver) -> None:
    """The first scan is `subscribe` with `qrscene_` and the ticket; the sender and the time are told."""
    ordered = ticket(http)
    delivery = scan(http)
    ((query, body),) = server.got
    assert delivery["delivered"] is True
    assert (member(body, "MsgType"), member(body, "Event")) == ("event", "subscribe")
    assert member(body, "EventKey") == "qrscene_scene-1"
    assert member(body, "Ticket") == ordered["ticket"]
    assert member(body, "FromUserName") == query["openid"] == ALICE
    assert str(member(body, "ToUserName")).startswith("gh_")
    assert str(member(body, "CreateTime")).isdecimal()


def test_a_follower_scans(http: httpx2.Client, server: Receiver) -> None:
    """From the second scan on it is `SCAN`, and the scene stands alone."""
    scan(http)
    scan(http)
    body = server.got[1][1]
    assert (member(body, "Event"), member(body, "EventKey")) == ("SCAN", "scene-1")


def test_a_push_is_signed(http: httpx2.Client, server: Receiver) -> None:
    """`signature` covers token, timestamp and nonce, and plain mode shows no other."""
    scan(http)
    query = server.got[0][0]
    assert query["signature"] == signed(TOKEN, query["timestamp"], query["nonce"])
    assert set(query) == {"signature", "timestamp", "nonce", "openid"}


def test_who_leaves_is_told_once(http: httpx2.Client, server: Receiver) -> None:
    """`unsubscribe` is pushed for a follower; who follows no more cannot leave again."""
    scan(http)
    http.post("/official-account/unfollow", json={"person": "alice"})
    assert member(server.got[1][1], "Event") == "unsubscribe"
    assert http.post("/official-account/unfollow", json={"person": "alice"}).status_code == 409
    scan(http)
    assert member(server.got[2][1], "Event") == "subscribe"


def test_the_secure_mode_shows_nothing_in_plain(http: httpx2.Client, server: Receiver) -> None:
    """Only ToUserName and Encrypt are sent; msg_signature covers the latter, which opens for this app."""
    http.post("/official-account", json={"mode": "secure"})
    scan(http)
    query, body = server.got[0]
    encrypted = member(body, "Encrypt")
    assert encrypted
    assert member(body, "FromUserName") is None
    assert query["encrypt_type"] == "aes"
    assert query["msg_signature"] == signed(TOKEN, query["timestamp"], query["nonce"], encrypted)
    message, appid = opened(AES_KEY, encrypted)
    assert appid == ACCOUNT
    assert (member(message, "Event"), member(message, "FromUserName")) == ("subscribe", ALICE)


def test_the_compatible_mode_sends_both(http: httpx2.Client, server: Receiver) -> None:
    """Plain members and Encrypt stand side by side and say the same."""
    http.post("/official-account", json={"mode": "compatible"})
    scan(http)
    body = server.got[0][1]
    message, _ = opened(AES_KEY, str(member(body, "Encrypt")))
    for name in ("Event", "EventKey", "FromUserName", "CreateTime", "Ticket"):
        assert member(body, name) == member(message, name)


def test_a_late_answer_is_a_failed_try(http: httpx2.Client, server: Receiver) -> None:
    """Two answers come too late, the third in time: three tries with the same members, signed anew."""
    server.slow = 2
    delivery = scan(http)
    assert delivery["delivered"] is True
    assert [each["error"] for each in delivery["tries"]] == ["TimeoutError", "TimeoutError", None]
    assert len({body for _, body in server.got}) == 1
    assert len({query["nonce"] for query, _ in server.got}) == 3


def test_three_tries_and_no_more(http: httpx2.Client, server: Receiver) -> None:
    """A server that fails is asked three times, and the delivery then fails."""
    server.broken = 5
    delivery = scan(http)
    assert delivery["delivered"] is False
    assert [each["status"] for each in delivery["tries"]] == [500, 500, 500]
    assert len(server.got) == 3


def test_a_push_can_be_repeated(http: httpx2.Client, server: Receiver) -> None:
    """`times` sends the same event again, as WeChat does where it takes an answer for lost."""
    scan(http, times=3)
    assert len(server.got) == 3
    assert len({body for _, body in server.got}) == 1


def test_the_reply_is_understood(http: httpx2.Client, server: Receiver) -> None:
    """A text reply reaches the phone, its links apart: `<a href>` and bare addresses can be tapped."""
    text = 'Tap <a href="https://hub.test/c/1">here</a> or https://hub.test/c/2。'
    server.reply = reply(text, http=http).encode()
    assert scan(http)["reply"] == {
        "type": "text",
        "text": "Tap here or https://hub.test/c/2。",
        "links": ["https://hub.test/c/1", "https://hub.test/c/2"],
    }


def test_a_sealed_reply_is_opened(http: httpx2.Client, server: Receiver) -> None:
    """In secure mode the reply is sealed and signed as well."""
    http.post("/official-account", json={"mode": "secure"})
    encrypted = sealed(AES_KEY, ACCOUNT, reply("hello", http=http))
    good = signed(TOKEN, "1", "2", encrypted)
    for signature, answered in ((good, {"type": "text", "text": "hello", "links": []}), ("bad", None)):
        server.reply = (
            f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature>{signature}</MsgSignature>"
            "<TimeStamp>1</TimeStamp><Nonce>2</Nonce></xml>"
        ).encode()
        delivery = scan(http)
        assert delivery["reply"] == answered
        assert ("error" in delivery) is (answered is None)


@pytest.mark.parametrize(
    "body",
    [
        b"ok",
        b"<xml>",
        b"<html><body>500</body></html>",
        b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><MsgType>text</MsgType><Content>&a;</Content></xml>',
    ],
)
def test_a_reply_that_is_none_is_trouble(http: httpx2.Client, server: Receiver, body: bytes) -> None:
    """What WeChat cannot read is told to the person as a failure of the service."""
    server.reply = body
    delivery = scan(http)
    assert delivery["reply"] is None
    assert delivery["error"]


def test_a_reply_to_somebody_else_is_trouble(http: httpx2.Client, server: Receiver) -> None:
    """Sender and receiver must be those of the push, the other way round."""
    server.reply = reply("hello", to="oSomebodyElse", http=http).encode()
    assert "error" in scan(http)
    server.reply = reply("hello", sender="gh_other", http=http).encode()
    assert "error" in scan(http)


def test_a_plain_reply_to_a_sealed_push_is_trouble(http: httpx2.Client, server: Receiver) -> None:
    """In secure mode nothing is taken in plain, in compatible mode it is."""
    server.reply = reply("hello", http=http).encode()
    http.post("/official-account", json={"mode": "secure"})
    assert "error" in scan(http)
    http.post("/official-account", json={"mode": "compatible"})
    assert scan(http)["reply"]["text"] == "hello"


def test_a_text_is_pushed_with_its_number(http: httpx2.Client, server: Receiver) -> None:
    """What a person writes has a MsgId."""
    http.post("/official-account/message", json={"person": "alice", "text": "你好 ]]> <b>"})
    body = server.got[0][1]
    assert member(body, "MsgType") == "text"
    assert str(member(body, "MsgId")).isdecimal()
    assert "你好" in body


def test_the_server_is_verified(http: httpx2.Client, server: Receiver) -> None:
    """The check passes with the right token only."""
    assert http.post("/official-account/verify").json() == {"verified": True}
    http.post("/official-account", json={"token": "another"})
    assert http.post("/official-account/verify").json() == {"verified": False}


def test_an_expired_code_pushes_nothing(http: httpx2.Client, server: Receiver) -> None:
    """A phone that scans too late is told so, and the server hears nothing."""
    ticket(http)
    http.post("/clock", json={"advance": 301})
    answer = http.post("/official-account/scan", json={"scene": "scene-1", "person": "alice"})
    assert answer.status_code == 410
    assert server.got == []


@pytest.mark.parametrize("push_url", ["http://127.0.0.1:9/push", "http://[", ""])
def test_a_server_that_is_not_there(http: httpx2.Client, push_url: str) -> None:
    """An address where nobody answers, or none at all, is a failed delivery and a failed check."""
    http.post("/official-account", json={"push_url": push_url})
    delivery = scan(http)
    assert delivery["delivered"] is False
    assert len(delivery["tries"]) == (3 if push_url else 0)
    assert http.post("/official-account/verify").json() == {"verified": False}


def test_news_can_be_tapped(http: httpx2.Client, server: Receiver) -> None:
    """A reply of type `news` shows its titles, each with its link."""
    original = http.get("/official-account").json()["original_id"]
    server.reply = (
        f"<xml><ToUserName>{ALICE}</ToUserName><FromUserName>{original}</FromUserName>"
        "<CreateTime>1</CreateTime><MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item>"
        "<Title>Confirm</Title><Description>d</Description><PicUrl></PicUrl>"
        "<Url>https://hub.test/c/1</Url></item></Articles></xml>"
    ).encode()
    assert scan(http)["reply"] == {"type": "news", "text": "Confirm", "links": ["https://hub.test/c/1"]}


def test_a_code_of_another_account_opens_no_chat(http: httpx2.Client, server: Receiver) -> None:
    """Only the codes of the account that pushes lead to its page."""
    order = {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "x"}}}
    params = {"access_token": token_of(http, APPID)}
    other = http.post("/cgi-bin/qrcode/create", params=params, json=order).json()["url"]
    assert http.get(other, headers={"x-sandbox-person": "alice"}).status_code == 410
    assert server.got == []


def test_pushes_are_listed(http: httpx2.Client) -> None:
    """The newest comes first, and the list can be cleared."""
    scan(http)
    scan(http)
    assert [each["push"]["Event"] for each in http.get("/official-account/pushes").json()] == [
        "SCAN",
        "subscribe",
    ]
    assert http.delete("/official-account/pushes").json() == []


@pytest.mark.parametrize(
    "body",
    [{"mode": "open"}, {"aes_key": "short"}, {"push_url": "ftp://x"}, {"token": "x"}, {"more": 1}],
)
def test_wrong_server_settings_are_refused(http: httpx2.Client, body: dict[str, object]) -> None:
    """What WeChat's own form would not take is a 422."""
    assert http.post("/official-account", json=body).status_code == 422


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("scan", {"scene": "", "person": "alice"}),
        ("scan", {"scene": 0, "person": "alice"}),
        ("scan", {"scene": "x" * 65, "person": "alice"}),
        ("scan", {"scene": "x", "person": "mallory"}),
        ("scan", {"scene": "x", "person": "alice", "times": 0}),
        ("unfollow", {}),
        ("message", {"person": "alice", "text": ""}),
    ],
)
def test_a_wrong_control_call_is_refused(
    http: httpx2.Client, server: Receiver, path: str, body: dict[str, object]
) -> None:
    """A call that means nothing is a 422 that names the member, and nothing is pushed."""
    answer = http.post(f"/official-account/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()[0]["msg"]
    assert server.got == []


def test_a_sealed_mode_needs_a_key() -> None:
    """Without an AES key the account stays in plain mode, and no sandbox begins with a bad one."""
    account = OfficialAccount(ACCOUNT, "secret", TOKEN)
    with serve(create_sandbox(official_account=account)) as base, httpx2.Client(base_url=base) as http:
        assert http.post("/official-account", json={"mode": "secure"}).status_code == 422
        assert http.get("/official-account").json()["mode"] == "plain"
    for aes_key in ("", "short", "A" * 42 + "!"):
        with pytest.raises(ValueError, match="EncodingAESKey"):
            create_sandbox(official_account=OfficialAccount(ACCOUNT, "secret", TOKEN, aes_key, "secure"))


def test_a_sandbox_without_an_account_has_no_controls_of_it() -> None:
    """Where no account is registered, neither its page nor its controls are there."""
    with serve(create_sandbox()) as base, httpx2.Client(base_url=base) as http:
        assert http.post("/official-account/scan", json={}).status_code == 404
        assert http.get("/q/x").status_code == 404
        assert http.get("/phone/chats").status_code == 200


def test_who_holds_the_phone_is_asked_first(http: httpx2.Client) -> None:
    """A code scanned by nobody's phone, and the chat, ask for a person; a misspelt header is told."""
    code = str(ticket(http)["url"])
    for address in (code, "/phone/chats/account"):
        assert 'id="person-alice"' in http.get(address).text
    assert http.get(code, headers={"x-sandbox-person": "mallory"}).status_code == 400
    assert http.post(code).status_code == 410
    assert http.get("/q/unknown").status_code == 410


def test_the_official_vectors() -> None:
    """Signature and cipher agree with those that WeChat publishes."""
    assert (
        push_crypto.signature("AAAAA", "1714037059", "486452656")
        == "899cf89e464efb63f54ddac96b0a0a235f53aa78"
    )
    encrypted = (
        "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzaz"
        "hZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSq"
        "FIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
    )
    message = push_crypto.unseal("A" * 43, "wxba5fad812f8e6fb9", encrypted)
    assert len(message) == 167
    assert b"o9AgO5Kd5ggOC-bXrbNODIiE3bGY" in message
    assert (
        push_crypto.signature("AAAAA", "1714112445", "415670741", encrypted)
        == "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"
    )


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 31, 32, 33, 1000])
def test_what_is_sealed_opens_elsewhere(length: int) -> None:
    """A message of each length around a block opens with other code than the sandbox's own, and back."""
    message = "x" * length
    assert opened(AES_KEY, push_crypto.seal(AES_KEY, ACCOUNT, message.encode())) == (message, ACCOUNT)
    assert push_crypto.unseal(AES_KEY, ACCOUNT, sealed(AES_KEY, ACCOUNT, message)) == message.encode()
    with pytest.raises(ValueError, match="another app"):
        push_crypto.unseal(AES_KEY, "wx-other", sealed(AES_KEY, ACCOUNT, message))
