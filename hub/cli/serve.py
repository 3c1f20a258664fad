"""`hub serve`."""

import sys

import click

from hub.app import create_app
from hub.cli.schema import bring_up_to_date, demand_schema
from hub.cli.settings import load, refuse
from hub.server import Server, config
from hub.settings import Settings, SettingsError


@click.command("serve")
@click.option("--host", help="Listening address; HOST by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="Listening port; PORT by default.")
def command(host: str | None, port: int | None) -> None:
    """Serve the hub; in development the database is migrated first."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load(**given)
    if settings.production:
        demand_schema(settings)
    else:
        bring_up_to_date(settings)
        _greet(settings)
    try:
        app = create_app(settings)
    except SettingsError as error:
        refuse(error)
    server = Server(
        config(app, host=settings.host, port=settings.port, proxies=list(settings.trusted_proxies)),
        app.state.drain,
    )
    server.run()
    sys.exit(0 if server.started else 3)


def _greet(settings: Settings) -> None:
    lines = [f"Sign-in page     {settings.base_url}/"]
    if settings.sandbox:
        lines.append(f"Simulated phone  {settings.base_url}/sandbox/phone")
    lines += [f"Stand-in         {line}" for line in settings.stand_ins]
    click.echo("\n".join(lines))
