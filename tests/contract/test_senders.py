"""One contract over all senders, each against a stand-in for its provider that checks what it gets."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from hub.codes.messages import Message
from hub.codes.senders.aliyun import failure as aliyun_failure
from hub.codes.senders.console import ConsoleSender
from hub.codes.senders.http import Http, Reply
from hub.codes.senders.port import Misconfigured, Permanent, Sender, SendFailed, Temporary
from hub.codes.senders.smtp import Security, SmtpSender
from hub.codes.senders.tencent import failure as tencent_failure
from tests.outgoing import aliyun, tencent
from tests.servers.mailbox import PASSWORD, USER, MailServer, certificate
from tests.servers.providers import (
    Aliyun,
    Fault,
    Provider,
    Tencent,
    served,
)

LIMIT = 0.5  # seconds a call may take in these tests
REFERENCE = "Zx3-reference_22-chars"


def code_message(to: str, language: str = "zh-CN", **changed: Any) -> Message:
    """A sign-in code for an address."""
    now = datetime.now(UTC)
    message = Message(to, "login_code", "042917", {"minutes": "5"}, language, now + timedelta(minutes=5))
    return message._replace(**changed)


class Bench(NamedTuple):
    """A sender, the stand-in it talks to, and an address that it can reach."""

    sender: Sender
    provider: Provider | MailServer
    to: str


def smtp(port: int, security: Security = "starttls", password: str = PASSWORD) -> SmtpSender:
    """A sender with the stand-in's password."""
    return SmtpSender(
        "127.0.0.1",
        port,
        security=security,
        username="" if security == "none" else USER,
        password="" if security == "none" else password,
        sender="登录中心 <no-reply@hub.example>",
        site="登录中心",
        call_limit=LIMIT,
    )


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """A started HTTP client."""
    http = Http(call_limit=LIMIT)
    await http.start()
    yield http
    await http.stop()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., MailServer]:
    """Mail servers whose certificate this machine trusts."""
    context, public = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    return lambda *, implicit=False: MailServer(context, implicit=implicit)


@pytest.fixture(params=["aliyun", "tencent", "smtp"])
async def bench(
    request: pytest.FixtureRequest, http: Http, trusted: Callable[..., MailServer]
) -> AsyncIterator[Bench]:
    """Each sender in turn, with its provider."""
    async with AsyncExitStack() as stack:
        if request.param == "smtp":
            server = trusted()
            await stack.enter_async_context(server.served())
            yield Bench(smtp(server.port), server, "li@example.com")
            return
        provider = Aliyun() if request.param == "aliyun" else Tencent()
        stack.enter_context(served(provider))
        make = aliyun if request.param == "aliyun" else tencent
        yield Bench(make(http, provider.url), provider, "+8613800138000")


def taken(provider: Provider | MailServer) -> int:
    """How many messages a provider has taken."""
    return len(provider.mails if isinstance(provider, MailServer) else provider.taken)


async def test_a_message_is_taken_once(bench: Bench) -> None:
    """One call, signed or signed in as the provider demands, hands over one message."""
    await bench.sender.send(code_message(bench.to), REFERENCE)
    assert (bench.provider.calls, taken(bench.provider)) == (1, 1)


async def test_a_check_sends_nothing(bench: Bench) -> None:
    """With the right keys it finds all well, and nobody gets a message."""
    await bench.sender.check()
    assert (bench.provider.calls, taken(bench.provider)) == (1, 0)


async def test_a_refused_address_is_permanent(bench: Bench) -> None:
    """Nobody will bring this message to that address."""
    bench.provider.fail("refused")
    with pytest.raises(Permanent):
        await bench.sender.send(code_message(bench.to), REFERENCE)


@pytest.mark.parametrize("fault", ["busy", "limited"])
async def test_a_busy_provider_is_temporary(bench: Bench, fault: Fault) -> None:
    """The provider's own trouble, and its limits, pass; the operator has nothing to mend."""
    bench.provider.fail(fault)
    with pytest.raises(Temporary) as caught:
        await bench.sender.send(code_message(bench.to), REFERENCE)
    assert not isinstance(caught.value, Misconfigured)
    assert bench.provider.calls == 1


