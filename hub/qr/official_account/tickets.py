"""What the codes of the official account say: the address of one of WeChat's own QR codes."""

import math

from hub.errors import ProviderAway
from hub.wechat.account import OfficialAccount
from hub.wechat.errors import BackOff, WeChatError


class Tickets:
    """Makes a ticket for each attempt, with its `qr_code` as the scene; a `Content`."""

    def __init__(self, account: OfficialAccount) -> None:
        self._account = account

    async def content(self, qr_code: str, expires_in: float) -> str:
        """Return the address, good for *expires_in* seconds. Raises ProviderAway, or StoreUnavailable."""
        try:
            ticket = await self._account.create_qr(qr_code, math.ceil(expires_in))
        except BackOff as error:
            raise ProviderAway(error.reason, retry_after=error.retry_after) from None
        except WeChatError as error:
            raise ProviderAway(error.reason) from None
        return ticket.url
