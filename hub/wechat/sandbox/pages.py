"""How the sandbox's pages are made: templates, its own small catalogue, its own strict headers."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hub.web.language import language
from hub.wechat.sandbox.clock import Clock

FOLDER: Final = Path(__file__).parent
# Links, not forms, lead to other hosts: a form's redirects are held to form-action as well.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_HEADERS: Final = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@cache
def catalogue(lang: str) -> dict[str, str]:
    """Return the flat key → text catalogue of *lang*, read once per process."""
    return dict(json.loads((FOLDER / "lang" / f"{lang}.json").read_text("utf-8")))


def catalogue_text(request: Request, key: str) -> str:
    """Return the text of *key* in the reader's language."""
    return catalogue(language(request))[key]


class Pages:
    """Renders the templates of the sandbox in the reader's language."""

    def __init__(self, clock: Clock, app_name: str) -> None:
        self._clock = clock
        self._app_name = app_name
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, request: Request, name: str, status: int = 200, *, embeddable: bool = False, **context: Any
    ) -> HTMLResponse:
        """Return the page *name*; each template has `t(key, …)`, `lang`, `root`, `app_name`, `clock` (HH:MM).

        With *embeddable* any site may show it in a frame.
        """
        lang = language(request)

        def t(key: str, **params: object) -> str:
            return catalogue(lang)[key].format_map(params)

        html = self._templates.get_template(name).render(
            t=t,
            lang=lang,
            root=request.scope["root_path"],
            **{"tab": "", "said": "", "app_name": self._app_name, "path": request.url.path, **context},
            clock=self._clock.now().astimezone().strftime("%H:%M"),
        )
        policy = _POLICY.format(ancestors="*" if embeddable else "'none'")
        return HTMLResponse(html, status, headers={**_HEADERS, "content-security-policy": policy})
