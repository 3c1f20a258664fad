"""Where codes go: numbers and e-mail addresses, each in the one form that it is kept and compared in."""

import re
import unicodedata

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from hub.accounts.contacts import Contact
from hub.errors import FieldError, InvalidRequest

HOME = "86"
EMAIL_LENGTH = 254  # characters (RFC 5321 section 4.5.3.1.3, and erratum 1690 of RFC 3696)

_CALLING_CODE = re.compile(r"\+?([1-9][0-9]{0,2})")
_NUMBER = re.compile(r"\+?[0-9 ().\-]{3,32}")
# A number of a range too new for the library's tables is of an unknown type.
_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.UNKNOWN}


def phone(number: str, country_code: str | None = None) -> str:
    """Return a mobile number in E.164; without its own `+` it is one of *country_code* (`+86` by default).

    Raises InvalidRequest for what cannot be a mobile number, or one that is not of the given country.
    """
    calling = _CALLING_CODE.fullmatch(_narrow(country_code or HOME))
    region = phonenumbers.region_code_for_country_code(int(calling[1])) if calling else "ZZ"
    if calling is None or region == "ZZ":
        raise InvalidRequest([FieldError("country_code", "no_country")])
    text = _narrow(number)
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest([FieldError("phone", "no_phone")])
    try:
        parsed = phonenumbers.parse(text, region)
    except NumberParseException:
        raise InvalidRequest([FieldError("phone", "no_phone")]) from None
    possible = phonenumbers.is_possible_number_for_type(parsed, PhoneNumberType.MOBILE)
    if not possible or phonenumbers.number_type(parsed) not in _MOBILE:
        raise InvalidRequest([FieldError("phone", "no_mobile")])
    if country_code and str(parsed.country_code) != calling[1]:
        raise InvalidRequest([FieldError("phone", "other_country")])
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _narrow(text: str) -> str:
    """Return what was typed with wide digits, signs and spaces in narrow ones (NFKC).

    Without the unseen marks of direction that lists of contacts put around a number that is copied.
    """
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", seen).strip()


def calling_code(address: str) -> str:
    """Return the calling code of a number in E.164, with its plus sign."""
    return f"+{phonenumbers.parse(address).country_code}"


def email(text: str) -> str:
    """Return an e-mail address, case-folded, with an international domain in its ASCII form.

    Codes go to this form too, and never to another spelling: who can read that one's mail need not own this
    one's account. Raises InvalidRequest.
    """
    try:
        valid = validate_email(text.strip(), allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise InvalidRequest([FieldError("email", "no_email")]) from None
    folded = (valid.ascii_email or "").casefold()
    if not 0 < len(folded) <= EMAIL_LENGTH:
        raise InvalidRequest([FieldError("email", "no_email")])
    return folded


def contact(text: str) -> Contact | None:
    """Return the number or e-mail address that *text* spells, None where it can be neither."""
    try:
        if "@" in text:
            return Contact("email", email(text))
        number = phone(text)
    except InvalidRequest:
        return None
    return Contact("phone", number, calling_code(number))


def region(code: str) -> str:
    """Return the main region (ISO 3166) of a calling code with `+`, empty where it is no one country's."""
    found = phonenumbers.region_code_for_country_code(int(code.removeprefix("+")))
    return found if len(found) == 2 and found != "ZZ" else ""
