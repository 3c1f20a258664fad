"""How each command comes by its settings."""

import sys
from typing import Any, NoReturn

import click

from hub.ops import logs
from hub.settings import Settings, SettingsError, load_settings


def load(**given: Any) -> Settings:
    """Return the settings, with logging set up as they say; *given* win. Exits with 2 where one is wrong."""
    try:
        settings = load_settings(**given)
    except SettingsError as error:
        refuse(error)
    logs.configure(settings.log_level, json=settings.production)
    return settings


def refuse(error: SettingsError) -> NoReturn:
    """Say what is wrong, and exit with 2."""
    for line in error.lines:
        click.echo(f"hub: {line}", err=True)
    sys.exit(2)
