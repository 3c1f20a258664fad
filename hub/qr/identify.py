"""Whose account a confirmed attempt is for."""

import json
from dataclasses import replace
from datetime import datetime

from hub.accounts.identities import Identity, find_or_create, refuse_foreign
from hub.errors import AccountBlocked
from hub.qr.attempt import Attempt
from hub.store.database import Connection


async def identify(tx: Connection, attempt: Attempt, now: datetime) -> Attempt:
    """Find or make the account of the person whom a confirmed attempt names, and return the attempt with it.

    Part of the transaction that confirms. An attempt to bind is only marked: its identity, which must be no
    other account's, stays with it for the initiator to bind. Raises AccountBlocked or AlreadyBound.
    """
    identity = Identity.from_profile(attempt.profile)
    if attempt.initiator_user_id is not None:
        user = await tx.one("qr.user", id=attempt.initiator_user_id)
        if user is None or user["status"] != "active":
            raise AccountBlocked(f"user {attempt.initiator_user_id} asked to bind")
        await refuse_foreign(tx, identity, attempt.initiator_user_id)
        return attempt
    user = await find_or_create(tx, identity, now)
    named = replace(  # some doors tell no name; the account may have one
        identity,
        nickname=identity.nickname or user["nickname"],
        avatar_url=identity.avatar_url or user["avatar_url"],
    )
    await tx.changed("qr.identify", id=attempt.id, user_id=user["id"], provider_profile=without_tokens(named))
    return replace(attempt, user_id=user["id"], profile=replace(named, tokens=None).profile())


def without_tokens(identity: Identity) -> str:
    """Return the profile of an identity whose row keeps the tokens now, as it stays with the attempt."""
    return json.dumps(replace(identity, tokens=None).profile(), ensure_ascii=False)
