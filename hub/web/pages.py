"""Rendering the pages people see."""

from functools import partial

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hub import __version__
from hub.assets import folder
from hub.web.language import language, translate


class Pages:
    """The templates of `hub/web/templates`, in the caller's language. *site_name* is the name people know."""

    def __init__(self, site_name: str) -> None:
        self._site_name = site_name
        self._templates = Environment(
            loader=FileSystemLoader(folder("web/templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, request: Request, template: str, *, status: int = 200, **context: object
    ) -> HTMLResponse:
        """Return the page; it is never cached, for each belongs to one person and one moment."""
        html = self.html(request, template, **context)
        lang = language(request)
        headers = {"cache-control": "no-store", "content-language": lang, "vary": "Accept-Language"}
        return HTMLResponse(html, status, headers)

    def html(self, request: Request, template: str, **context: object) -> str:
        """Return what the template makes of *context*."""
        lang = language(request)
        return self._templates.get_template(template).render(
            lang=lang,
            t=partial(translate, lang),
            site_name=self._site_name,
            static_version=__version__,
            **context,
        )
