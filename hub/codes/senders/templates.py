"""Which template of an SMS provider carries which message: carriers in China pass no free text."""

from collections.abc import Iterable
from typing import NamedTuple

from hub.codes.messages import Message
from hub.codes.senders.port import Misconfigured


class Template(NamedTuple):
    """A template as registered with the provider; *fields* are the values it takes, in its order."""

    id: str
    fields: tuple[str, ...]

    def values(self, message: Message) -> list[tuple[str, str]]:
        """Return the names and values it takes of *message*. Raises Misconfigured for one that it lacks."""
        given = message.values()
        try:
            return [(name, given[name]) for name in self.fields]
        except KeyError:
            raise Misconfigured("template fields") from None


class Templates:
    """Entries such as `login_code=SMS_1/code`, `login_code:en=SMS_2/code/minutes` or `*=SMS_3`.

    `*` stands for every message that carries a code; without fields a template takes the code alone.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._known: dict[str, Template] = {}
        for entry in entries:
            key, _, value = entry.partition("=")
            identity, *fields = value.split("/")
            self._known[key] = Template(identity, tuple(fields) or ("code",))

    def find(self, message: Message) -> Template:
        """Return the template for *message*, rather in its language. Raises Misconfigured."""
        names = [message.template, *(["*"] if message.code is not None else [])]
        for name in names:
            for key in (f"{name}:{message.language}", name):
                if key in self._known:
                    return self._known[key]
        raise Misconfigured("no template")