async def test_an_account_that_may_not_send_is_told_apart(bench: Bench) -> None:
    """No credit, or a sender that is not allowed, is for the operator to mend; the next provider may do."""
    bench.provider.fail("unpaid")
    with pytest.raises(Misconfigured):
        await bench.sender.send(code_message(bench.to), REFERENCE)


@pytest.mark.parametrize("fault", ["garbage", "empty", "html", "slow"])
async def test_a_provider_that_lies_or_sleeps_is_temporary(bench: Bench, fault: Fault) -> None:
    """Whatever is not the provider's yes, in time, is no yes."""
    bench.provider.fail(fault)
    with pytest.raises(Temporary):
        await bench.sender.send(code_message(bench.to), REFERENCE)
    assert taken(bench.provider) == 0


async def test_a_provider_that_is_away_is_temporary(http: Http) -> None:
    """A refused connection is told like a lost one, without the address that was called."""
    away: list[tuple[Sender, str]] = [
        (aliyun(http, "http://127.0.0.1:9"), "+8613800138000"),
        (tencent(http, "http://127.0.0.1:9"), "+8613800138000"),
        (smtp(9), "li@example.com"),
    ]
    for sender, to in away:
        with pytest.raises(Temporary) as caught:
            await sender.send(code_message(to), REFERENCE)
        assert caught.value.code == "unreachable"
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("fault", ["redirect", "huge"])
@pytest.mark.parametrize("kind", [Aliyun, Tencent])
async def test_http_is_bounded(http: Http, fault: Fault, kind: type[Provider]) -> None:
    """A redirect is not followed, and an answer without end is not read to it."""
    provider = kind()
    provider.fail(fault)
    with served(provider):
        sender = aliyun(http, provider.url) if kind is Aliyun else tencent(http, provider.url)
        with pytest.raises(Temporary):
            await sender.send(code_message("+8613800138000"), REFERENCE)
    assert provider.calls == 1


async def test_wrong_keys_are_misconfigured(http: Http, trusted: Callable[..., MailServer]) -> None:
    """The stand-ins do check who is calling: a wrong secret or key id is refused."""
    ali, ten, mail = Aliyun(), Tencent(), trusted()
    with served(ali), served(ten):
        async with mail.served():
            wrong: list[tuple[Sender, str]] = [
                (aliyun(http, ali.url, secret="x"), "SignatureDoesNotMatch"),
                (aliyun(http, ali.url, access_key="x"), "InvalidAccessKeyId.NotFound"),
                (aliyun(http, ali.url, sign_name="x"), "isv.SMS_SIGNATURE_ILLEGAL"),
                (tencent(http, ten.url, secret_key="x"), "AuthFailure.SignatureFailure"),
                (tencent(http, ten.url, secret_id="x"), "AuthFailure.SecretIdNotFound"),
                (tencent(http, ten.url, app_id="x"), "InvalidParameterValue.SdkAppIdNotExist"),
                (smtp(mail.port, password="x"), "smtp 535"),
            ]
            for sender, code in wrong:
                to = "li@example.com" if sender.name == "smtp" else "+8613800138000"
                with pytest.raises(Misconfigured) as caught:
                    await sender.send(code_message(to), REFERENCE)
                assert caught.value.code == code
                with pytest.raises(Misconfigured):
                    await sender.check()
    assert not ali.taken
    assert not ten.taken
    assert not mail.mails


async def test_aliyun_gets_what_its_template_takes(http: Http) -> None:
    """Numbers of China go without their prefix, others without their plus sign; values go by name."""
    provider = Aliyun()
    with served(provider):
        sender = aliyun(http, provider.url)
        for number in ("+8613800138000", "+85261234567"):
            await sender.send(code_message(number), REFERENCE)
        alert = code_message(
            "+8613800138000",
            template="security_alert",
            code=None,
            params={"device": "Mi 15 & 平板 +~*", "place": "杭州", "time": "12:00"},
        )
        await sender.send(alert, REFERENCE)
    assert [one["to"] for one in provider.taken] == ["13800138000", "85261234567", "13800138000"]
    assert provider.taken[0]["values"] == {"code": "042917", "minutes": "5"}
    assert provider.taken[0]["reference"] == REFERENCE
    assert provider.taken[2]["values"] == dict(alert.params)


