"""What an installation offers beside the QR sign-in, as its pages need to know it."""

from collections.abc import Sequence
from typing import NamedTuple


class Country(NamedTuple):
    """A country that gets SMS: its calling code with `+`, and its region (ISO 3166), empty for none."""

    code: str
    region: str


class Ways(NamedTuple):
    """The digits of a code by SMS and by e-mail, 0 where none is sent; and where SMS go to."""

    phone: int
    email: int
    countries: Sequence[Country]
