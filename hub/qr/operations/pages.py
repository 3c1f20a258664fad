"""The pages that people see."""

from hub.errors import NotFound
from hub.qr.official_account.links import PATH as LINKS
from hub.qr.operations.fields import AT, QR_CODE
from hub.web.operations import PAGE, Answer, Auth, Nothing, Operation
from hub.web.shapes import Raw

SIGN_IN_PAGE = Operation(
    method="GET",
    path="/",
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
    lenient={
        "door": "How a phone is to come in.",
        "redirect_uri": "As in the call that begins an attempt.",
        "state": "As in the call that begins an attempt.",
        "code_challenge": "As in the call that begins an attempt.",
    },
)
ACCOUNT_PAGE = Operation(
    method="GET",
    path="/account",
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
)
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
    method="GET",
    path="/s/{qr_code}",
    path_parameters=QR_CODE,
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
LINK = Operation(
    method="GET",
    path=f"{LINKS}{{link}}",
    path_parameters={"link": "The one-time link of the reply to a scan."},
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
CALLBACK = Operation(
    method="GET",
    path=f"{AT}/callback",
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    lenient={"code": "What WeChat gives for a consent.", "state": "The consent, as the hub has signed it."},
    answers=_LANDING,
)
PROBLEM = Operation(
    method="GET",
    path="/problems/{slug}",
    path_parameters={"slug": "The problem, as its `type` names it."},
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
    problems=(NotFound,),
)
