"""What is put on record of attempts that were refused."""

from dataclasses import replace

import structlog

from hub.audit.log import Reason, Status
from hub.audit.reports import Reports
from hub.audit.rules import Signal
from hub.audit.signals import Signals
from hub.errors import HubError
from hub.qr.attempt import Attempt
from hub.wechat.errors import Blocked, CodeRefused, WeChatError

log = structlog.stdlib.get_logger("hub.qr")


class Refusals:
    """Writes the login log; what it cannot write it only tells of, for the answer has been committed."""

    def __init__(self, signals: Signals, reports: Reports) -> None:
        self._signals = signals
        self._reports = reports

    async def record(
        self, attempt: Attempt, status: Status, reason: Reason, raised: tuple[Signal, ...] = ()
    ) -> None:
        """Put a refused try on record; it came from the browser that waits."""
        if attempt.purpose == "bind":  # nobody tried to sign in
            return
        try:
            await self._signals.failed(
                user_id=attempt.user_id,
                account=attempt.scanned_by,
                method="wechat",
                status=status,
                reason=reason,
                device=attempt.browser,
                raised=raised,
            )
        except HubError as error:  # the answer has been committed; it must not look refused
            log.warning("login_log_failed", attempt=attempt.id, reason=error.reason)

    async def record_refusal(self, attempt: Attempt, error: WeChatError | None) -> None:
        """Put on record that WeChat has named nobody: by *error*, None where its answer got lost."""
        nobody = replace(attempt, scanned_by=None, user_id=None)  # who scanned may be somebody else
        match error:
            case Blocked():
                await self.record(nobody, "blocked", "account_blocked")
            case CodeRefused():
                await self.record(nobody, "failed", "invalid_code")
            case _:
                await self.record(nobody, "failed", "network_error")

    async def report(self, attempt: Attempt, subject: str) -> None:
        """Note that *subject* does not know the browser of *attempt*."""
        try:
            logged = attempt.purpose == "login"  # else nobody tried to sign in
            await self._reports.report(subject, attempt.user_id, attempt.browser, logged=logged)
        except HubError as error:
            log.warning("report_failed", attempt=attempt.id, reason=error.reason)
