"""Requests made from the API's own document: whatever comes, the answer is one that it describes."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub.app import create_app
from hub.settings import Settings
from hub.web.operations import OperationRoute
from tests.people import DESKTOP, sign_in
from tests.servers.hub import HubProcess

EXAMPLES = int(os.environ.get("HUB_FUZZ_EXAMPLES", "10"))
ENDING = {"/api/logout", "/api/logout-all", "/api/user"}  # the session that the others need
OPERATIONS = [
    (route.operation.method.lower(), route.path)
    for route in create_app(Settings()).routes
    if isinstance(route, OperationRoute) and route.path not in ENDING and not route.operation.events
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub of its own, which nothing else looks at."""
    process = HubProcess(tmp_path_factory.mktemp("fuzzed")).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture(scope="module")
def access_token(fuzzed: HubProcess) -> str:
    """The access token of somebody who is signed in."""
    token: str = asyncio.run(sign_in(fuzzed.url, "emoji"))["access_token"]
    return token


@pytest.fixture(scope="module")
def described(fuzzed: HubProcess) -> schemathesis.BaseSchema:
    """The document, as the hub itself tells it."""
    load_all_checks()
    return schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_described(
    described: schemathesis.BaseSchema, access_token: str, method: str, path: str
) -> None:
    """Never a 5xx, and no status, media type, header or member that the document does not have."""
    headers = {"user-agent": DESKTOP, "authorization": f"Bearer {access_token}"}

    operation = described[path][method]
    made = operation.as_strategy()
    if operation.body or operation.query:
        made |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(case=made)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="HUB_FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS, allow_redirects=False, timeout=20)

    answered()
