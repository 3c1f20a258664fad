"""The sender of development: it sends nothing, and the sandbox shows what it would have sent."""

import structlog

from hub.codes.messages import Message, masked

log = structlog.stdlib.get_logger("hub.senders")

CONSOLE = "console"


class ConsoleSender:
    """Takes every message and logs that it did; settings refuse it in production."""

    name = CONSOLE

    async def send(self, message: Message, reference: str) -> None:
        """Log the masked address, and no text: logs outlive codes."""
        log.info(
            "message_on_console",
            to=masked(message.to),
            template=message.template,
            reference=reference,
            read_it_at="/sandbox/messages",
        )

    async def check(self) -> None:
        """Find nothing wrong."""
