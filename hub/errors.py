"""The whole error tree; each class is one problem slug, one status and, for sockets, one close code.

    HubError
    ├─ BadRequest 400            └ InvalidCode, WechatCodeRefused
    ├─ InvalidRequest 422, PayloadTooLarge 413, UnsupportedMediaType 415
    ├─ Unauthorized 401          └ InvalidRefreshToken 401, InvalidCredentials 401
    ├─ Forbidden 403             └ OriginNotAllowed, CsrfFailed, GrantRequired, BindingMismatch,
    │                              AccountBlocked, SignInRefused, ChallengeRequired,
    │                              ReauthRequired
    ├─ NotFound 404              └ AttemptNotFound
    ├─ MethodNotAllowed 405
    ├─ Conflict 409              └ AlreadyClaimed, AlreadyRedeemed, AlreadyBound, NotConfirmed, WrongState,
    │                              ConfirmationRequired, NumberTaken, WechatBound, WechatNeeded,
    │                              UsernameTaken, LastSignInMethod
    ├─ Gone 410                  └ AttemptExpired, AttemptFailed
    ├─ RateLimited 429           └ TooManySockets, CodeLocked, PasswordLocked
    ├─ InternalError 500
    ├─ ProviderFailed 502
    └─ Unavailable 503           └ StoreUnavailable, ProviderAway, SmsBudgetSpent

Services raise them, the edges turn them into RFC 9457 problem bodies, error frames or close codes. What a
person reads comes from the catalogue keys `problem.<slug>` and, for a refused member, `reason.<reason>`; the
`reason` of an exception is for the log and never leaves it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

Reason = Literal[
    "missing",
    "repeated",
    "wrong_type",
    "wrong_form",
    "not_listed",
    "too_short",
    "too_long",
    "too_few",
    "too_many",
    "too_small",
    "too_large",
    "not_allowed",
    "control_characters",
    "invisible",
    "future_day",
    "no_country",
    "no_phone",
    "no_mobile",
    "other_country",
    "no_sms_there",
    "no_email",
    "phone_or_email",
    "code_or_password",
    "no_refresh_token",
    "password_length",
    "password_common",
    "password_own_name",
    "password_weak",
    "password_needed",
    "username_form",
    "door_unknown",
    "door_not_for_binding",
    "door_needs_our_page",
    "redirect_not_allowed",
    "pkce_needed",
]


class FieldError(NamedTuple):
    """One refused member of a request: its dotted path, and why: the key of a text, with its values."""

    field: str
    reason: Reason
    values: Mapping[str, object] = {}


class HubError(Exception):
    """The root: *reason* goes to the log, *retry_after* (seconds) to the client."""

    slug: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    close_code: ClassVar[int] = 4500

    def __init__(
        self,
        reason: str = "",
        *,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.headers = headers or {}


class BadRequest(HubError):
    """The body or the query cannot be read at all."""

    slug, status = "bad-request", 400


class InvalidCode(BadRequest):
    """The one-time code is wrong, used, replaced or old; which one (*expired*) is only for the log."""

    slug = "invalid-code"

    def __init__(self, reason: str = "", *, expired: bool = False) -> None:
        super().__init__(reason)
        self.expired = expired


class WechatCodeRefused(BadRequest):
    """WeChat does not take the code that a mini program got from it: wrong, used or too old."""

    slug = "wechat-code-refused"


class InvalidRequest(HubError):
    """The request can be read, but members are missing, of the wrong type, too long or not allowed."""

    slug, status = "invalid-request", 422

    def __init__(self, errors: Sequence[FieldError], reason: str = "") -> None:
        super().__init__(reason)
        self.errors = list(errors)


class PayloadTooLarge(HubError):
    """The body is over the limit."""

    slug, status = "payload-too-large", 413


class UnsupportedMediaType(HubError):
    """The body's media type is not the one this endpoint reads."""

    slug, status = "unsupported-media-type", 415


class Unauthorized(HubError):
    """No access token, or one that does not verify (RFC 6750 section 3)."""

    slug, status, close_code = "unauthorized", 401, 4401


class InvalidRefreshToken(Unauthorized):
    """The refresh token is forged, old, ended or of an ended session; which one is only for the log."""

    slug = "invalid-refresh-token"


class InvalidCredentials(Unauthorized):
    """The password is not that of the account, or there is no such account."""

    slug = "invalid-credentials"


class Forbidden(HubError):
    """The caller may not do this."""

    slug, status = "forbidden", 403


class OriginNotAllowed(Forbidden):
    """The Origin header names a site that is not in ALLOWED_ORIGINS."""

    slug = "origin-not-allowed"


class CsrfFailed(Forbidden):
    """The X-CSRF-Token header does not belong to the page's cookie."""

    slug = "csrf-failed"


