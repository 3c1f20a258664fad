"""A mail server on a free port that keeps what it is given, and fails as it is told."""

import asyncio
import datetime
import email
import email.policy
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.providers import Fault

USER, PASSWORD = "hub@example.com", "mail-password"


class MailServer:
    """Takes mail with STARTTLS and sign-in where *context* is given, in clear text otherwise.

    With *implicit* the connection begins with TLS.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, implicit: bool = False) -> None:
        self.context = context
        self.implicit = implicit
        self.port = 0
        self.fault: Fault = ""
        self.count = -1
        self.calls = 0
        self.mails: list[EmailMessage] = []

    def fail(self, fault: Fault, count: int = -1) -> None:
        """Fail from now on, the next *count* connections where that is given."""
        self.fault, self.count = fault, count

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve on the running loop."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self._protocol, "127.0.0.1", ssl=self.context if self.implicit else None
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    def _protocol(self) -> asyncio.Protocol:
        self.calls += 1
        fault = self.fault if self.count else ""
        self.count -= 1
        if fault in ("garbage", "empty", "html", "slow"):
            return _Broken(b"" if fault == "slow" else b"<h1>Service Unavailable</h1>\r\n")
        protocol: asyncio.Protocol = SMTP(
            _Handler(self, fault),
            hostname="mail.test",
            tls_context=None if self.implicit else self.context,
            require_starttls=bool(self.context) and not self.implicit,
            auth_required=bool(self.context) and not self.implicit,
            auth_require_tls=not self.implicit,  # it does not see that the transport is TLS already
            authenticator=_authenticate,
            loop=asyncio.get_running_loop(),
        )
        return protocol


class _Broken(asyncio.Protocol):
    """Says *greeting* to everybody, and nothing more."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._greeting)


class _Handler:
    def __init__(self, server: MailServer, fault: Fault) -> None:
        self._server = server
        self._fault = fault

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._fault == "unpaid":
            return "550 5.7.1 you may not send from here"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._fault == "refused":
            return "550 5.1.1 no such mailbox"
        if self._fault == "limited":
            return "450 4.2.1 the mailbox gets too much mail"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._fault == "busy":
            return "451 4.3.0 try again"
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        assert envelope.rcpt_tos == [address.addr_spec for address in mail["to"].addresses]
        self._server.mails.append(mail)
        return "250 OK"


def _authenticate(server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=data == right, handled=False)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1; return the server's context and the file that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "mail.pem", folder / "mail.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
