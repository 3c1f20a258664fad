"""What is sent to a person: a template by name, with its code and parameters."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

Kind = Literal["sms", "email"]

# Each template with its parameters beside the code; a purpose of codes has the template `<purpose>_code`.
TEMPLATES: Mapping[str, frozenset[str]] = {
    "login_code": frozenset({"minutes"}),
    "register_code": frozenset({"minutes"}),
    "reset_password_code": frozenset({"minutes"}),
    "bind_code": frozenset({"minutes"}),
    "verify_code": frozenset({"minutes"}),
    "security_alert": frozenset({"device", "place", "time"}),
}


class Message(NamedTuple):
    """One message to one person.

    *to* is a number in E.164 or an e-mail address, *template* a name of TEMPLATES, *language* one of the
    catalogue's; from *expires_at* on it is worthless and not sent any more.
    """

    to: str
    template: str
    code: str | None
    params: Mapping[str, str]
    language: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Message(template={self.template!r}, to={masked(self.to)!r})"

    def checked(self) -> "Message":
        """Return itself. Raises ValueError for a template that is unknown or not given its parameters."""
        wanted = TEMPLATES.get(self.template)
        if wanted is None or self.params.keys() != wanted:
            raise ValueError(f"the template {self.template} takes {sorted(wanted or ())}")
        if self.template.endswith("_code") != (self.code is not None):
            raise ValueError(f"the template {self.template} and its code do not fit")
        return self

    def values(self) -> dict[str, str]:
        """Return the parameters with the code among them."""
        return {**({} if self.code is None else {"code": self.code}), **self.params}

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps({**self._asdict(), "expires_at": self.expires_at.isoformat()}, ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> "Message":
        """Return what `dump` wrote."""
        members = json.loads(text)
        return cls(**{**members, "expires_at": datetime.fromisoformat(members["expires_at"])})


def masked(to: str) -> str:
    """Return an address for the log: enough to recognise it, too little to use it."""
    name, at, domain = to.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{to[:3]}***{to[-2:]}" if len(to) > 7 else "***"
