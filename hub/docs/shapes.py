"""Types as JSON Schema (2020-12), under one set of names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

Mode = Literal["validation", "serialization"]
Schema = dict[str, Any]

PREFIX = "#/components/schemas/"


class Shapes:
    """Describes *asked*, the types of what comes in, and *told*, those of what goes out."""

    def __init__(self, asked: Iterable[type], told: Iterable[type]) -> None:
        wanted: list[tuple[type, Mode, TypeAdapter[Any]]] = [
            *((shape, "validation", TypeAdapter(shape)) for shape in dict.fromkeys(asked)),
            *((shape, "serialization", TypeAdapter(shape)) for shape in dict.fromkeys(told)),
        ]
        found, rest = TypeAdapter.json_schemas(wanted, ref_template=f"{PREFIX}{{model}}")
        self._schemas = {shape: _plain(schema) for (shape, _), schema in found.items()}
        self.definitions: dict[str, Schema] = {
            name: _plain(schema) for name, schema in rest.get("$defs", {}).items()
        }

    def __getitem__(self, shape: type) -> Schema:
        """Return the schema of one of the types."""
        schema: Schema = self._schemas[shape]
        return schema

    def __iter__(self) -> Iterator[type]:
        """Yield the types."""
        return iter(self._schemas)


def members(model: type[BaseModel]) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the name, schema and necessity of each member of a query or form, where no null can be given."""
    schema = _plain(model.model_json_schema())
    for name, member in schema.get("properties", {}).items():
        given = [each for each in member.pop("anyOf", ()) if each != {"type": "null"}]
        if member.get("default", ...) is None:
            del member["default"]
        yield name, {**member, **(given[0] if given else {})}, name in schema.get("required", ())


def references(document: object) -> set[str]:
    """Return the names of all definitions that a document refers to."""
    if isinstance(document, Mapping):
        found: set[str] = set().union(*(references(part) for part in document.values()))
        target = document.get("$ref")
        if isinstance(target, str) and target.startswith(PREFIX):
            found.add(target.removeprefix(PREFIX))
        return found
    if isinstance(document, list | tuple):
        return set().union(*(references(part) for part in document))
    return set()


def _plain(schema: Any) -> Any:
    """Drop the titles, which only repeat the names."""
    if isinstance(schema, dict):
        return {
            name: _plain(part)
            for name, part in schema.items()
            if not (name == "title" and isinstance(part, str))
        }
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    return schema
