"""What it takes that a person's *confirm* counts: a second, explicit step, or more than anybody can give.

A cross-device sign-in can be begun by a stranger who sends the code on (RFC 10027). So where phone and
browser are in different places, or somebody did not know a browser at that address, the person has to say in
so many words that the browser is in front of them; and where several have reported it, nobody is signed in.
"""

from collections.abc import Callable

from hub.audit.reports import Reports
from hub.audit.rules import Caution
from hub.errors import ConfirmationRequired, SignInRefused
from hub.qr.attempt import Attempt


class Precautions:
    """*mismatch* tells whether an attempt's browser and an address are known to be in different places.

    With *limited* off, reports demand nothing.
    """

    def __init__(self, reports: Reports, mismatch: Callable[[Attempt, str], bool], *, limited: bool) -> None:
        self._reports = reports
        self._mismatch = mismatch
        self._limited = limited

    async def check(self, attempt: Attempt, ip: str, *, on_page: bool, acknowledged: bool) -> None:
        """Raise SignInRefused, or ConfirmationRequired where the second step was left out at *ip*.

        Of an app a mismatch of places alone demands nothing: it learns of it when it scans.
        """
        caution = Caution.NONE
        if self._limited:
            caution = await self._reports.caution(attempt.ip_address)
        if caution is Caution.REFUSE:
            raise SignInRefused(f"attempt {attempt.id} is from a reported address")
        elsewhere = on_page and self._mismatch(attempt, ip)
        if (elsewhere or caution is Caution.ACKNOWLEDGE) and not acknowledged:
            raise ConfirmationRequired(f"attempt {attempt.id}: elsewhere={elsewhere} caution={caution.value}")
