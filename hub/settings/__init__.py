"""The only reader of the environment.

Values come from the environment, then from `.env`. Wrong values are told all at once, each naming its
setting; where there are none, so is all that does not go together.
"""

from typing import Any

from pydantic import ValidationError

from hub.settings.checks import faults
from hub.settings.derived import (
    SANDBOX_PATH,
    STAND_IN_ACCOUNT,
    STAND_IN_APP,
    STAND_IN_MINI,
    STAND_IN_WEBSITE,
    Account,
    Settings,
)

__all__ = [
    "SANDBOX_PATH",
    "STAND_IN_ACCOUNT",
    "STAND_IN_APP",
    "STAND_IN_MINI",
    "STAND_IN_WEBSITE",
    "Account",
    "Settings",
    "SettingsError",
    "load_settings",
]


class SettingsError(Exception):
    """The settings do not allow a start; each of *lines* names one setting and what to mend."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_settings(env_file: str | None = ".env", **given: Any) -> Settings:
    """Read, check and return the settings; *given* wins over the environment.

    Raises SettingsError with every wrong setting, and with every stand-in that this place does not allow.
    """
    try:
        settings = Settings(_env_file=env_file, **given)
    except ValidationError as error:
        raise SettingsError(
            [
                f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    if lines := faults(settings):
        raise SettingsError(lines)
    return settings
