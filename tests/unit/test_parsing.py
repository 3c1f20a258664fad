"""Reading requests: what is taken, and with which error the rest is refused."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from starlette.requests import HTTPConnection, Request
from starlette.types import Message

from hub.errors import BadRequest, HubError, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from hub.web.parsing import BODY_LIMIT, Body, Printable, bearer, body, client_address, form, query

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Order(Body):
    """What these tests ask for."""

    name: Printable
    count: Annotated[int, Field(ge=0)] = 1


def request(content: bytes | Iterable[bytes], media_type: str | None, **headers: str) -> Request:
    """A request with this body, in one piece or in several."""
    pieces = [content] if isinstance(content, bytes) else list(content)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    if media_type is not None:
        headers["content-type"] = media_type
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw, "query_string": b""}, receive)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json; version=1; charset=utf8",
    ],
)
async def test_json_in_utf_8_is_read(media_type: str) -> None:
    """JSON is taken under each spelling of its media type, and unknown members are ignored."""
    content = json.dumps({"name": "李", "unknown": [None]}, ensure_ascii=False).encode()
    assert await body(request(content, media_type), Order) == Order(name="李")


@pytest.mark.parametrize(
    ("media_type", "headers"),
    [
        (None, {}),
        ("", {}),
        ("text/plain", {}),
        ("application/jsonp", {}),
        ("application/problem+json", {}),
        (FORM, {}),
        ("application/json; charset=gbk", {}),
        ("application/json; version=1; charset=gbk", {}),
        ("application/json; charset=", {}),
        (JSON, {"content_encoding": "gzip"}),
    ],
)
async def test_another_media_type_is_refused(media_type: str | None, headers: dict[str, str]) -> None:
    """Another type, charset or coding is refused before the body is looked at."""
    with pytest.raises(UnsupportedMediaType):
        await body(request(b'{"name":"a"}', media_type, **headers), Order)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"name":"a"}x',
        b"\xef\xbb\xbf{}",
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":"\\udc00\\ud800"}',
        b'{"name":"a\nb"}',
        b"[" * 8000 + b"]" * 8000,
        b'{"name":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"name":"a","count":' + b"9" * 10000 + b"}",
        json.dumps({"name": "a"}).encode("utf-16"),
    ],
)
async def test_what_is_no_json_is_a_bad_request(content: bytes) -> None:
    """Broken, wrongly encoded or bottomless JSON cannot be read at all."""
    with pytest.raises(BadRequest):
        await body(request(content, JSON), Order)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b"[]", [""]),
        (b"null", [""]),
        (b'"name"', [""]),
        (b"{}", ["name"]),
        (b'{"name":null}', ["name"]),
        (b'{"name":1}', ["name"]),
        (b'{"name":["a"]}', ["name"]),
        (b'{"name":"a\\u0000"}', ["name"]),
        (b'{"name":"a\\n"}', ["name"]),
        (b'{"name":"\\u007f"}', ["name"]),
        (b'{"name":"a","count":"1"}', ["count"]),
        (b'{"name":"a","count":true}', ["count"]),
        (b'{"name":"a","count":1.5}', ["count"]),
        (b'{"name":"a","count":NaN}', ["count"]),
        (b'{"name":"a","count":-1}', ["count"]),
        (b'{"name":1,"count":-1}', ["name", "count"]),
    ],
)
async def test_wrong_members_are_named(content: bytes, fields: list[str]) -> None:
    """Each wrong member is named with a reason, and never quoted."""
    with pytest.raises(InvalidRequest) as refused:
        await body(request(content, JSON), Order)
    assert [error.field for error in refused.value.errors] == fields
    assert all(error.reason for error in refused.value.errors)


@pytest.mark.parametrize(
    "sent",
    [
        request(b" " * (BODY_LIMIT + 1), JSON),
        request((b" " * 1000 for _ in range(BODY_LIMIT // 1000 + 1)), JSON),
        request(b"{}", JSON, content_length=str(BODY_LIMIT + 1)),
    ],
    ids=["sent", "in pieces", "announced"],
)
async def test_a_body_over_the_limit_is_refused(sent: Request) -> None:
    """The limit holds for what is announced and for what comes."""
    with pytest.raises(PayloadTooLarge):
        await body(sent, Order)


async def test_a_body_at_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    content = b'{"name":"a"}'
    read = await body(request(content + b" " * (BODY_LIMIT - len(content)), JSON), Order)
    assert read.name == "a"


class Options(Body):
    """A body without which the request still makes sense."""

    name: Printable | None = None


async def test_an_optional_body_may_be_left_out() -> None:
    """No body and no type stand for an empty object; a body without a type is refused."""
    assert await body(request(b"", None), Options, optional=True) == Options()
    with pytest.raises(UnsupportedMediaType):
        await body(request(b'{"name":"a"}', None), Options, optional=True)
    with pytest.raises(BadRequest):
        await body(request(b"", JSON), Options, optional=True)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"name=a&name=b", InvalidRequest),
        (b"name", BadRequest),
        (b"name=a&&count=1", BadRequest),
        (b"name=%00", InvalidRequest),
        (b"\xff\xfe=1", BadRequest),
        (b"name=a&count=many", InvalidRequest),
        (b"", InvalidRequest),
        (b"&".join(b"x%d=1" % number for number in range(60)), BadRequest),
    ],
)
async def test_a_broken_form_is_refused(content: bytes, error: type[HubError]) -> None:
    """Repeated members, broken pairs, control characters and wrong types are refused."""
    with pytest.raises(error):
        await form(request(content, FORM), Order)


async def test_a_form_is_read() -> None:
    """Numbers come as text, a plus is a space, and a repeated unknown member harms nobody."""
    asked = await form(request(b"name=a+%E6%9D%8E&count=2&x=1&x=2", FORM), Order)
    assert asked == Order(name="a 李", count=2)


def connection(**scope: Any) -> HTTPConnection:
    """A connection of which only some things matter."""
    return HTTPConnection({"type": "http", "headers": [], "query_string": b"", **scope})


def test_a_query_names_each_parameter_once() -> None:
    """A repeated parameter could be read one way here and another way by a proxy."""
    assert query(connection(query_string=b"name=a&count=3"), Order).count == 3
    with pytest.raises(InvalidRequest):
        query(connection(query_string=b"name=a&count=3&count=4"), Order)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("", None),
        ("abc", None),
    ],
)
def test_bearer(header: str, token: str | None) -> None:
    """The token is what follows the scheme, whose case does not matter."""
    assert bearer(connection(headers=[(b"authorization", header.encode())])) == token


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("nonsense" * 20, ("nonsense" * 20)[:45]),
        ("", "unknown"),
    ],
)
def test_an_address_has_one_spelling(host: str, address: str) -> None:
    """One client counts as one, however its address is written, and the text fits its column."""
    assert client_address(connection(client=(host, 1))) == address


def test_a_socket_without_a_peer_has_no_address() -> None:
    """A server on a Unix socket knows no client."""
    assert client_address(connection(client=None)) == "unknown"


@given(st.binary(max_size=200))
async def test_no_body_breaks_the_reader(content: bytes) -> None:
    """Whatever comes, it is read or refused as the caller's mistake."""
    for read, media_type in ((body, JSON), (form, FORM)):
        try:
            await read(request(content, media_type), Order)
        except HubError as error:
            assert 400 <= error.status < 500  # noqa: PT017 - an error is one of two good outcomes
