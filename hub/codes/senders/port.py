"""What every sender does, and how it says that it could not."""

from abc import abstractmethod
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
