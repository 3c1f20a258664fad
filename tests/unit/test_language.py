"""Which language a caller is answered in."""

import pytest
from starlette.requests import HTTPConnection

from hub.web.language import language, negotiate, translate


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "zh-CN"),
        ("en", "en"),
        ("EN-gb", "en"),
        ("zh-TW,en;q=0.9", "zh-CN"),
        ("en;q=0.8, zh;q=0.9", "zh-CN"),
        ("zh;q=0.1, en;q=0.2", "en"),
        ("en;Q=0.2, zh;Q=0.1", "en"),
        ("fr", "zh-CN"),
        ("fr, en;q=0.5", "en"),
        ("en, zh", "en"),
        ("zh, en", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("zh;q=0, *", "en"),
        ("en;q=0.5, *;q=0.8", "zh-CN"),
        ("en-US;q=0.1, zh;q=0.5, en;q=0.9", "en"),
    ],
)
def test_the_heaviest_known_language_wins(header: str, expected: str) -> None:
    """Weights are compared, `*` stands for what is not named, and Chinese is the default."""
    assert negotiate(header) == expected


@pytest.mark.parametrize(
    "header",
    ["en;q=nan", "en;q=inf", "en;q=-1", "en;q=2", "en;q=1e3", "en;q=", "en;level=1", "\xff\xfe", "e n"],
)
def test_a_malformed_range_counts_for_nothing(header: str) -> None:
    """A range that RFC 9110 does not know is skipped, and what stands beside it still counts."""
    assert negotiate(header) == "zh-CN"
    assert negotiate(f"{header}, en;q=0.1") == "en"


def test_a_header_of_any_length_is_read_in_part() -> None:
    """Only the first twenty ranges are looked at."""
    assert negotiate("fr," * 19 + "en") == "en"
    assert negotiate("fr," * 20 + "en") == "zh-CN"


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [("", "en", "en"), ("lang=zh-CN", "en", "zh-CN"), ("lang=en", "zh-CN", "en"), ("lang=fr", "en", "en")],
)
def test_the_query_wins_over_the_header(query: str, header: str, expected: str) -> None:
    """`?lang=` decides where it names a language that there is."""
    connection = HTTPConnection(
        {"type": "http", "query_string": query.encode(), "headers": [(b"accept-language", header.encode())]}
    )
    assert language(connection) == expected


def test_a_parameter_is_taken_as_it_is() -> None:
    """What is filled in is never read as a placeholder itself."""
    assert translate("en", "page.confirm.heading.login", site="{retry_after}") == "Sign in to {retry_after}?"
