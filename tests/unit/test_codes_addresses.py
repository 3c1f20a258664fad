"""Numbers and e-mail addresses in their one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.codes.addresses import calling_code, email, phone
from hub.errors import InvalidRequest

CHINESE = "+8613800138000"


@pytest.mark.parametrize(
    ("number", "country_code", "expected"),
    [
        ("13800138000", None, CHINESE),
        ("13800138000", "+86", CHINESE),
        ("13800138000", "86", CHINESE),
        ("+8613800138000", None, CHINESE),
        ("8613800138000", "+86", CHINESE),
        ("008613800138000", None, CHINESE),
        (" 138 0013-8000 ", None, CHINESE),
        ("１３８００１３８０００", None, CHINESE),
        ("１３８\u3000００１３－８０００", "＋８６", CHINESE),
        ("\u202d+86 138 0013 8000\u202c", None, CHINESE),
        ("\u202a13800138000\u202c", "+86", CHINESE),
        ("013800138000", None, CHINESE),
        ("+86 (0)138 0013 8000", None, CHINESE),
        ("+14155552671", None, "+14155552671"),
        ("(415) 555-2671", "+1", "+14155552671"),
        ("51234567", "+852", "+85251234567"),
        ("９１２３４５６７", "＋８５２", "+85291234567"),
        ("07400 123456", "+44", "+447400123456"),
    ],
)
def test_a_number_has_one_form(number: str, country_code: str | None, expected: str) -> None:
    """However it is written, a mobile number comes out in E.164."""
    assert phone(number, country_code) == expected


@pytest.mark.parametrize(
    ("number", "country_code"),
    [
        ("", None),
        ("10086", None),
        ("1380013800", None),
        ("138001380000", None),
        ("010 1234 5678", None),
        ("13800138000 ext 7", None),
        ("13800138000;ext=7", None),
        ("tel:13800138000", None),
        ("1-800-FLOWERS", "+1"),
        ("+1 800 555 0100", None),
        ("a@example.com", None),
        (CHINESE, "+1"),
        ("13800138000", "+999"),
        ("13800138000", "CN"),
        ("13800138000", "+"),
        ("+9991234567", None),
        ("- ().-", None),
    ],
)
def test_what_is_no_mobile_number_is_refused(number: str, country_code: str | None) -> None:
    """Short numbers, landlines, toll-free ones, extensions and other countries' numbers get no code."""
    with pytest.raises(InvalidRequest) as refused:
        phone(number, country_code)
    assert refused.value.errors[0].field in ("phone", "country_code")


def test_a_range_that_is_new_is_possible() -> None:
    """A number of the right length, in a range that no table knows yet, may get a code."""
    assert phone("10000000001") == "+8610000000001"


@given(st.text(max_size=40), st.none() | st.text(max_size=8))
def test_any_text_is_a_number_or_is_refused(number: str, country_code: str | None) -> None:
    """Nothing that a client sends is a defect, and what is accepted is accepted again as it comes out."""
    try:
        found = phone(number, country_code)
    except InvalidRequest:
        return
    assert phone(found) == found


def test_a_number_tells_its_calling_code() -> None:
    """The calling code is that of the number, not of its spelling."""
    assert calling_code(CHINESE) == "+86"
    assert calling_code("+14155552671") == "+1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Li.Na@Example.COM", "li.na@example.com"),
        (" li@example.com\t", "li@example.com"),
        ("li+news@example.com", "li+news@example.com"),
        ("li@例子.公司", "li@xn--fsqu00a.xn--55qx5d"),
        ("li@XN--FSQU00A.XN--55QX5D", "li@xn--fsqu00a.xn--55qx5d"),
    ],
)
def test_an_address_has_one_form(text: str, expected: str) -> None:
    """Addresses that compare equal are equal: case-folded, with the domain in ASCII."""
    assert email(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "li",
        "li@",
        "@example.com",
        "li@localhost",
        "li@[192.0.2.7]",
        '"li na"@example.com',
        "Li Na <li@example.com>",
        "李@example.com",
        "li@example.com\nbcc: all@example.com",
        "l\u0130@example.com",
        f"{'x' * 65}@example.com",
        f"li@{'x' * 63}.{'y' * 63}.{'z' * 63}.{'w' * 63}.example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing gets through that a mail server could read as more or less than one plain address."""
    with pytest.raises(InvalidRequest):
        email(text)


@given(st.text(max_size=60) | st.emails())
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    """Nothing that a client sends is a defect, and the one form is stable and fits its column."""
    try:
        found = email(text)
    except InvalidRequest:
        return
    assert email(found) == found == found.casefold()
    assert len(found) <= 254
