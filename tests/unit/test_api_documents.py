"""The documents of the API are valid, and leave nothing out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from openapi_spec_validator import validate
from starlette.routing import Mount

from hub.app import create_app
from hub.docs.routes import DocsRoutes
from hub.errors import kinds
from hub.settings import Settings
from hub.web.operations import ChannelRoute, OperationRoute

ROOT = Path(__file__).parents[2]
CALLS_GUIDE = (ROOT / "hub" / "docs" / "guides" / "calls.md").read_text("utf-8")
ROUTES = create_app(Settings()).routes
DOCS: DocsRoutes = next(
    getattr(route.endpoint, "__self__")  # noqa: B009 - which a callable need not have
    for route in ROUTES
    if isinstance(route, OperationRoute) and route.path == "/openapi.json"
)
CALLS = [call for methods in DOCS.calls["paths"].values() for call in methods.values()]
HANDSHAKES = {
    slug for channel in DOCS.channels["channels"].values() for slug in channel.get("x-refusals", ())
}
# Answered without an operation: by the router, or as an error of OAuth's own.
ELSEWHERE = {"method-not-allowed"}
# Roots of the tree, which are raised only as one of their leaves.
ROOTS = {"conflict", "gone"}


def test_openapi_is_valid() -> None:
    """The document satisfies OpenAPI 3.1."""
    validate(DOCS.calls)


def test_asyncapi_is_valid() -> None:
    """The document satisfies AsyncAPI 3.0, by its own JSON Schema."""
    schema = json.loads((ROOT / "tests" / "recorded" / "asyncapi-3.0.0.json").read_text("utf-8"))
    assert [error.message for error in Draft7Validator(schema).iter_errors(DOCS.channels)] == []


def test_every_route_is_described() -> None:
    """No route is made without a declaration, but for files and the sandbox."""
    left = [
        route
        for route in ROUTES
        if not isinstance(route, OperationRoute | ChannelRoute)
        and not (isinstance(route, Mount) and route.path in ("/static", "/sandbox"))
    ]
    assert left == []
    described = {(method.upper(), path) for path, calls in DOCS.calls["paths"].items() for method in calls}
    routed = {(route.operation.method, route.path) for route in ROUTES if isinstance(route, OperationRoute)}
    assert described == routed
    sockets = {route.path for route in ROUTES if isinstance(route, ChannelRoute)}
    assert sockets <= {channel["address"] for channel in DOCS.channels["channels"].values()}


def test_every_route_is_in_the_guide() -> None:
    """The guide to the calls has a row for each call and socket."""
    table = CALLS_GUIDE.partition("## All calls")[2].partition("\n## ")[0]
    for route in ROUTES:
        if isinstance(route, OperationRoute | ChannelRoute):
            path = re.sub(r"/qr-code/\{qr_code\}\.png", "/qr-code/{qr_code}.svg", route.path)
            assert re.search(rf"[` ]{re.escape(path)}`", table), route.path


def test_operations_have_names_of_their_own() -> None:
    """No two have one `operationId`, from which clients make the names of their functions."""
    names = [call["operationId"] for call in CALLS]
    assert sorted(names) == sorted(set(names))
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call["operationId"])
def test_everything_is_explained(call: dict[str, Any]) -> None:
    """Each operation has a summary, and each parameter and answer says what it is."""
    assert len(call["summary"]) > 5
    assert all(each["description"] for each in (*call["parameters"], *call["responses"].values()))


def test_every_member_is_explained() -> None:
    """Each member of each shape and frame says what it is."""
    for document in (DOCS.calls, DOCS.channels):
        for name, schema in document["components"]["schemas"].items():
            for member, described in schema.get("properties", {}).items():
                assert described.get("description"), f"{name}.{member}"


def test_every_problem_is_described() -> None:
    """Each problem of the tree can be answered by some operation or handshake."""
    text = json.dumps(DOCS.calls) + "".join(HANDSHAKES)
    missing = {slug for slug in kinds() if f"/problems/{slug}" not in text}
    assert missing <= ELSEWHERE | ROOTS


def test_every_close_code_is_described() -> None:
    """Each code that the sockets close with, and each that an error may close with, has its meaning."""
    described = {
        int(code)
        for channel in DOCS.channels["channels"].values()
        for code in channel.get("x-close-codes", ())
    }
    source = "".join(path.read_text("utf-8") for path in (ROOT / "hub").rglob("*.py"))
    named = {int(code) for code in re.findall(r"^CLOSED_\w+ = (\d{4})$", source, re.MULTILINE)}
    assert len(named) > 5
    assert named | {kind.close_code for kind in kinds().values()} == described


def test_every_frame_is_described() -> None:
    """Each frame that a socket takes is a message of its channel."""
    for route in ROUTES:
        if isinstance(route, ChannelRoute):
            channel = next(
                each for each in DOCS.channels["channels"].values() if each["address"] == route.path
            )
            taken = {kind.__name__ for kind in route.channel.takes} | {"Ping"}
            assert taken <= set(channel["messages"])


def test_pages_name_each_call() -> None:
    """The page shows every call and socket that the documents have."""
    shown = DOCS.shown
    calls = {call.id for each in shown["calls"].values() for call in each}
    assert calls == {call["operationId"] for call in CALLS}
    assert {line.id for line in shown["lines"]} == set(DOCS.channels["channels"])
