"""Redemption: the browser that began a confirmed attempt swaps it, once, for tokens."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from prometheus_client import Counter

from hub.audit.signals import Noted, Signals
from hub.errors import (
    AccountBlocked,
    AlreadyRedeemed,
    AttemptExpired,
    AttemptFailed,
    BindingMismatch,
    HubError,
    NotConfirmed,
    StoreUnavailable,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.identifiers import hashed, s256
from hub.qr.states import Status
from hub.store.database import Connection
from hub.tokens.clients import Client
from hub.tokens.errors import InvalidGrant
from hub.tokens.rotation import REUSE_WINDOW
from hub.tokens.service import Device, Sessions, TokenPair

REDEEMED = Counter("hub_qr_redemptions_total", "Redemptions of confirmed attempts", ["result"])

AMR = ("wechat",)
_TRIES = 3  # one is enough, two beside a confirmation; more only where a replica lags behind


class SignedIn(NamedTuple):
    """The outcome of a redemption."""

    tokens: TokenPair
    noted: Noted
    user: Mapping[str, Any]


def challenge_binding(challenge: str) -> str:
    """Return the stored form of a PKCE challenge."""
    return f"S256:{challenge}"


def cookie_binding(secret: str) -> str:
    """Return the stored form of a browser's binding secret."""
    return f"cookie:{hashed(secret)}"


def proves(binding: str, verifier: str | None, secret: str | None) -> bool:
    """Tell in constant time whether the verifier or the secret belongs to *binding* (RFC 7636, 4.6)."""
    if binding.startswith("S256:"):
        given = challenge_binding(s256(verifier)) if verifier else ""
    else:
        given = cookie_binding(secret) if secret else ""
    return hmac.compare_digest(binding.encode(), given.encode())


