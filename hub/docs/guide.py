"""The guides: the Markdown files of `hub/docs/guides`, as pages of the hub."""

import re
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.assets import folder

NAMES: Final = (
    "embed",
    "wechat",
    "production",
    "operations",
    "migration",
    "threats",
    "calls",
    "sandbox",
)
"""The guides, in the order in which they are listed."""

_OTHER_GUIDE = re.compile(r"([a-z]+)(?:\.([A-Za-z-]+))?\.md(#.*)?")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_READER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")


class Guide(NamedTuple):
    """A guide as it is shown: *html* is safe, and begins with the heading that *title* is."""

    name: str
    language: str
    title: str
    lead: str
    html: str


@cache
def guide(name: str, language: str) -> Guide:
    """Return the guide *name* in *language*, in English where there is no translation.

    Raises FileNotFoundError for a name that is none of NAMES.
    """
    if name not in NAMES:
        raise FileNotFoundError(name)
    path = folder("docs/guides") / f"{name}.{language}.md"
    if not path.is_file():
        path, language = path.with_name(f"{name}.md"), "en"
    tokens = _READER.parse(path.read_text("utf-8"))
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(following.content))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", address(str(child.attrGet("href"))))
    title, lead = (_words(token) for token in [each for each in tokens if each.type == "inline"][:2])
    return Guide(name, language, title, lead, _READER.renderer.render(tokens, _READER.options, {}))


def anchor(heading: str) -> str:
    """Return the fragment that leads to a heading, as code hosts make it of a Markdown file's headings."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")


def address(href: str) -> str:
    """Return where a link leads in the hub: from one file to another it leads from page to page."""
    found = _OTHER_GUIDE.fullmatch(href)
    if found is None:
        return href
    name, language, fragment = found.groups()
    return f"/docs/guides/{name}{f'?lang={language}' if language else ''}{fragment or ''}"


def _words(token: Token) -> str:
    return "".join(child.content if child.content else " " for child in token.children or ())
