"""What every sender does, and how it says that it could not."""

from abc import abstractmethod
from datetime import UTC, datetime
from typing import Protocol

from hub.codes.messages import Message


class SendFailed(Exception):
    """The provider did not take the message; *code* is the provider's own word for it, or ours."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Temporary(SendFailed):
    """Not by this provider, not now: the next provider may take it, or this one in *retry_after* seconds."""

    def __init__(self, code: str, *, retry_after: float = 0.0) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class Misconfigured(Temporary):
    """The provider refuses us, whatever the message: keys, sign, template, balance. Operators mend it."""


class Permanent(SendFailed):
    """Nobody can bring this message to this address; it is given up."""


class Sender(Protocol):
    """Hands one message to one provider.

    A message counts as sent when the provider says that it has taken it. After a time-out nobody knows, and
    the message is sent again rather than lost.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the provider is called in settings, metrics and logs."""

    @abstractmethod
    async def send(self, message: Message, reference: str) -> None:
        """Send *message*. *reference* (22 characters of base64url) is the same at every try.

        Raises Temporary, Misconfigured or Permanent.
        """

    @abstractmethod
    async def check(self) -> None:
        """See that the provider knows us; nobody gets a message. Raises Temporary or Misconfigured."""


# A number that no provider can reach: to refuse it, keys, sign and template must be right.
_NOBODY = Message("+861", "login_code", "000000", {"minutes": "5"}, "zh-CN", datetime.max.replace(tzinfo=UTC))


async def demand_refusal(sender: Sender) -> None:
    """Have *sender* try a number that is none. Raises Temporary, or Misconfigured where it is not refused."""
    try:
        await sender.send(_NOBODY, "doctor")
    except Permanent:
        return
    raise Misconfigured("takes any number")