class Redemption:
    """Redeems attempts: over `POST /api/auth/wechat/token`, or by the redirect's code at `/oauth/token`."""

    def __init__(self, attempts: Attempts, sessions: Sessions, signals: Signals) -> None:
        self._attempts = attempts
        self._sessions = sessions
        self._signals = signals

    async def by_session(
        self, session_id: str, device: Device, *, verifier: str | None, secret: str | None
    ) -> SignedIn:
        """Redeem for the browser that proves itself by PKCE verifier or binding secret.

        Raises AttemptNotFound, BindingMismatch (nothing is consumed), NotConfirmed, AlreadyRedeemed,
        AttemptExpired, AttemptFailed, AccountBlocked.
        """
        attempt = await self._attempts.by_session(session_id)
        if not proves(attempt.binding, verifier, secret):
            await self._mismatch(attempt, device)
            raise BindingMismatch("wrong verifier or cookie")
        return await self._redeem(attempt, device)

    async def by_code(
        self, code: str, redirect_uri: str, device: Device, *, verifier: str | None, client: Client | None
    ) -> SignedIn:
        """Redeem the authorization code of a redirect (RFC 6749, 4.1.3; RFC 7636, 4.5).

        A code whose attempt has a challenge needs the verifier; one without needs the authenticated *client*
        that owns the redirect URI, and takes no verifier: somebody has then taken the challenge out of the
        client's own request (RFC 9700, 2.1.1). Raises InvalidGrant for whatever is wrong, and nothing is
        consumed. A code that comes again with its proof ends the session it has opened (RFC 6749, 4.1.2).
        """
        row = await self._attempts.store.one("qr.by_code_hash", code_hash=hashed(code))
        attempt = Attempt.from_row(row) if row else None
        if attempt is None or attempt.redirect_uri != redirect_uri:
            raise InvalidGrant("unknown code, or another redirect_uri")
        if attempt.binding.startswith("S256:"):
            if not proves(attempt.binding, verifier, None):
                await self._mismatch(attempt, device)
                raise InvalidGrant("wrong code_verifier")
        elif client is None:
            raise InvalidGrant("a code without challenge needs client authentication")
        elif verifier is not None:
            raise InvalidGrant("a code_verifier for a code without challenge")
        if client is not None and redirect_uri not in client.redirect_uris:
            raise InvalidGrant("the redirect_uri is not this client's")
        try:
            return await self._redeem(attempt, device, client.client_id if client else None, by_code=True)
        except StoreUnavailable:
            raise
        except AlreadyRedeemed as error:
            await self._replayed(attempt.id, device)
            raise InvalidGrant(error.slug) from error
        except HubError as error:
            raise InvalidGrant(error.slug) from error

    async def redirect_url(self, session_id: str, secret: str | None) -> str | None:
        """Return where a confirmed attempt's browser is to go, None where no redirect is due.

        A cookie-bound attempt shows it only to its cookie.
        """
        attempt = await self._attempts.by_session(session_id)
        confirmed = attempt.status is Status.CONFIRMED and self._attempts.store.now() < attempt.expires_at
        if attempt.redirect_uri is None or attempt.purpose != "login" or not confirmed:
            return None
        if attempt.binding.startswith("cookie:") and not proves(attempt.binding, None, secret):
            return None
        answer = {"code": self._attempts.made.authorization_code(attempt.session_seed, attempt.key)}
        if attempt.state is not None:
            answer["state"] = attempt.state
        parts = urlsplit(attempt.redirect_uri)
        query = f"{parts.query}&{urlencode(answer)}" if parts.query else urlencode(answer)
        return urlunsplit(parts._replace(query=query))

    async def _redeem(
        self, attempt: Attempt, device: Device, client_id: str | None = None, *, by_code: bool = False
    ) -> SignedIn:
        store = self._attempts.store
        for _ in range(_TRIES):
            now = store.now()
            try:
                signed_in = await store.write(partial(self._open, attempt, device, client_id, by_code, now))
            except AccountBlocked:  # all of it was rolled back, so the offence is recorded by itself
                REDEEMED.labels("blocked").inc()
                attempt = await self._attempts.by_id(attempt.id)
                await self._signals.failed(
                    user_id=attempt.user_id,
                    account=attempt.scanned_by,
                    method="wechat",
                    status="blocked",
                    reason="account_blocked",
                    device=device,
                )
                raise
            if signed_in is not None:
                await self._sessions.announce(signed_in.tokens)
                await self._signals.announce(signed_in.noted)
                REDEEMED.labels("success").inc()
                return signed_in
            attempt = await self._attempts.by_id(attempt.id)
            refusal = refused(attempt, store.now())
            if refusal is not None:  # else it was confirmed just after we tried
                REDEEMED.labels("refused").inc()
                raise refusal
        raise StoreUnavailable(f"attempt {attempt.id} reads as it was before a change")

    async def _open(
        self,
        attempt: Attempt,
        device: Device,
        client_id: str | None,
        by_code: bool,
        now: datetime,
        tx: Connection,
    ) -> SignedIn | None:
        """Mark the attempt and open the session; None where the mark is refused."""
        if not await tx.changed("qr.redeem", id=attempt.id, redeemed_at=now):
            return None
        # Not by what was read before the mark: the person may have confirmed, and been made known, since.
        user = await tx.one("qr.redeemer", id=attempt.id)
        if user is None:
            raise AccountBlocked(f"the account of attempt {attempt.id} is gone")
        tokens = await self._sessions.open(tx, user, device, amr=AMR, now=now, client_id=client_id)
        if by_code:
            await tx.changed("qr.redeemed_by", id=attempt.id, redeemed_sid=tokens.session_id)
        # A client's back end redeems for all its people; what may be unusual is the browser of this one.
        seen = device if client_id is None else attempt.browser
        noted = await self._signals.signed_in(
            tx, user_id=user["id"], account=user["scanned_by"], method="wechat", device=seen, now=now
        )
        return SignedIn(tokens, noted, user)

    async def _replayed(self, attempt_id: int, device: Device) -> None:
        """End the session that a code has opened which now came again, with verifier or client secret.

        Who has only seen the code proves nothing, and so cannot sign anyone out. Within seconds it is taken
        for a client that repeats a request whose answer was lost, as at a refresh, and only refused.
        """
        attempt = await self._attempts.by_id(attempt_id)
        sid, now = attempt.redeemed_sid, self._attempts.store.now()
        if sid is None or attempt.redeemed_at is None or now < attempt.redeemed_at + REUSE_WINDOW:
            return
        if not await self._sessions.has_ended(sid):
            await self._sessions.revoke(sid, "reuse_detected")
            REDEEMED.labels("replayed").inc()
            await self._signals.failed(
                user_id=attempt.user_id,
                account=attempt.scanned_by,
                method="wechat",
                reason="reuse_detected",
                device=device,
            )

    async def _mismatch(self, attempt: Attempt, device: Device) -> None:
        """Count a wrong proof; where the right one would have signed in, it is on record as well."""
        REDEEMED.labels("mismatch").inc()
        if attempt.status is Status.CONFIRMED:
            await self._signals.failed(
                user_id=attempt.user_id,
                account=attempt.scanned_by,
                method="wechat",
                reason="invalid_code",
                device=device,
            )


def refused(attempt: Attempt, now: datetime, *, purpose: str = "login") -> HubError | None:
    """Return the error that says why *attempt* cannot be redeemed for *purpose* at *now*, if so."""
    what = f"attempt {attempt.id} is {attempt.status}"
    if attempt.status is Status.FAILED:
        return AttemptFailed(what)
    if attempt.redeemed_at is not None:
        return AlreadyRedeemed(what)
    if attempt.status is Status.EXPIRED or now >= attempt.expires_at:
        return AttemptExpired(what)
    if attempt.status is not Status.CONFIRMED:
        return NotConfirmed(what)
    return None if attempt.purpose == purpose else WrongState(what)
