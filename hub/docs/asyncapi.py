"""The AsyncAPI 3.0 document: the sockets with their frames and close codes, and the event streams."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from hub.docs.names import identity, tag, told
from hub.docs.openapi import needed, sentence
from hub.docs.shapes import Shapes, members
from hub.web.operations import Auth, Channel, ChannelRoute, Operation, OperationRoute
from hub.web.sockets import FRAME_LIMIT, SUBPROTOCOL, Ping

_DESCRIPTION = f"""\
What the hub tells those who wait. Frames are JSON texts of at most {FRAME_LIMIT} bytes with a `type`. The
subprotocol `{SUBPROTOCOL}` is accepted, and not demanded. A frame in error is answered by an `error` frame,
and the third one closes the socket. Close codes from 1001 to 4499 ask the client to come back, with jitter;
those from 4500 on do not. The server pings about every 20 seconds. The event streams tell the same frames
over HTTP, each with its `seq` as `id`.
"""


def asyncapi(
    channels: Sequence[ChannelRoute],
    streams: Sequence[OperationRoute],
    *,
    title: str,
    version: str,
    base_url: str,
) -> dict[str, Any]:
    """Return the document; *streams* are the operations that answer with events."""
    shapes = Shapes(
        [Ping, *(kind for route in channels for kind in route.channel.takes)],
        [
            *(shape for route in channels for shape in route.channel.sends),
            *(shape for route in streams for shape in route.operation.events),
        ],
    )
    described: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for route in channels:
        _socket(route, described, operations)
    for stream in streams:
        _stream(stream, described, operations)
    messages = {
        kind.__name__: {"name": kind.__name__, "summary": sentence(kind), "payload": shapes[kind]}
        for kind in shapes
    }
    address = urlsplit(base_url)
    secure = address.scheme == "https"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "sockets": {"host": address.netloc, "protocol": "wss" if secure else "ws"},
            "streams": {"host": address.netloc, "protocol": address.scheme},
        },
        "channels": described,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": needed(messages, shapes.definitions),
            "securitySchemes": {
                Auth.ACCESS_TOKEN.value: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token (RFC 9068).",
                }
            },
        },
    }


def _socket(route: ChannelRoute, channels: dict[str, Any], operations: dict[str, Any]) -> None:
    channel, name = route.channel, identity(route.endpoint)
    summary, description = told(route.endpoint)
    takes: list[type] = [*channel.takes, Ping]
    query = {
        member: {**schema, "description": schema.get("description", "")}
        for member, schema, _ in members(channel.asked)
    }
    channels[name] = {
        "address": channel.path,
        "title": summary,
        "description": "\n\n".join(part for part in (description, _closes(channel)) if part),
        "servers": [{"$ref": "#/servers/sockets"}],
        "parameters": _parameters(channel.path_parameters),
        "messages": {kind.__name__: _message(kind) for kind in (*takes, *channel.sends)},
        "tags": [{"name": tag(route.endpoint)}],
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": query},
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {
            str(code): {"meaning": meaning, "comeBack": 1000 < code < 4500}
            for code, meaning in sorted(channel.closes.items())
        },
        "x-refusals": {
            f"/problems/{kind.slug}": {"status": kind.status, "meaning": sentence(kind)}
            for kind in channel.refusals
        },
    }
    operations[f"{name}Take"] = _operation("receive", name, takes, "What a client says.")
    operations[f"{name}Tell"] = _operation("send", name, channel.sends, "What a client is told.")


def _stream(route: OperationRoute, channels: dict[str, Any], operations: dict[str, Any]) -> None:
    operation: Operation[Any, Any] = route.operation
    name = identity(route.endpoint)
    summary, description = told(route.endpoint)
    channels[name] = {
        "address": operation.path,
        "title": summary,
        "description": description or f"Server-sent events; the call is {name} of `/openapi.json`.",
        "servers": [{"$ref": "#/servers/streams"}],
        "parameters": _parameters(operation.path_parameters),
        "messages": {kind.__name__: _message(kind) for kind in operation.events},
        "tags": [{"name": tag(route.endpoint)}],
    }
    told_to = _operation("send", name, operation.events, "The events.")
    told_to["bindings"] = {"http": {"method": "GET", "bindingVersion": "0.3.0"}}
    if operation.auth == (Auth.ACCESS_TOKEN,):
        told_to["security"] = [{"$ref": f"#/components/securitySchemes/{Auth.ACCESS_TOKEN.value}"}]
    operations[f"{name}Tell"] = told_to


def _operation(action: str, channel: str, kinds: Sequence[type], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds],
    }


def _parameters(named: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": about} for name, about in named.items()}


def _message(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{kind.__name__}"}


def _closes(channel: Channel[Any]) -> str:
    lines = (f"- {code}: {meaning}" for code, meaning in sorted(channel.closes.items()))
    return "\n".join(("Close codes:", "", *lines))
