"""The application's own profile fields, as the JSON Schema of the installation describes them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from hub.errors import FieldError, InvalidRequest, Reason

_REASONS: Mapping[str, Reason] = {
    "type": "wrong_type",
    "enum": "not_listed",
    "pattern": "wrong_form",
    "minLength": "too_short",
    "maxLength": "too_long",
    "minItems": "too_few",
    "maxItems": "too_many",
    "minimum": "too_small",
    "maximum": "too_large",
}


class ProfileSchema:
    """A schema (JSON Schema 2020-12) of an object; `names` are the fields that it adds to an account's own.

    A property that the account has itself (*own*) is narrowed by it. `required` says what makes a profile
    complete; no single request has to bring all of it.
    """

    def __init__(self, schema: Mapping[str, Any], own: Iterable[str]) -> None:
        """Raises ValueError for what is no schema of an object."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"no JSON Schema: {error.message}") from None
        properties = schema.get("properties", {})
        self.required: tuple[str, ...] = tuple(schema.get("required", ("nickname",)))
        self.names = tuple(name for name in properties if name not in own)
        self._narrowed = {
            name: Draft202012Validator(rule) for name, rule in properties.items() if name in own
        }
        self._defaults = {name: properties[name].get("default") for name in self.names}
        whole = {name: rule for name, rule in schema.items() if name != "required"}
        self._validator = Draft202012Validator(whole)

    @classmethod
    def load(cls, path: Path | None, own: Iterable[str]) -> Self:
        """Read the schema's file; without one an account has no other fields. Raises ValueError, OSError."""
        return cls({} if path is None else json.loads(path.read_text("utf-8")), own)

    def shown(self, members: Mapping[str, Any], stored: str | None) -> dict[str, Any]:
        """Return *members*, null where the schema does not have the value, with the stored fields beside."""
        kept = json.loads(stored) if stored else {}
        narrowed = {
            name: None
            for name, validator in self._narrowed.items()
            if name in members and not validator.is_valid(members[name])
        }
        fields = {name: kept.get(name, default) for name, default in self._defaults.items()}
        return {**members, **narrowed, **fields}

    def merged(self, stored: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stored fields with those of *given* in their place. Raises InvalidRequest."""
        kept = json.loads(stored) if stored else {}
        changed = {name: value for name, value in given.items() if name in self.names}
        merged = {name: value for name, value in {**kept, **changed}.items() if name in self.names}
        if odd := [FieldError(name, "wrong_type") for name, value in changed.items() if not _is_json(value)]:
            raise InvalidRequest(odd)
        refused = [
            FieldError(".".join(map(str, error.absolute_path)) or "profile", *_why(error))
            for error in self._validator.iter_errors(merged)
        ]
        if refused:
            raise InvalidRequest(refused)
        return merged


def _is_json(value: object) -> bool:
    """Tell whether a value can be kept: bodies are read with NaN and Infinity, which JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _why(error: ValidationError) -> tuple[Reason, Mapping[str, object]]:
    limit = error.validator_value
    told = ", ".join(map(str, limit)) if isinstance(limit, list) else limit
    return _REASONS.get(str(error.validator), "not_allowed"), {"limit": told}
