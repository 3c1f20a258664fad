"""The challenge before codes, on a hub whose verifier is a stand-in that speaks `siteverify`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hub.settings import SettingsError, load_settings
from tests.code_client import Person, new_email, new_number
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.servers.uvicorn_app import serve

SECRET = "challenge-secret"


class Verifier:
    """What it was asked, and how it answers beyond its documents: *fault* is a status, or no JSON."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.fault = ""

    async def answer(self, request: Request) -> Response:
        """Know two responses: one of the right widget, one of another's."""
        form = dict(parse_qsl((await request.body()).decode()))
        self.asked.append(form)
        if self.fault == "garbage":
            return PlainTextResponse("<html>")
        if self.fault == "silent":
            return JSONResponse({"error-codes": ["internal-error"]})
        if self.fault == "500":
            return JSONResponse({"success": True}, 500)
        if form["secret"] != SECRET:
            return JSONResponse({"success": False, "error-codes": ["invalid-input-secret"]})
        solved = form["response"].startswith("solved")
        action = {"solved-elsewhere": {"action": "pay"}, "solved-here": {"action": "send_code"}}
        return JSONResponse({"success": solved, **action.get(form["response"], {})})


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """A verifier on a port of its own."""
    verifier = Verifier()
    app = Starlette(routes=[Route("/siteverify", verifier.answer, methods=["POST"])])
    with serve(app) as url:
        verifier.url = f"{url}/siteverify"
        yield verifier


@contextmanager
def started(folder: Path, verifier: Verifier, **env: str) -> Iterator[HubProcess]:
    """A hub that asks the verifier."""
    process = HubProcess(folder, CODE_CHALLENGE_URL=verifier.url, CODE_CHALLENGE_SECRET=SECRET, **env).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, verifier: Verifier) -> Iterator[HubProcess]:
    """A hub that sends nothing while the verifier is away."""
    with started(tmp_path_factory.mktemp("closed"), verifier) as process:
        yield process


@pytest.fixture(autouse=True)
def well(verifier: Verifier) -> None:
    """Each test begins with a verifier that works, and has been asked nothing."""
    verifier.fault = ""
    verifier.asked.clear()


@pytest.mark.parametrize("response", ["solved", "solved-here"])
@pytest.mark.parametrize("new_address", [new_number, new_email])
async def test_who_solved_it_gets_a_code(
    closed: HubProcess, verifier: Verifier, new_address: Callable[[], str], response: str
) -> None:
    """The verifier is told the secret, the response and the address of who asks."""
    address = new_address()
    async with Person(closed.url) as person:
        purpose = {"purpose": "login"} if "@" in address else {}
        code = await person.code(address, challenge=response, **purpose)
        assert code.isdecimal()
    assert verifier.asked == [{"secret": SECRET, "response": response, "remoteip": "127.0.0.1"}]


@pytest.mark.parametrize("members", [{}, {"challenge": ""}, {"challenge": None}])
async def test_without_a_response(closed: HubProcess, verifier: Verifier, members: dict[str, object]) -> None:
    """Nothing is sent, and the verifier is not bothered."""
    number = new_number()
    async with Person(closed.url) as person:
        refused(await person.send(number, **members), 403, "challenge-required")
        assert await person.messages(number) == []
    assert verifier.asked == []


@pytest.mark.parametrize("response", ["guessed", "solved-elsewhere"])
async def test_a_wrong_response(closed: HubProcess, response: str) -> None:
    """Neither a made-up one, nor one that was solved for another purpose."""
    number = new_number()
    async with Person(closed.url) as person:
        refused(await person.send(number, challenge=response), 403, "challenge-required")
        assert await person.messages(number) == []


async def test_a_response_has_a_length(closed: HubProcess, verifier: Verifier) -> None:
    """What no widget gives is refused before anybody is asked."""
    async with Person(closed.url) as person:
        refused(await person.send(new_number(), challenge="x" * 4097), 422, "invalid-request")
    assert verifier.asked == []


@pytest.mark.parametrize("fault", ["500", "garbage", "silent"])
async def test_a_verifier_that_is_away_closes(closed: HubProcess, verifier: Verifier, fault: str) -> None:
    """Nothing is sent, and the client is told when to come back."""
    verifier.fault = fault
    number = new_number()
    async with Person(closed.url) as person:
        answer = await person.send(number, challenge="solved")
        refused(answer, 503, "unavailable")
        assert "retry-after" in answer.headers
        assert await person.messages(number) == []


async def test_a_verifier_that_is_away_may_open(tmp_path: Path, verifier: Verifier) -> None:
    """By setting codes are sent then; a response is demanded all the same."""
    with started(tmp_path, verifier, CODE_CHALLENGE_WHEN_AWAY="open") as hub:
        verifier.fault = "garbage"
        async with Person(hub.url) as person:
            assert (await person.code(new_number(), challenge="solved")).isdecimal()
            refused(await person.send(new_number()), 403, "challenge-required")


def test_a_url_needs_its_secret() -> None:
    """The hub does not start with half of it."""
    with pytest.raises(SettingsError, match="CODE_CHALLENGE_SECRET"):
        load_settings(env_file=None, code_challenge_url="https://verify.example.com/siteverify")
