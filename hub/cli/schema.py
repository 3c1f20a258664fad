"""How a command makes sure of the database's schema."""

import asyncio
import sys

import click

from hub.errors import StoreUnavailable
from hub.settings import Settings
from hub.store.migrate import MigrationFailed, migrate, pending


def bring_up_to_date(settings: Settings) -> list[str]:
    """Migrate the database, and return what was applied. Exits with 3 where that fails."""
    try:
        return asyncio.run(migrate(settings.database_url))
    except (MigrationFailed, StoreUnavailable) as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)


def demand_schema(settings: Settings) -> None:
    """Exit with 3 unless the schema is up to date."""
    try:
        missing = asyncio.run(pending(settings.database_url))
    except MigrationFailed as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)
    if missing:
        click.echo(f"hub: run `hub migrate` first: {', '.join(missing)}", err=True)
        sys.exit(3)
