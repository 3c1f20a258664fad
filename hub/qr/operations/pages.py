"""The pages that people see."""

from typing_extensions import TypedDict

from hub.errors import NotFound, OriginNotAllowed
from hub.qr.official_account.links import PATH as LINKS
from hub.qr.operations.fields import AT, QR_CODE
from hub.web.operations import PAGE, Answer, Auth, Nothing, Operation
from hub.web.shapes import Raw, described


@described
class Card(TypedDict):
    """What the element `<login-hub>` shows on a page of another site."""

    html: str
    """The content of its shadow root."""
    css: str
    """The style sheet of that."""


_LEADS_BACK = {
    "door": "How a phone is to come in.",
    "redirect_uri": "As in the call that begins an attempt.",
    "state": "As in the call that begins an attempt.",
    "code_challenge": "As in the call that begins an attempt.",
    "code_challenge_method": "As in the call that begins an attempt.",
}
SIGN_IN_PAGE = Operation("GET", "/", Nothing, Raw, answers=(PAGE,), lenient=_LEADS_BACK)
CARD = Operation(
    "GET",
    "/api/card",
    Nothing,
    Card,
    problems=(OriginNotAllowed,),
    lenient={**_LEADS_BACK, "methods": "The ways to offer, of scan, phone, email, password; all by default."},
)
ACCOUNT_PAGE = Operation("GET", "/account", Nothing, Raw, answers=(PAGE,))
_LANDING = (
    PAGE,
    Answer(302, "To WeChat's consent", headers={"Location": "WeChat's page."}),
    Answer(303, "To the page where it goes on", headers={"Location": "That page."}),
    Answer(404, "A page: there is no such attempt", ("text/html",)),
    Answer(410, "A page: the attempt is over", ("text/html",)),
    Answer(429, "A page: come back later", ("text/html",)),
    Answer(502, "A page: WeChat is away", ("text/html",)),
    Answer(503, "A page: come back later", ("text/html",)),
)
LAND = Operation(
    "GET",
    "/s/{qr_code}",
    Nothing,
    Raw,
    path_parameters=QR_CODE,
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
LINK = Operation(
    "GET",
    f"{LINKS}{{link}}",
    Nothing,
    Raw,
    path_parameters={"link": "The one-time link of the reply to a scan."},
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
CALLBACK = Operation(
    "GET",
    f"{AT}/callback",
    Nothing,
    Raw,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    lenient={"code": "What WeChat gives for a consent.", "state": "The consent, as the hub has signed it."},
    answers=_LANDING,
)
PROBLEM = Operation(
    "GET",
    "/problems/{slug}",
    Nothing,
    Raw,
    path_parameters={"slug": "The problem, as its `type` names it."},
    answers=(PAGE,),
    problems=(NotFound,),
)
