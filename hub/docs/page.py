"""What the page of the API shows of the documents."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hub.docs.shapes import PREFIX, references

Document = Mapping[str, Any]


class Field(NamedTuple):
    """One member or parameter: *kind* is its type in words, *shape* the name of the one it leads to."""

    name: str
    place: str
    kind: str
    shape: str | None
    required: bool
    about: str


class Reply(NamedTuple):
    """One answer of a call."""

    status: str
    about: str
    media_types: tuple[str, ...]
    fields: tuple[Field, ...]
    problems: tuple[str, ...]


class Call(NamedTuple):
    """One call: how to make it, and what comes of it."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    auth: tuple[str, ...]
    fields: tuple[Field, ...]
    replies: tuple[Reply, ...]


class Message(NamedTuple):
    """One frame."""

    name: str
    about: str
    fields: tuple[Field, ...]


class Line(NamedTuple):
    """One socket or event stream; *closes* are close codes with what they mean."""

    id: str
    path: str
    protocol: str
    summary: str
    takes: tuple[Message, ...]
    tells: tuple[Message, ...]
    closes: tuple[tuple[str, str], ...]


def calls(document: Document) -> dict[str, list[Call]]:
    """Return the calls of an OpenAPI document, by tag."""
    found: dict[str, list[Call]] = {tag["name"]: [] for tag in document["tags"]}
    definitions = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            found[call["tags"][0]].append(_call(path, method, call, definitions))
    return found


def shapes(document: Document) -> dict[str, tuple[Field, ...]]:
    """Return the members of each shape that another one leads to."""
    definitions = document["components"]["schemas"]
    found = {name: tuple(_members(schema, definitions)) for name, schema in definitions.items()}
    named = {field.shape for fields in found.values() for field in fields}
    for methods in document["paths"].values():
        for call in methods.values():
            for field in _call("", "", call, definitions).fields:
                named.add(field.shape)
            for reply in _call("", "", call, definitions).replies:
                named |= {field.shape for field in reply.fields}
    return {name: fields for name, fields in found.items() if name in named}


def lines(document: Document) -> list[Line]:
    """Return the sockets and event streams of an AsyncAPI document."""
    found = []
    components = document["components"]
    for name, channel in document["channels"].items():
        told: dict[str, tuple[Message, ...]] = {"send": (), "receive": ()}
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                told[operation["action"]] = tuple(
                    _frame(components, each["$ref"].rpartition("/")[2]) for each in operation["messages"]
                )
        socket = channel["servers"][0]["$ref"].endswith("sockets")
        closes = tuple((code, each["meaning"]) for code, each in channel.get("x-close-codes", {}).items())
        protocol = "WS" if socket else "SSE"
        found.append(
            Line(name, channel["address"], protocol, channel["title"], told["receive"], told["send"], closes)
        )
    return found


def _frame(components: Document, name: str) -> Message:
    message = components["messages"][name]
    return Message(name, message["summary"], tuple(_members(message["payload"], components["schemas"])))


def _call(path: str, method: str, call: Document, definitions: Document) -> Call:
    fields = [
        Field(
            each["name"], each["in"], *_kind(each["schema"]), each.get("required", False), each["description"]
        )
        for each in call["parameters"]
    ]
    for content in call.get("requestBody", {}).get("content", {}).values():
        fields += _members(content["schema"], definitions)
    return Call(
        call["operationId"],
        method.upper(),
        path,
        call["summary"],
        call.get("description", ""),
        tuple(next(iter(each), "") for each in call["security"]),
        tuple(fields),
        tuple(_reply(status, reply, definitions) for status, reply in call["responses"].items()),
    )


def _reply(status: str, reply: Document, definitions: Document) -> Reply:
    content = reply.get("content", {})
    fields: tuple[Field, ...] = ()
    problems: tuple[str, ...] = ()
    for schema in (each.get("schema", {}) for each in content.values()):
        if "allOf" in schema:
            problems = tuple(
                slug.removeprefix("/problems/") for slug in schema["allOf"][1]["properties"]["type"]["enum"]
            )
        else:
            data = schema.get("properties", {}).get("data", schema)
            fields = tuple(_members(data, definitions))
    return Reply(status, reply["description"], tuple(content), fields, problems)


def _members(schema: Document, definitions: Document) -> Iterator[Field]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix(PREFIX)]
    for name, member in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        yield Field(name, "", *_kind(member), required, member.get("description", ""))


def _kind(schema: Document) -> tuple[str, str | None]:
    """Return a type in words, and the shape that it leads to."""
    shape = min(references(schema), default=None)
    return _words(schema), shape


def _words(schema: Document) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(PREFIX))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " | ".join(_words(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_words(schema.get('items', {}))}[]"
    return str(schema.get("type", "any"))
