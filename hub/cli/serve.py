"""`hub serve`."""

import asyncio
import socket
import sys
from contextlib import ExitStack
from typing import NoReturn

import click

from hub.app import create_app
from hub.cli.schema import bring_up_to_date, demand_schema
from hub.cli.settings import load, refuse
from hub.ops import registry
from hub.server import Server, config, listen
from hub.settings import Settings, SettingsError
from hub.supervisor import Supervisor


@click.command("serve")
@click.option("--host", help="Listening address; HOST by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="Listening port; PORT by default.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
@click.option("--listener-fd", type=int, hidden=True)
@click.option("--supervisor-fd", type=int, hidden=True)
def command(
    host: str | None, port: int | None, workers: int, listener_fd: int | None, supervisor_fd: int | None
) -> None:
    """Serve the hub; in development the database is migrated first.

    With several workers one process supervises: SIGHUP replaces them one by one, without a lost sign-in.
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load(**given)
    if settings.production or listener_fd is not None:
        demand_schema(settings)
    else:
        bring_up_to_date(settings)
        _greet(settings)
    if workers > 1 and listener_fd is None:
        _supervise(settings, workers)
    try:
        app = create_app(settings)
    except SettingsError as error:
        refuse(error)
    with ExitStack() as stack:
        supervisor, listener = (
            None if fd is None else stack.enter_context(socket.socket(fileno=fd))
            for fd in (supervisor_fd, listener_fd)
        )
        server = Server(
            config(app, host=settings.host, port=settings.port, proxies=list(settings.trusted_proxies)),
            app.state.drain,
            supervisor,
        )
        server.run([listener] if listener else None)
    sys.exit(0 if server.started else 3)


def _supervise(settings: Settings, workers: int) -> NoReturn:
    lines = []
    if not settings.redis:
        lines.append("REDIS_URL: several workers hear of each other by Redis alone")
    if settings.sandbox:
        lines.append("WECHAT_API_URL, WECHAT_OPEN_URL: several workers need a sandbox outside of them")
    if lines:
        refuse(SettingsError(lines))
    listener = listen(settings.host, settings.port)
    # The same command again, which the workers know by the file descriptors that are added to it.
    command = [sys.executable, *sys.orig_argv[1:]]
    with registry.shared():
        code = asyncio.run(Supervisor(command, listener, workers, registry.forget).run())
    sys.exit(code)


def _greet(settings: Settings) -> None:
    lines = [f"Sign-in page     {settings.base_url}/"]
    if settings.sandbox:
        lines.append(f"Simulated phone  {settings.base_url}/sandbox/phone")
    lines += [f"Stand-in         {line}" for line in settings.stand_ins]
    click.echo("\n".join(lines))
