"""Passwords and usernames: what is accepted, and what is kept."""

import asyncio
import unicodedata

import bcrypt
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from hub.accounts.passwords import Passwords, Verified, accepted
from hub.accounts.usernames import username
from hub.errors import InvalidRequest, Unavailable


@pytest.mark.parametrize("password", ["correct horse", "密码好记却难猜呀", "xq7wz\t \u00e9", "a1b2c3d4" * 16])
def test_any_character_makes_a_password(password: str) -> None:
    """Spaces, tabs and every script count; nothing else is demanded than a length."""
    assert accepted(password) == unicodedata.normalize("NFKC", password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short 7",
        "x" * 129,
        "12345678",
        "PassWord123",
        "ｐａｓｓｗｏｒｄ",
        "Li.Na@Example.com",
        "lina1990",
    ],
)
def test_weak_passwords_are_refused(password: str) -> None:
    """Too short or long, common in any case or width, or one of the account's names."""
    with pytest.raises(InvalidRequest) as refused:
        accepted(password, ["li.na@example.com", "LiNa1990", None])
    assert refused.value.errors[0].field == "password"


@pytest.mark.parametrize("password", ["qwertyuiop12", "aaaaaaaaB1", "cdefghijk", "wang.xiaoming9", "x" * 24])
def test_strength_is_told(password: str) -> None:
    """What zxcvbn finds within a million guesses is refused; the account's names help it."""
    with pytest.raises(InvalidRequest) as refused:
        accepted(password, ["wang.xiaoming@example.com"])
    assert refused.value.errors[0].reason == "password_weak"
    assert accepted("wang.xiaoming9") == "wang.xiaoming9"


def test_the_part_before_the_at_is_a_name_too() -> None:
    """An e-mail address without its domain is no password."""
    with pytest.raises(InvalidRequest):
        accepted("li.na.1990", ["li.na.1990@example.com"])


async def test_hashes_are_argon2id_with_a_salt() -> None:
    """Two hashes of one password differ, and each verifies; none holds the password."""
    passwords = Passwords()
    first, second = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(2)))
    await passwords.stop()
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(first, "correct horse")


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    """Hashing takes no time of the event loop: other tasks run before it is done."""
    passwords = Passwords()
    hashing = asyncio.create_task(passwords.hash("correct horse"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    await passwords.stop()
    assert turns > 5


@pytest.mark.parametrize("broken", ["", "secret", "$2b$", "$2b$04$tooshort", "$argon2id$v=19$m=1$x", "$1$a"])
async def test_what_is_no_hash_fits_no_password(broken: str) -> None:
    """A column that holds something else signs nobody in, and is no defect."""
    passwords = Passwords()
    assert await passwords.verify("secret", broken) == (False, False)
    await passwords.stop()


async def test_a_flood_of_passwords_is_turned_away() -> None:
    """Beyond a hundred at once the next are told to come again, and those before are compared."""
    passwords = Passwords()
    kept = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    flood = (passwords.verify("correct horse", kept) for _ in range(103))
    ends = await asyncio.gather(*flood, return_exceptions=True)
    assert [type(end) for end in ends if isinstance(end, Exception)] == [Unavailable] * 3
    assert [end.right for end in ends if isinstance(end, Verified)] == [True] * 100
    assert (await passwords.verify("correct horse", kept)).right
    await passwords.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Alice", "alice"),
        ("小明", "小明"),
        ("ｌｉ_2", "li_2"),
        ("a.b-c", "a.b-c"),
        ("é" + "x" * 63, "é" + "x" * 63),
    ],
)
def test_a_username_has_one_form(text: str, expected: str) -> None:
    """Usernames that look the same are the same."""
    assert username(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "1li", "_li", "13800138000", "li@example.com", "li＠example", "li na", "li/na", "x" * 65],
)
def test_what_could_be_another_account_name_is_refused(text: str) -> None:
    """A username begins with a letter and has no @, in any width, so no number or address is one."""
    with pytest.raises(InvalidRequest) as refused:
        username(text)
    assert refused.value.errors[0].field == "username"


@given(st.text(max_size=70))
def test_any_text_is_a_username_or_is_refused(text: str) -> None:
    """Nothing that a client sends is a defect, and the one form is stable and fits its column."""
    try:
        found = username(text)
    except InvalidRequest:
        return
    assert username(found) == found
    assert "@" not in found
    assert len(found) <= 64
