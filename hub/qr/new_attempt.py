"""What a browser asks for, and the row that it becomes."""

from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from hub.qr import identifiers
from hub.qr.attempt import Attempt
from hub.qr.identifiers import Identifiers, hashed
from hub.qr.states import ROTATING_DOORS, Lifetimes, Status
from hub.store.database import Connection, Store


class Initiator(NamedTuple):
    """Who asked to bind: the account, and the session in which it did."""

    user_id: int | None = None
    sid: str | None = None


class NewAttempt(NamedTuple):
    """What a browser asks for; `binding` is `S256:<challenge>` or `cookie:<hash of the binding secret>`.

    With an *initiator* the purpose is to bind, else to sign in. *cookie_hash* names the browser's binding
    cookie at doors that lead back to that browser.
    """

    door: str
    binding: str
    ip_address: str
    user_agent: str
    redirect_uri: str | None = None
    state: str | None = None
    initiator: Initiator = Initiator()
    cookie_hash: str | None = None

    @property
    def purpose(self) -> str:
        """What a confirmation is for: `bind` or `login`."""
        return "bind" if self.initiator.sid else "login"


class Code(NamedTuple):
    """A visible code, and what its picture says where that is not the landing page's address."""

    code: str
    content: str | None


class Content(Protocol):
    """A door whose codes do not say the landing page's address."""

    async def content(self, qr_code: str, expires_in: float) -> str:
        """Return what the picture of *qr_code* says. Raises ProviderAway or ProviderFailed."""
        ...


async def insert(
    tx: Store | Connection, made: Identifiers, lives: Lifetimes, new: NewAttempt, code: Code, now: datetime
) -> Attempt:
    """Write a pending attempt, and return it."""
    seed = identifiers.new_code()
    key = hashed(made.session_id(seed))
    expires_at = now + timedelta(seconds=lives.pending)
    visible = lives.visible if new.door in ROTATING_DOORS else lives.pending
    qr_expires_at = now + timedelta(seconds=visible)
    attempt_id = await tx.insert(
        "qr.create",
        session_id=key,
        session_seed=seed,
        qr_code=code.code,
        qr_content=code.content,
        qr_expires_at=qr_expires_at,
        purpose=new.purpose,
        door=new.door,
        binding=new.binding,
        cookie_hash=new.cookie_hash,
        initiator_user_id=new.initiator.user_id,
        initiator_sid=new.initiator.sid,
        redirect_uri=new.redirect_uri,
        state=new.state,
        code_hash=hashed(made.authorization_code(seed)) if new.redirect_uri else None,
        ip_address=new.ip_address,
        user_agent=new.user_agent,
        expires_at=expires_at,
        created_at=now,
    )
    return Attempt(
        id=attempt_id,
        key=key,
        session_seed=seed,
        user_id=None,
        qr_code=code.code,
        previous_qr_code=None,
        qr_expires_at=qr_expires_at,
        status=Status.PENDING,
        reason=None,
        seq=1,
        purpose=new.purpose,
        door=new.door,
        binding=new.binding,
        cookie_hash=new.cookie_hash,
        initiator_user_id=new.initiator.user_id,
        initiator_sid=new.initiator.sid,
        successor_id=None,
        redirect_uri=new.redirect_uri,
        state=new.state,
        scanned_by=None,
        qr_content=code.content,
        confirm_link=None,
        profile={},
        ip_address=new.ip_address,
        user_agent=new.user_agent,
        city=None,
        created_at=now,
        expires_at=expires_at,
        redeemed_at=None,
        redeemed_sid=None,
    )
