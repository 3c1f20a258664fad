"""The pictures of the READMEs are those that the script takes, and small."""

import re
from pathlib import Path

import pytest

from tests import pictures

ROOT = Path(__file__).parents[2]
READMES = {"en": "README.md", "zh-CN": "README.zh-CN.md"}
LIMIT = 60_000  # bytes


def test_each_picture_is_there_and_small() -> None:
    """The folder holds what the script takes, and nothing else; each is a WebP picture under the limit."""
    files = {path.name: path.read_bytes() for path in pictures.FOLDER.iterdir()}
    assert set(files) == set(pictures.names())
    for name, content in files.items():
        assert (content[:4], content[8:12]) == (b"RIFF", b"WEBP"), name
        assert len(content) < LIMIT, name


@pytest.mark.parametrize("language", READMES)
def test_a_readme_shows_all_pictures_of_its_language(language: str) -> None:
    """Each is shown, light and dark, with words for who cannot see it."""
    text = (ROOT / READMES[language]).read_text("utf-8")
    shown = re.findall(r'(?:src|srcset)="hub/docs/pictures/([^"]+)"', text)
    assert sorted(shown) == sorted(name for name in pictures.names() if f".{language}." in name)
    assert all(len(words) > 10 for words in re.findall(r'<img alt="([^"]*)"', text))
    assert text.count("<img ") == text.count("<img alt=")
