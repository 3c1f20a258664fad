"""Making the tokens of a session from its row."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hub.tokens.claims import AccessTokens
from hub.tokens.keys import RefreshKeys
from hub.tokens.rotation import build
from hub.tokens.session import TokenPair


class Issuer:
    """Issues tokens; *idle* is how long a session lives without use."""

    def __init__(self, access_tokens: AccessTokens, refresh_keys: RefreshKeys, idle: timedelta) -> None:
        self.access_tokens = access_tokens
        self.refresh_keys = refresh_keys
        self.idle = idle

    def pair(
        self,
        session: Mapping[str, Any],
        generation: int,
        now: datetime,
        ended: tuple[str, ...] = (),
        event_seq: int = 0,
    ) -> TokenPair:
        """Return a fresh access token, and the one refresh token of *generation*.

        *session* holds the columns of its own row, and role and email of the account's.
        """
        access_token, expires_in = self.access_token(session, now)
        left = min(self.idle, session["expires_at"] - now)
        return TokenPair(
            access_token=access_token,
            refresh_token=build(self.refresh_keys, session["sid"], generation, session["salt"]),
            expires_in=expires_in,
            refresh_expires_in=int(left.total_seconds()),
            session_id=session["sid"],
            user_id=session["user_id"],
            ended=ended,
            event_seq=event_seq,
        )

    def access_token(self, session: Mapping[str, Any], now: datetime) -> tuple[str, int]:
        """Return a fresh access token, and its life in seconds."""
        return self.access_tokens.issue(
            user_id=session["user_id"],
            sid=session["sid"],
            role=session["role"],
            email=session["email"],
            amr=(session["amr"] or "").split(),
            auth_time=session["auth_time"],
            now=now,
            until=session["expires_at"],
        )
