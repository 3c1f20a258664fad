"""E-mail by SMTP: TLS from the start or by STARTTLS, one connection per message."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Final, Literal

import aiosmtplib

from hub.codes.messages import Message
from hub.codes.senders.port import Misconfigured, Permanent, SendFailed, Temporary
from hub.codes.texts import mail
from hub.resolver import resolve

Security = Literal["tls", "starttls", "none"]

_STEP_LIMIT: Final = 10.0


class SmtpSender:
    """Sends through the server *host*:*port*, signed in where a *username* is given.

    *sender* is the From address, `name@example.com` or `Some Name <name@example.com>`; *call_limit* is the
    longest that sending may take, in seconds.
    """

    name = "smtp"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security,
        username: str,
        password: str,
        sender: str,
        site: str,
        call_limit: float = 15.0,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._username = username
        self._password = password
        self._sender = sender
        self._site = site
        self._call_limit = call_limit
        self._tls = None if security == "none" else ssl.create_default_context()

    async def send(self, message: Message, reference: str) -> None:
        """Send one e-mail; its Message-ID is made of *reference*, so a mailbox knows one that comes twice."""
        letter = self._letter(message, reference)

        async def hand_over(client: aiosmtplib.SMTP) -> None:
            await client.send_message(letter)

        await self._connected(hand_over)

    async def check(self) -> None:
        """See that the server is the right one, and lets us sign in."""

        async def sign_in(_: aiosmtplib.SMTP) -> None:
            return  # connecting does

        await self._connected(sign_in)

    async def _connected(self, act: Callable[[aiosmtplib.SMTP], Awaitable[None]]) -> None:
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username or None,
            password=self._password or None,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._tls,
            local_hostname=self._domain,
            timeout=_STEP_LIMIT,
        )
        done = False
        try:
            async with asyncio.timeout(self._call_limit):
                await resolve(self._host)
                async with client:
                    await act(client)
                    done = True
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, TimeoutError) as error:
            if not done:  # else only the goodbye failed
                raise _failure(error) from None
        finally:
            client.close()

    @property
    def _domain(self) -> str:
        return parseaddr(self._sender)[1].rpartition("@")[2]

    def _letter(self, message: Message, reference: str) -> EmailMessage:
        body = mail(message, self._site)
        letter = EmailMessage(policy=SMTP)
        try:
            letter["To"] = Address(addr_spec=message.to)
        except (ValueError, IndexError):
            raise Permanent("address") from None
        letter["From"] = self._sender
        letter["Subject"] = body.subject
        letter["Date"] = formatdate()
        letter["Message-ID"] = f"<{reference}@{self._domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(body.text)
        letter.add_alternative(body.html, subtype="html")
        return letter


def _failure(error: Exception) -> SendFailed:
    """Say what an error means: 4xx and network trouble pass, a refused recipient does not."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        if not 500 <= error.code < 600:
            return Temporary(f"smtp {error.code}")
        refused = isinstance(error, aiosmtplib.SMTPRecipientRefused)
        return (Permanent if refused else Misconfigured)(f"smtp {error.code}")
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in (error, error.__cause__)):
        return Misconfigured("certificate")
    if isinstance(error, OSError | TimeoutError):
        return Temporary("unreachable")
    return Misconfigured("not supported")  # STARTTLS or a way to sign in, the server says
