"""What messages say, how they are kept, and which SMS template carries them."""

from datetime import UTC, datetime

import pytest

from hub.codes.messages import TEMPLATES, Message, masked
from hub.codes.senders.port import Misconfigured
from hub.codes.senders.templates import Templates
from hub.codes.texts import mail, sms_text
from hub.web.language import LANGUAGES, catalogue

EXPIRES = datetime(2026, 1, 1, tzinfo=UTC)
SITE = "Acme & Sons"


def message(template: str = "login_code", language: str = "en") -> Message:
    """A message of a template, with a value for each parameter."""
    code = "042917" if template.endswith("_code") else None
    params = {name: f"<{name}>" for name in TEMPLATES[template]}
    return Message("+8613800138000", template, code, params, language, EXPIRES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_has_its_texts(template: str, language: str) -> None:
    """An SMS and an e-mail in each language tell all there is to tell."""
    one = message(template, language).checked()
    letter = mail(one, SITE)
    assert letter.subject
    for text in (sms_text(one, SITE), letter.text):
        assert SITE in text
        assert all(value in text for value in one.values().values())
    assert f'<html lang="{language}">' in letter.html


def test_html_is_escaped() -> None:
    """What others named their devices is text, never markup."""
    html = mail(message("security_alert"), SITE).html
    assert "<device>" not in html
    assert "&lt;device&gt;" in html
    assert "Acme &amp; Sons" in html


def test_no_text_lies_idle() -> None:
    """Every `sms.` and `mail.` text of the catalogue belongs to a template."""
    asked = {f"sms.{template}" for template in TEMPLATES}
    asked |= {f"mail.{template}.{part}" for template in TEMPLATES for part in ("subject", "intro")}
    asked |= {"mail.code.ignore", "mail.code.life", "mail.security_alert.advice"}
    asked |= {f"mail.detail.{name}" for name in TEMPLATES["security_alert"]}
    assert {key for key in catalogue("en") if key.startswith(("sms.", "mail."))} == asked


def test_a_message_survives_the_queue() -> None:
    """What is loaded is what was dumped."""
    assert Message.load(message().dump()) == message()


def test_a_message_hides_its_code() -> None:
    """Neither repr nor str tell the code or the whole address."""
    shown = repr(message()) + str(message())
    assert "042917" not in shown
    assert "13800138000" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        message()._replace(template="newsletter"),
        message()._replace(params={}),
        message()._replace(code=None),
        message("security_alert")._replace(code="1"),
    ],
)
def test_a_message_that_fits_no_template_is_refused(wrong: Message) -> None:
    """A gap is found when it is queued, not when it is sent."""
    with pytest.raises(ValueError, match="template"):
        wrong.checked()


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ("+8613800138000", "+86***00"),
        ("12345", "***"),
        ("li.wei@example.com", "l***@example.com"),
        ("@example.com", "***@example.com"),
    ],
)
def test_masks(to: str, shown: str) -> None:
    """Enough to recognise an address, too little to use it."""
    assert masked(to) == shown


@pytest.mark.parametrize(
    ("language", "template", "identity"),
    [
        ("en", "login_code", "EN"),
        ("zh-CN", "login_code", "ZH"),
        ("en", "verify_code", "ANY-EN"),
        ("zh-CN", "verify_code", "ANY"),
    ],
)
def test_template_by_message_and_language(language: str, template: str, identity: str) -> None:
    """The message's own template comes before the one for any code, the language's before the general one."""
    known = Templates(["login_code=ZH", "login_code:en=EN", "*=ANY/code/minutes", "*:en=ANY-EN"])
    assert known.find(message(template, language)).id == identity


def test_an_alert_is_no_code() -> None:
    """`*` stands for codes only; a message without a template is for the operator to mend."""
    with pytest.raises(Misconfigured):
        Templates(["*=ANY"]).find(message("security_alert"))


def test_fields_keep_their_order() -> None:
    """Values come as the template names them; without names it takes the code alone."""
    named = Templates(["*=1/minutes/code"]).find(message())
    assert named.values(message()) == [("minutes", "<minutes>"), ("code", "042917")]
    assert Templates(["*=1"]).find(message()).values(message()) == [("code", "042917")]
    with pytest.raises(Misconfigured):
        Templates(["*=1/name"]).find(message()).values(message())
