"""What the console senders have sent, for the sandbox to show."""

from hub.codes.messages import Message
from hub.codes.outbox import Outbox
from hub.codes.senders.console import CONSOLE
from hub.codes.texts import mail, sms_text

_PATIENCE = 1.0  # seconds


class ConsoleMessages:
    """Reads the outbox, so that it shows what any worker on this database has sent. *site* is its name."""

    def __init__(self, outbox: Outbox, site: str) -> None:
        self._outbox = outbox
        self._site = site

    async def listed(self, to: str) -> list[dict[str, str | None]]:
        """Return `{to, code, text, sent_at}` of each message to *to*, to anybody where it is empty.

        The newest comes first. A number is found with and without its calling code and plus sign. A message
        that was queued a moment ago is waited for, so that a script may ask right after the reply.
        """
        await self._outbox.settle(_PATIENCE)
        wanted = to.strip().casefold().lstrip("+")
        return [
            {
                "to": message.to,
                "code": message.code,
                "text": self._text(message),
                "sent_at": sent_at.isoformat(timespec="milliseconds"),
            }
            for message, sent_at in await self._outbox.kept(CONSOLE)
            if not wanted or _matches(message.to.casefold(), wanted)
        ]

    def _text(self, message: Message) -> str:
        return mail(message, self._site).text if "@" in message.to else sms_text(message, self._site)


def _matches(address: str, wanted: str) -> bool:
    return address == wanted or ("@" not in address and address.endswith(wanted))
