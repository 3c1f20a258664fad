"""Every answer and frame that an API test gets from a hub, held against the documents of that very hub."""

import json
import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.servers.hub import HubProcess

HIDDEN = ("/static/", "/sandbox/")  # which are not for clients
NO_OPERATION = (404, 405, 400)
TRANSPORT = (1005, 1006)  # no close code at all


class Call(NamedTuple):
    """One operation of the OpenAPI document."""

    method: str
    path: str
    description: dict[str, Any]

    @property
    def pattern(self) -> re.Pattern[str]:
        """What its paths look like."""
        return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.path)))


class Documents:
    """Both documents of the hub at *url*."""

    def __init__(self, url: str) -> None:
        self.calls = _loaded(f"{url}/openapi.json")
        self.channels = _loaded(f"{url}/asyncapi.json")
        self._operations = [
            (each.pattern, each)
            for path, methods in self.calls["paths"].items()
            for method, description in methods.items()
            for each in [Call(method, path, description)]
        ]
        self._components = _tight(self.calls["components"])
        self._validators: dict[tuple[str, str, int, str], Draft202012Validator] = {}
        self._frames: dict[str, Draft202012Validator] = {}

    def check_answer(self, method: str, path: str, answer: httpx2.Response, *, whole: bool) -> None:
        """Check one answer; its body where it is *whole*."""
        if path.startswith(HIDDEN) or method == "OPTIONS":
            return
        found = self._find("get" if method == "HEAD" else method.lower(), path)
        if found is None:
            assert answer.status_code in NO_OPERATION, (
                f"{method} {path} is not described: {answer.status_code}"
            )
            return
        about = f"{method} {found.path} {answer.status_code}"
        assert answer.headers.get("x-request-id"), about
        response = found.description["responses"].get(str(answer.status_code))
        assert response is not None, f"{about} is not described: {answer.text if whole else ''}"
        for name, header in response.get("headers", {}).items():
            assert not header.get("required") or name in answer.headers, f"{about} lacks {name}"
        content = response.get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if whole and answer.content and method != "HEAD":
            assert media_type in content, f"{about}: {media_type} is not described"
            if media_type.endswith("json") and "schema" in content[media_type]:
                self._check_body(found, answer, media_type, content[media_type]["schema"], about)

    def check_frame(self, path: str, frame: str) -> None:
        """Check a frame that was told on the socket at *path*."""
        name = self._channel(path)
        if name is None:
            return
        validator = self._frames.get(name)
        if validator is None:
            operations = self.channels["operations"]
            told = next(
                each
                for each in operations.values()
                if each["action"] == "send" and each["channel"]["$ref"] == f"#/channels/{name}"
            )
            kinds = [each["$ref"].rpartition("/")[2] for each in told["messages"]]
            messages = self.channels["components"]["messages"]
            schema = {"oneOf": [messages[kind]["payload"] for kind in kinds]}
            schema["components"] = self.channels["components"]
            validator = self._frames[name] = Draft202012Validator(_tight(schema))
        _demand(validator, json.loads(frame), f"a frame at {path}")

    def check_close(self, path: str, code: int) -> None:
        """Check the code that the hub has closed the socket at *path* with."""
        name = self._channel(path)
        if name is not None and code not in TRANSPORT:
            assert str(code) in self.channels["channels"][name]["x-close-codes"], f"{path} closed by {code}"

    def _find(self, method: str, path: str) -> Call | None:
        fitting = [
            call for pattern, call in self._operations if call.method == method and pattern.fullmatch(path)
        ]
        return min(fitting, key=lambda call: call.path.count("{"), default=None)

    def _channel(self, path: str) -> str | None:
        for name, channel in self.channels["channels"].items():
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(channel["address"])), path):
                return str(name)
        return None

    def _check_body(
        self, call: Call, answer: httpx2.Response, media_type: str, schema: dict[str, Any], about: str
    ) -> None:
        key = call.method, call.path, answer.status_code, media_type
        validator = self._validators.get(key)
        if validator is None:
            whole = {**_tight(schema), "unevaluatedProperties": False, "components": self._components}
            validator = self._validators[key] = Draft202012Validator(whole)
        _demand(validator, answer.json(), about)


def _demand(validator: Draft202012Validator, instance: object, about: str) -> None:
    error = best_match(validator.iter_errors(instance))
    assert error is None, f"{about}: {error.message} at {list(error.absolute_path)} in {instance}"


def _tight(schema: Any, name: str = "") -> Any:
    """Return a schema that lets no member pass which it does not describe.

    A problem is part of a composed schema, which is closed as a whole.
    """
    if isinstance(schema, list):
        return [_tight(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: _tight(part, key) for key, part in schema.items()}
    if tight.get("type") == "object" and "properties" in tight and name != "Problem":
        tight.setdefault("additionalProperties", False)
    return tight


def _loaded(url: str) -> dict[str, Any]:
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        document: dict[str, Any] = json.load(answer)
    return document


@cache
def _documents(hub: HubProcess) -> Documents:
    return Documents(hub.url)


def documents(url: str) -> Documents | None:
    """Return the documents of the hub that answers at the origin of *url*, None where there is none."""
    parts = urlsplit(url)
    hub = HubProcess.at.get(f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}")
    return _documents(hub) if hub else None
