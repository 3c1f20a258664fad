"""The OpenAPI 3.1 document, made of what the endpoints declare."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any

from hub.docs.names import identity, tag, told
from hub.docs.shapes import PREFIX, Schema, Shapes, members, references
from hub.errors import HubError
from hub.web.answers import PROBLEM, Problem
from hub.web.cookies import BINDING, GRANT, REFRESH
from hub.web.operations import Answer, Auth, Operation, OperationRoute
from hub.web.shapes import Raw

_NULL = type(None)
_DESCRIPTION = """\
Every answer under `/api` is an envelope `{success, code, message, data}`. A refusal is a problem body
(RFC 9457) with the same members: its `type` says what is wrong, and its `message` is for people, in the
language of `?lang=` or `Accept-Language` (`zh-CN`, `en`). Unknown members of a request are ignored. Each GET
answers HEAD too. A method that a path does not have is answered 405, a path that there is not 404, both as
problems. WebSockets and the frames of event streams are in `/asyncapi.json`.
"""
_HEADERS: Mapping[str, str] = {
    "X-Request-ID": "The request's id, that of the request itself where it has one.",
    "RateLimit-Policy": "The limit that was counted (IETF RateLimit header draft).",
    "RateLimit": "What is left of it.",
    "Retry-After": "Seconds until it is worth another try.",
    "WWW-Authenticate": "How to authenticate (RFC 9110, RFC 6750).",
}
_LIMITED = ("RateLimit-Policy", "RateLimit")


def openapi(
    routes: Sequence[OperationRoute], *, title: str, version: str, base_url: str, cookie: Callable[[str], str]
) -> dict[str, Any]:
    """Return the document; *cookie* tells a cookie's name on the wire."""
    operations = [route.operation for route in routes]
    shapes = Shapes(
        [operation.asked for operation in operations if _reads_json(operation)],
        [
            Problem,
            *(operation.told for operation in operations if operation.told not in (Raw, _NULL)),
            *(answer.shape for each in operations for answer in each.answers if answer.shape is not None),
        ],
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.operation.path, {})[route.operation.method.lower()] = _operation(route, shapes)
    tags = sorted({tag(route.endpoint) for route in routes})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": name, "description": sys.modules[f"hub.{name}"].__doc__} for name in tags],
        "paths": paths,
        "components": {
            "schemas": needed(paths, shapes.definitions),
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
            },
            "securitySchemes": _security(cookie),
        },
    }


def _reads_json(operation: Operation[Any, Any]) -> bool:
    return bool(operation.asked.model_fields) and operation.method != "GET" and not operation.reads_form