async def test_tencent_gets_what_its_template_takes(http: Http) -> None:
    """Numbers go in E.164; values go in the template's order."""
    provider = Tencent()
    with served(provider):
        await tencent(http, provider.url).send(code_message("+8613800138000"), REFERENCE)
    assert provider.taken == [{"to": "+8613800138000", "reference": REFERENCE, "values": ["042917", "5"]}]


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_letter_is_whole(trusted: Callable[..., MailServer], security: Security) -> None:
    """By TLS from the start, by STARTTLS and in clear text arrives one letter in two forms."""
    server = MailServer() if security == "none" else trusted(implicit=security == "tls")
    async with server.served():
        await smtp(server.port, security).send(code_message("li@example.com"), REFERENCE)
    (mail,) = server.mails
    assert (mail["to"], mail["from"]) == ("li@example.com", "登录中心 <no-reply@hub.example>")
    assert mail["subject"] == "登录中心 登录验证码"
    assert mail["message-id"] == f"<{REFERENCE}@hub.example>"
    assert mail["auto-submitted"] == "auto-generated"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert html
    assert "042917" in plain.get_content()
    assert "042917" in html.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_strange_certificate_gets_no_mail(tmp_path: Path, security: Security) -> None:
    """Whoever cannot prove to be the mail server is not given password or code."""
    server = MailServer(certificate(tmp_path)[0], implicit=security == "tls")
    async with server.served():
        with pytest.raises(Misconfigured, match="certificate"):
            await smtp(server.port, security).send(code_message("li@example.com"), REFERENCE)
    assert not server.mails


async def test_a_server_without_starttls_gets_no_mail() -> None:
    """Encryption that was asked for is not given up because the server, or somebody between, says no."""
    server = MailServer()
    async with server.served():
        with pytest.raises(Misconfigured):
            await smtp(server.port, "starttls").send(code_message("li@example.com"), REFERENCE)
    assert not server.mails


@pytest.mark.parametrize("to", ["li@example.com\nbcc: all@example.com", "nobody", ""])
async def test_an_address_that_is_none_is_permanent(to: str) -> None:
    """It reaches no header, and no server."""
    with pytest.raises(Permanent):
        await smtp(9).send(code_message(to), REFERENCE)


async def test_the_console_tells_no_code() -> None:
    """The line it logs has neither the code nor the whole address."""
    with capture_logs() as lines:
        await ConsoleSender().send(code_message("+8613800138000"), REFERENCE)
    (line,) = lines
    assert line["to"] == "+86***00"
    assert "042917" not in str(line)
    assert "13800138000" not in str(line)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"Code": "Throttling.User"}, Temporary),
        (503, {"Code": "ServiceUnavailable"}, Temporary),
        (500, {"Code": "OK"}, Temporary),
        (200, {"Code": "isp.RAM_PERMISSION_DENY"}, Misconfigured),
        (200, {"Code": "isv.NOBODY_HAS_HEARD_OF_IT"}, Misconfigured),
        (403, {"Code": "Forbidden.RAM"}, Misconfigured),
        (200, {"Code": "OK "}, Temporary),
    ],
)
def test_aliyun_answers_are_understood(status: int, body: dict[str, str], kind: type[SendFailed]) -> None:
    """Whose fault it is decides what is done: theirs passes, ours is for the operator."""
    assert type(aliyun_failure(Reply(status, body))) is kind


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ({"Error": {"Code": "RequestLimitExceeded"}}, Temporary),
        ({"Error": {"Code": "InternalError"}}, Temporary),
        ({"Error": {"Code": "Ok"}}, Temporary),
        ({"Error": {"Code": "AuthFailure.SignatureExpire"}}, Misconfigured),
        ({"Error": {"Code": "IpNotInWhitelist"}}, Misconfigured),
        ({"SendStatusSet": [{"Code": "InternalError.SigVerificationFail"}]}, Misconfigured),
        ({"SendStatusSet": [{"Code": "InvalidParameterValue.IncorrectPhoneNumber"}]}, Permanent),
        ({"SendStatusSet": [{"Code": "LimitExceeded.PhoneNumberDailyLimit"}]}, Temporary),
        ({"SendStatusSet": []}, Temporary),
        ([], Temporary),
    ],
)
def test_tencent_answers_are_understood(response: object, kind: type[SendFailed]) -> None:
    """An error of the whole call and the status of the one number mean the same things."""
    assert type(tencent_failure(Reply(200, {"Response": response}))) is kind
