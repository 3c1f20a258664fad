"""The guides are whole: listed, linked, and readable in the hub as well as beside the code."""

import re
from pathlib import Path

import pytest

from hub.docs.guide import NAMES, address, anchor, guide
from hub.web.language import LANGUAGES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "hub" / "docs" / "guides"
FILES = [*sorted(FOLDER.glob("*.md")), *sorted(ROOT.glob("README*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def headings(path: Path) -> set[str]:
    """The anchors of a file."""
    outside = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor(line.lstrip("# ")) for line in outside.splitlines() if line.startswith("#")}


def test_every_guide_is_listed() -> None:
    """No file is left out, and none is missing."""
    assert {path.name.split(".")[0] for path in FOLDER.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_links_lead_somewhere(path: Path) -> None:
    """Each link of a file leads to a file that is there, and to a heading of it."""
    for link in LINK.findall(path.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        assert not fragment or fragment in headings(target), link


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_made_of_them(name: str, language: str) -> None:
    """A guide becomes a page with a title, a lead, and nothing that is left of the Markdown."""
    shown = guide(name, language)
    text = re.sub(r"<pre>.*?</pre>|<code>.*?</code>", "", shown.html, flags=re.DOTALL)
    assert shown.html.startswith(f'<h1 id="{anchor(shown.title)}">')
    assert len(shown.lead) > 40
    assert re.search(r"\]\(|\*\*|^#|`|\|---", text, re.MULTILINE) is None
    assert 'style="' not in shown.html


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_pages_lead_to_pages(name: str, language: str) -> None:
    """No link of a page leads to a file."""
    targets = re.findall(r'href="([^"]+)"', guide(name, language).html)
    assert all(re.match(r"https://|#|/docs/guides/[a-z]+(\?lang=\S+)?(#\S+)?$", target) for target in targets)


def test_addresses() -> None:
    """A link to another guide leads to its page, in its language, at its heading; others stay."""
    assert address("threats.md#reports") == "/docs/guides/threats#reports"
    assert address("wechat.zh-CN.md") == "/docs/guides/wechat?lang=zh-CN"
    assert address("https://example.com/a.md") == "https://example.com/a.md"


def test_what_is_not_translated_is_english() -> None:
    """A guide without a translation says which language it is in."""
    assert guide("calls", "zh-CN").language == "en"


@pytest.mark.parametrize("name", sorted(path.name.split(".")[0] for path in FOLDER.glob("*.zh-CN.md")))
def test_translations_have_the_same_commands(name: str) -> None:
    """What is to be copied is the same in each language, but for the comments of code."""

    def copied(file: str) -> list[tuple[str, str]]:
        found = re.findall(
            r"^ *```(.*?)\n(.*?)^ *```", (FOLDER / file).read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        return [(kind, "" if kind in ("js", "python") else text) for kind, text in found]

    assert copied(f"{name}.zh-CN.md") == copied(f"{name}.md") != []
