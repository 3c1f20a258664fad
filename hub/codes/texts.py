"""What people read in a message: the catalogue's `sms.*` and `mail.*` texts, filled in."""

from functools import cache
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hub.assets import folder
from hub.codes.messages import Message
from hub.web.language import translate

_DETAILS = ("device", "place", "time")  # of an alert, one line each


class Mail(NamedTuple):
    """An e-mail's subject and its body in two forms."""

    subject: str
    text: str
    html: str


def sms_text(message: Message, site: str) -> str:
    """Return the text of an SMS; a real provider's is the one registered there."""
    return translate(message.language, f"sms.{message.template}", site=site, **message.values())


def mail(message: Message, site: str) -> Mail:
    """Return the e-mail for *message*."""

    def told(key: str, **params: str) -> str:
        return translate(message.language, f"mail.{key}", site=site, **params)

    values = message.values()
    template = message.template
    intro = told(f"{template}.intro")
    details = [told(f"detail.{name}", **{name: values[name]}) for name in _DETAILS if name in values]
    if message.code is None:
        closing = [told(f"{template}.advice")]
    else:
        closing = [told("code.life", minutes=values["minutes"]), told("code.ignore")]
    paragraphs = [intro, message.code, "\n".join(details), *closing, site]
    html = _environment().get_template("mail.html")
    return Mail(
        subject=told(f"{template}.subject"),
        text="\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n",
        html=html.render(
            lang=message.language,
            site=site,
            intro=intro,
            code=message.code,
            details=details,
            closing=closing,
        ),
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(folder("codes/templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
