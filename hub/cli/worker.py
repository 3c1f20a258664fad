"""`hub worker`."""

import asyncio
import sys

import click

from hub.background import work
from hub.cli.schema import bring_up_to_date, demand_schema
from hub.cli.settings import load
from hub.errors import StoreUnavailable
from hub.loop import Loop


@click.command("worker")
def command() -> None:
    """Send what is queued, remove what is over and archive old login logs, until SIGTERM."""
    settings = load()
    if settings.production:
        demand_schema(settings)
    else:
        bring_up_to_date(settings)
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(work(settings))
    except StoreUnavailable as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)
