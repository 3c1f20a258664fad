"""What the codes of the official account say: the address of one of WeChat's own QR codes."""

import math
from typing import Final

from hub.errors import ProviderAway
from hub.wechat.account import OfficialAccount
from hub.wechat.errors import BackOff, TokenRefused, Unreachable

_PAUSE: Final = 3.0  # seconds after which to ask again, where WeChat says nothing of it


class Tickets:
    """Makes a ticket for each attempt, with its `qr_code` as the scene; a `Content`."""

    def __init__(self, account: OfficialAccount) -> None:
        self._account = account

    async def content(self, qr_code: str, expires_in: float) -> str:
        """Return the address, good for *expires_in* seconds.

        Raises ProviderAway, ProviderFailed where only the operator can mend it, or StoreUnavailable.
        """
        try:
            ticket = await self._account.create_qr(qr_code, math.ceil(expires_in))
        except (BackOff, TokenRefused, Unreachable) as error:
            raise ProviderAway(error.reason, retry_after=error.retry_after or _PAUSE) from None
        return ticket.url
