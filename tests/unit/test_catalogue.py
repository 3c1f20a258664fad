"""The texts people read: both languages whole, and every text that is asked for is there."""

import re
from pathlib import Path
from typing import get_args

import pytest

from hub.assets import folder
from hub.errors import Reason, kinds
from hub.web import language, pages
from hub.web.language import LANGUAGES, catalogue, translate
from tests.unit import rendered

PLACEHOLDER = re.compile(r"\{\w*\}")
PAGE_TEXT = re.compile(r'<template data-text="([^"]+)">(.*?)</template>', re.DOTALL)
ADDRESS = re.compile(r"<code>[A-Z]+ /[^<]*</code>")
CODE = re.compile(r"<code[^>]*>.*?</code>", re.DOTALL)
SCRIPTS = {
    "sign_in.html": ("sign-in.js", "login-hub.js", "forms.js"),
    "card.html": ("login-hub.js", "forms.js"),
    "confirm.html": ("confirm.js",),
    "account.html": ("account.js", "forms.js"),
    "admin.html": ("admin.js", "forms.js"),
}
SAID = {"sign_in.html": "sign_in", "card.html": "sign_in", "account.html": "account"}  # what `say` speaks of


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys that templates ask for while the test runs."""
    keys: set[str] = set()

    def translate_and_note(lang: str, key: str, /, **params: object) -> str:
        keys.add(key)
        return translate(lang, key, **params)

    monkeypatch.setattr(pages, "translate", translate_and_note)
    return keys


def test_languages_have_the_same_keys() -> None:
    """No language lacks a text that another has."""
    first, *others = (set(catalogue(lang)) for lang in LANGUAGES)
    assert all(first == other for other in others)


def test_languages_have_the_same_placeholders() -> None:
    """A text takes the same values in every language."""
    for key in catalogue(LANGUAGES[0]):
        found = {lang: sorted(PLACEHOLDER.findall(catalogue(lang)[key])) for lang in LANGUAGES}
        assert len(set(map(tuple, found.values()))) == 1, (key, found)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_catalogue_is_sorted_and_filled(lang: str) -> None:
    """Keys stand in order, so that two changes meet in one place, and no text is blank."""
    texts = catalogue(lang)
    assert list(texts) == sorted(texts)
    assert [key for key, text in texts.items() if not text.strip()] == []


def test_catalogue_files_are_the_known_languages() -> None:
    """Every file in `hub/web/lang/` is a language that can be chosen."""
    files: list[Path] = sorted(folder("web/lang").iterdir())
    assert [file.name for file in files] == sorted(f"{lang}.json" for lang in language.LANGUAGES)


def test_every_problem_has_its_texts() -> None:
    """Each slug has a message, a title and an explanation, and no text is left of a slug that is gone."""
    wanted = {f"problem.{slug}{part}" for slug in kinds() for part in ("", ".title", ".text")}
    assert {key for key in catalogue("en") if key.startswith("problem.")} == wanted


def test_every_reason_has_its_text() -> None:
    """Each reason for which a member is refused has words, and none is left of a reason that is gone."""
    wanted = {f"reason.{reason}" for reason in get_args(Reason)}
    assert {key for key in catalogue("en") if key.startswith("reason.")} == wanted


def test_limits_say_how_long_to_wait() -> None:
    """The message of a limit tells the seconds, in the wording clients know."""
    assert translate("zh-CN", "problem.rate-limited", retry_after=42) == "请 42 秒后再试"
    assert "42" in translate("en", "problem.too-many-sockets", retry_after=42)


def test_pages_render_without_a_gap() -> None:
    """Every page renders in every variant, with each placeholder filled but those left to the scripts."""
    for page in rendered.pages():
        shown = CODE.sub("", page.html) if page.name == "guide.html" else page.html
        assert PLACEHOLDER.search(ADDRESS.sub("", PAGE_TEXT.sub("", shown))) is None, page.name


def test_no_page_text_lies_idle(asked: set[str]) -> None:
    """A text that no page asks for any more is gone from the catalogue."""
    list(rendered.pages())
    assert {key for key in catalogue("en") if key.startswith(("page.", "problem."))} <= asked


def test_pages_carry_what_their_scripts_say() -> None:
    """Each key that a page's script, or a module it shares, asks for is in that page."""
    for page in rendered.pages():
        if page.name not in SCRIPTS:
            continue
        source = "".join(rendered.asset(name) for name in SCRIPTS[page.name])
        keys = set(re.findall(r'"(page\.[a-z_.]+)"', source))
        said = re.findall(r'\bsay\("([a-z_.]+)"', source)
        keys |= {f"page.{SAID[page.name]}.{key}" for key in said}
        assert keys, "the script asks for nothing"
        assert keys <= {key for key, _ in PAGE_TEXT.findall(page.html)}


def test_sign_in_page_explains_every_failure() -> None:
    """The sign-in page has words for each reason that the state machine can give."""
    for page in rendered.pages():
        if page.name == "sign_in.html":
            carried = {key for key, _ in PAGE_TEXT.findall(page.html)}
            assert {f"page.sign_in.failed.{reason}" for reason in rendered.REASONS} <= carried


def test_chinese_is_chinese() -> None:
    """Every zh-CN text has at least one Chinese character: none was forgotten in English."""
    assert [key for key, text in catalogue("zh-CN").items() if not re.search(r"[\u4e00-\u9fff]", text)] == []