class GrantRequired(Forbidden):
    """The caller is not the phone that scanned this attempt first."""

    slug = "grant-required"


class BindingMismatch(Forbidden):
    """The verifier or the binding cookie is not that of the browser which began the attempt."""

    slug = "binding-mismatch"


class AccountBlocked(Forbidden):
    """The account is banned or inactive."""

    slug = "account-blocked"


class SignInRefused(Forbidden):
    """Others have said of the browser's address that it was not them."""

    slug = "sign-in-refused"


class ChallengeRequired(Forbidden):
    """A code is sent only to who has solved the challenge, and this one has not."""

    slug = "challenge-required"


class ReauthRequired(Forbidden):
    """The last real sign-in is too long ago for this change."""

    slug = "reauth-required"


class NotFound(HubError):
    """There is nothing here."""

    slug, status, close_code = "not-found", 404, 4500


class AttemptNotFound(NotFound):
    """No sign-in attempt answers to this id or code."""

    slug = "attempt-not-found"


class MethodNotAllowed(HubError):
    """The address exists, the method does not."""

    slug, status = "method-not-allowed", 405


class Conflict(HubError):
    """The request does not fit the state of things."""

    slug, status = "conflict", 409


class AlreadyClaimed(Conflict):
    """Another phone has scanned this attempt."""

    slug = "already-claimed"


class AlreadyRedeemed(Conflict):
    """This confirmed attempt has given out its tokens."""

    slug = "already-redeemed"


class AlreadyBound(Conflict):
    """This identity belongs to another account."""

    slug = "already-bound"


class NumberTaken(Conflict):
    """The phone number that WeChat gave is another account's; accounts are never made one."""

    slug = "number-taken"


class WechatBound(Conflict):
    """Another identity of the same WeChat app is bound to the account."""

    slug = "wechat-bound"


class WechatNeeded(Conflict):
    """Only WeChat can answer this attempt; an app that is signed in cannot."""

    slug = "wechat-needed"


class NotConfirmed(Conflict):
    """The phone has not confirmed yet."""

    slug = "not-confirmed"


class ConfirmationRequired(Conflict):
    """Something about this sign-in is unusual: it is confirmed only by a second, explicit step."""

    slug = "confirmation-required"


class WrongState(Conflict):
    """The attempt's state does not allow this move."""

    slug = "wrong-state"


class UsernameTaken(Conflict):
    """Another account has this username."""

    slug = "username-taken"


class LastSignInMethod(Conflict):
    """Without this binding nobody could sign in to the account any more."""

    slug = "last-sign-in-method"


class Gone(HubError):
    """It was here, and is over."""

    slug, status = "gone", 410


class AttemptExpired(Gone):
    """The attempt's deadline has passed."""

    slug, close_code = "attempt-expired", 4510


class AttemptFailed(Gone):
    """The attempt was declined, cancelled, reported or refused."""

    slug, close_code = "attempt-failed", 4511


class RateLimited(HubError):
    """Too many of these in too short a time; `retry_after` says when to come back."""

    slug, status, close_code = "rate-limited", 429, 4429


class TooManySockets(RateLimited):
    """This address or this attempt holds as many sockets as it may."""

    slug = "too-many-sockets"


class CodeLocked(RateLimited):
    """This asker has tried too often; others may go on."""

    slug = "code-locked"


class PasswordLocked(RateLimited):
    """Too many wrong passwords in a row: only devices that signed in before may use it, until it is reset."""

    slug = "password-locked"


class InternalError(HubError):
    """A defect of ours; the caller learns nothing of it but the request id."""

    close_code = 1011


class ProviderFailed(HubError):
    """WeChat answered with an error, with garbage, or not at all."""

    slug, status = "provider-failed", 502


class Unavailable(HubError):
    """A part the request needs is away for the moment."""

    slug, status, close_code = "unavailable", 503, 1013

    def __init__(self, reason: str = "", *, retry_after: float = 3.0) -> None:
        super().__init__(reason, retry_after=retry_after)


class StoreUnavailable(Unavailable):
    """The database is away, or too busy to take the work within the wait."""

    slug = "store-unavailable"


class ProviderAway(Unavailable):
    """WeChat is needed for this, and has no answer for the moment."""

    slug = "provider-away"


class SmsBudgetSpent(Unavailable):
    """The day's SMS are used up: a fuse against those who are paid for each SMS that we send them."""

    slug = "sms-budget-spent"


def kinds() -> dict[str, type[HubError]]:
    """Return every class of the tree by its slug."""
    found: dict[str, type[HubError]] = {}
    left: list[type[HubError]] = [HubError]
    while left:
        kind = left.pop()
        found[kind.slug] = kind
        left += kind.__subclasses__()
    return found
