"""What each errcode means at each call."""

from typing import get_args

import pytest

from hub.wechat.errors import (
    BackOff,
    Blocked,
    Call,
    CodeRefused,
    Misconfigured,
    TokenRefused,
    Unreachable,
    WeChatError,
    label,
    refusal,
)

CALLS: tuple[Call, ...] = get_args(Call)
WITH_SECRET = {"exchange", "session", "stable_token"}
WITH_APP_TOKEN = {"create_qr", "user_info", "code_image", "phone_number"}
ABOUT_A_PERSON = {"exchange", "refresh", "check", "userinfo", "session", "user_info", "phone_number"}

BUSY = (-1, 45009, 45011)
OPERATORS = (
    *(40002, 40013, 40125, 40129, 40164, 40169, 41001, 41002, 41004, 41030),
    *(43001, 43002, 43003, 47001, 48001, 89503),
)
PERSONS = (40003, 40029, 40030, 40163, 41008, 42002, 42003, 42007, 50001, 50005)
TOKENS = (40014, 42001)
DOCUMENTED = (*BUSY, *OPERATORS, *PERSONS, *TOKENS, 40001, 40226, 50002)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("errcode", BUSY)
def test_busy_is_busy_everywhere(call: Call, errcode: int) -> None:
    """Being busy, too fast or out of quota never sends anybody away for good."""
    error = refusal(call, errcode, "rid")
    assert isinstance(error, BackOff)
    assert error.retry_after == (3.0 if errcode == -1 else 60.0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("errcode", OPERATORS)
def test_the_operators_mistakes_are_theirs_everywhere(call: Call, errcode: int) -> None:
    """Id, secret, address, right, page and scene are the operator's to mend."""
    assert type(refusal(call, errcode, None)) is Misconfigured


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("errcode", PERSONS)
def test_a_persons_code_is_refused_where_there_is_a_person(call: Call, errcode: int) -> None:
    """Where a person takes part they start again; where none does, the errcode is a riddle."""
    assert type(refusal(call, errcode, None)) is (CodeRefused if call in ABOUT_A_PERSON else WeChatError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("errcode", [40226, 50002])
def test_only_a_person_is_blocked(call: Call, errcode: int) -> None:
    """A block is of a person, never of our own token."""
    assert type(refusal(call, errcode, None)) is (Blocked if call in ABOUT_A_PERSON else WeChatError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("errcode", TOKENS)
def test_a_token_is_refused_to_whoever_sent_it(call: Call, errcode: int) -> None:
    """The app's own token is replaced, the person's means a new consent."""
    kind = CodeRefused if call in ABOUT_A_PERSON else WeChatError
    assert type(refusal(call, errcode, None)) is (TokenRefused if call in WITH_APP_TOKEN else kind)


@pytest.mark.parametrize("call", CALLS)
def test_40001_has_three_meanings(call: Call) -> None:
    """The secret's where that is sent, else the app's token, else the person's; a picture needs none."""
    other = TokenRefused if call in WITH_APP_TOKEN else CodeRefused
    kind = Misconfigured if call in WITH_SECRET else WeChatError if call == "showqrcode" else other
    assert type(refusal(call, 40001, None)) is kind


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_errcode_is_no_more_than_a_failure(call: Call) -> None:
    """What WeChat thinks up next is an error of the provider, counted as `other`."""
    error = refusal(call, 12345, "rid")
    assert type(error) is WeChatError
    assert (error.errcode, error.rid, label(error)) == (12345, "rid", "other")


def test_labels_are_bounded() -> None:
    """Each documented errcode has its own label, no answer has one, and all others share one."""
    assert {label(refusal("exchange", errcode, None)) for errcode in DOCUMENTED} == set(map(str, DOCUMENTED))
    assert label(Unreachable("exchange", detail="TimeoutError")) == "unreachable"
