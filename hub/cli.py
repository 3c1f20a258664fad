"""The command line: `hub serve`, `hub migrate`."""

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hub import __version__
from hub.app import create_app
from hub.errors import StoreUnavailable
from hub.ops import logs
from hub.server import Server, config
from hub.settings import Settings, SettingsError
from hub.store.migrate import MigrationFailed, migrate


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Login Hub: sign-in by WeChat QR code, told to the waiting browser in real time."""


@main.command()
@click.option("--host", help="Listening address; HOST by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="Listening port; PORT by default.")
def serve(host: str | None, port: int | None) -> None:
    """Serve the hub; in development the database is migrated first."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = _settings(**given)
    if not settings.production:
        _migrate(settings)
        _greet(settings)
    app = create_app(settings)
    server = Server(
        config(app, host=settings.host, port=settings.port, proxies=list(settings.trusted_proxies)),
        app.state.drain,
    )
    server.run()
    sys.exit(0 if server.started else 3)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema up to date."""
    settings = _settings()
    applied = _migrate(settings)
    click.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


def _settings(**given: Any) -> Settings:
    try:
        settings = Settings.load(**given)
    except SettingsError as error:
        for line in error.lines:
            click.echo(f"hub: {line}", err=True)
        sys.exit(2)
    logs.configure(settings.log_level, json=settings.production)
    return settings


def _migrate(settings: Settings) -> list[str]:
    parts = urlsplit(settings.database_url)
    if parts.scheme == "sqlite":
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(migrate(settings.database_url))
    except (MigrationFailed, StoreUnavailable) as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)


def _greet(settings: Settings) -> None:
    lines = [f"Sign-in page     {settings.base_url}/"]
    if settings.sandbox:
        lines.append(f"Simulated phone  {settings.base_url}/sandbox/phone")
    lines += [f"Stand-in         {line}" for line in settings.stand_ins]
    click.echo("\n".join(lines))