def needed(document: object, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return those of the definitions that a document refers to, or that these refer to in turn."""
    found: set[str] = set()
    left = references(document)
    while left:
        found |= left
        left = references([definitions[name] for name in left]) - found
    return {name: definitions[name] for name in sorted(found)}


def _operation(route: OperationRoute, shapes: Shapes) -> dict[str, Any]:
    operation = route.operation
    summary, description = told(route.endpoint)
    described: dict[str, Any] = {
        "operationId": identity(route.endpoint),
        "tags": [tag(route.endpoint)],
        "summary": summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, shapes),
        "security": [{} if auth is Auth.NOBODY else {auth.value: []} for auth in operation.auth],
    }
    if description:
        described["description"] = description
    if _reads_json(operation):
        content = {"application/json": {"schema": shapes[operation.asked]}}
        described["requestBody"] = {"required": not operation.optional, "content": content}
    elif operation.reads_form:
        form = {
            "type": "object",
            "properties": {name: schema for name, schema, _ in members(operation.asked)},
        }
        described["requestBody"] = {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": form}},
        }
    return described


def _parameters(operation: Operation[Any, Any]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": operation.path_parameters[name],
            "schema": text,
        }
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    if operation.method == "GET":
        for name, schema, required in members(operation.asked):
            about = schema.pop("description", "")
            found.append(
                {"name": name, "in": "query", "required": required, "description": about, "schema": schema}
            )
    for place, named in (("query", operation.lenient), ("header", operation.headers)):
        found += [
            {"name": name, "in": place, "description": about, "schema": text} for name, about in named.items()
        ]
    return found


def _responses(operation: Operation[Any, Any], shapes: Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if operation.told is not Raw:
        headers = {name: _header(about) for name, about in operation.reply_headers.items()}
        found["200"] = {
            "description": "Success",
            "headers": {
                **_common("X-Request-ID"),
                **(_common(*_LIMITED) if operation.limited else {}),
                **headers,
            },
            "content": {"application/json": {"schema": _envelope(operation.told, shapes)}},
        }
    for answer in operation.answers:
        found[str(answer.status)] = _answer(answer, operation, shapes)
    kinds = sorted(operation.refusals, key=lambda kind: (kind.status, kind.slug))
    for status, group in groupby(kinds, lambda kind: kind.status):
        refused = _refusal(status, list(group), operation)
        beside = found.get(str(status))
        if beside is None:
            found[str(status)] = refused
        else:
            beside["content"] = {**beside.get("content", {}), **refused["content"]}
            beside["description"] = f"{beside['description']}. {refused['description']}"
    return dict(sorted(found.items()))


def _answer(answer: Answer, operation: Operation[Any, Any], shapes: Shapes) -> dict[str, Any]:
    schema = {"schema": shapes[answer.shape]} if answer.shape is not None else {}
    limited = operation.limited and answer.status < 400
    described: dict[str, Any] = {
        "description": answer.description,
        "headers": {
            **_common("X-Request-ID"),
            **(_common(*_LIMITED) if limited else {}),
            **{name: _header(about) for name, about in answer.headers.items()},
        },
    }
    if answer.media_types:
        described["content"] = dict.fromkeys(answer.media_types, schema)
    return described


def _refusal(status: int, kinds: Sequence[type[HubError]], operation: Operation[Any, Any]) -> dict[str, Any]:
    names = ["X-Request-ID"]
    if status in (429, 503):
        names.append("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    types = [f"/problems/{kind.slug}" for kind in kinds]
    schema = {"allOf": [{"$ref": f"{PREFIX}Problem"}, {"properties": {"type": {"enum": types}}}]}
    return {
        "description": " ".join(f"`{kind.slug}`: {sentence(kind)}" for kind in kinds),
        "headers": {
            **_common(*names),
            **(_common(*_LIMITED) if operation.limited and status == HTTPStatus.TOO_MANY_REQUESTS else {}),
        },
        "content": {PROBLEM: {"schema": schema}},
    }


def sentence(kind: type) -> str:
    """Return what a type's docstring says first."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _envelope(shape: type, shapes: Shapes) -> Schema:
    return {
        "type": "object",
        "required": ["success", "code", "message", "data"],
        "properties": {
            "success": {"const": True},
            "code": {"const": 200},
            "message": {"type": "string"},
            "data": {"type": "null"} if shape is _NULL else shapes[shape],
        },
    }


def _common(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(about: str) -> dict[str, Any]:
    return {"description": about, "required": True, "schema": {"type": "string"}}


def _security(cookie: Callable[[str], str]) -> dict[str, Any]:
    return {
        Auth.ACCESS_TOKEN.value: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token (RFC 9068).",
        },
        Auth.SCAN_GRANT.value: {
            "type": "http",
            "scheme": "bearer",
            "description": "The grant that a mini program's scan was answered with.",
        },
        Auth.GRANT_COOKIE.value: _cookie(cookie(GRANT), "The grant of the phone whose page confirms."),
        Auth.BINDING_COOKIE.value: _cookie(cookie(BINDING), "What binds an attempt to its browser."),
        Auth.REFRESH_COOKIE.value: _cookie(cookie(REFRESH), "The refresh token; an Origin is demanded."),
        Auth.CLIENT.value: {
            "type": "http",
            "scheme": "basic",
            "description": "A client's id and secret (RFC 6749 section 2.3.1); in the form they do as well.",
        },
    }


def _cookie(name: str, about: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "cookie", "name": name, "description": about}
