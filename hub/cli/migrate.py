"""`hub migrate`."""

import click

from hub.cli.schema import bring_up_to_date
from hub.cli.settings import load


@click.command("migrate")
def command() -> None:
    """Bring the database's schema up to date."""
    applied = bring_up_to_date(load())
    click.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")
