"""What every page must keep: no inline code, nothing unescaped, readable colours, little weight."""

import re

import pytest

from hub.assets import folder
from tests.unit import rendered

FEW_SEE = ("admin.css", "api.css", "guides.css")  # for operators and developers
INK_ON_GROUND = [
    ("ink", "canvas"),
    ("ink", "surface"),
    ("ink", "sunk"),
    ("ink-soft", "canvas"),
    ("ink-soft", "surface"),
    ("ink-soft", "sunk"),
    ("brand", "surface"),
    ("brand", "canvas"),
    ("on-go", "go"),
    ("on-stop", "stop"),
    ("success", "sunk"),
    *((tone, f"{tone}-soft") for tone in ("success", "warning", "danger", "ink-soft")),
    ("warning", "surface"),
]
SHAPE_ON_GROUND = [("accent", "surface"), ("accent", "canvas"), ("edge", "surface"), ("focus", "surface")]
SHAPE_ON_GROUND += [("focus", "canvas"), ("go", "surface"), ("stop", "surface")]


def test_pages_hold_no_inline_code() -> None:
    """No page has a script or style of its own, or an attribute that is one: the policy would refuse it."""
    for page in rendered.pages():
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", page.html), (
            page.name
        )


def test_pages_escape_what_people_type() -> None:
    """A hostile nickname, picture address or account name stays text."""
    for page in rendered.pages():
        assert "<script>alert" not in page.html
        if page.name == "confirm.html":
            assert "&lt;script&gt;alert" in page.html


def test_pages_name_their_language() -> None:
    """Screen readers learn which language to speak, in the card that stands on any site's page as well."""
    for page in rendered.pages():
        if "<html" in page.html or page.name == "card.html":  # else it is a part of one
            assert re.search(rf'<(html|section) [^>]*lang="{page.language}"', page.html), page.name


def test_confirm_page_warns_of_a_mismatch() -> None:
    """The warning is there exactly where phone and browser are in different places."""
    warned = [
        'data-tone="danger" role="alert"' in page.html for page in rendered.pages() if "confirm" in page.name
    ]
    assert warned == [False, False, True, True] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_keep_their_contrast(scheme: str) -> None:
    """Text has 4.5:1 and shapes 3:1 against their ground (WCAG 2.2, 1.4.3 and 1.4.11), by day and night."""
    colours = _tokens(scheme)
    weak = [(a, b) for a, b in INK_ON_GROUND if _contrast(colours[a], colours[b]) < 4.5]
    weak += [(a, b) for a, b in SHAPE_ON_GROUND if _contrast(colours[a], colours[b]) < 3]
    assert weak == []


def test_colours_are_named_once() -> None:
    """Below the tokens no rule has a colour of its own, but the white that a QR code needs to be read."""
    css = (folder("static") / "hub.css").read_text("utf-8")
    rules = css[css.index("/* Ground */") :]
    rules += "".join(rendered.asset(f"{page}.css") for page in ("sign-in", "account", "admin"))
    assert set(re.findall(r"#[0-9a-f]{3,8}\b|rgba?\([^)]*\)", rules)) == {"#fff"}


def test_every_token_is_defined() -> None:
    """No style asks for a custom property that none sets."""
    css = "".join(map(rendered.asset, ("hub.css", "sign-in.css", "account.css", *FEW_SEE)))
    assert set(re.findall(r"var\((--[\w-]+)", css)) <= set(re.findall(r"(--[\w-]+):", css))


def test_what_browsers_load_weighs_little() -> None:
    """All that lies in `static/`, pictures aside, stays under 60 KB together, as it lies there."""
    files = [path for path in folder("static").rglob("*") if path.is_file() and path.suffix != ".svg"]
    assert len(files) > 10
    assert sum(path.stat().st_size for path in files) < 60_000


def _tokens(scheme: str) -> dict[str, str]:
    css = (folder("static") / "hub.css").read_text("utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\);", css)
    colours = {name: light if scheme == "light" else dark for name, light, dark in found}
    (share,) = re.findall(r"--tone-soft: color-mix\(in srgb, var\(--tone\) (\d+)%, var\(--surface\)\)", css)
    for tone in ("success", "warning", "danger", "ink-soft"):
        colours[f"{tone}-soft"] = _mixed(colours[tone], colours["surface"], int(share) / 100)
    return colours


def _mixed(first: str, second: str, share: float) -> str:
    mixed = (
        round(a * share + b * (1 - share)) for a, b in zip(_channels(first), _channels(second), strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _contrast(first: str, second: str) -> float:
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _channels(colour: str) -> tuple[int, ...]:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    return tuple(int(digits[i : i + 2], 16) for i in (0, 2, 4))


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
