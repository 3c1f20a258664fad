"""The command line: a module for each command of `hub`."""

import click

from hub import __version__
from hub.cli import doctor, keys, migrate, sandbox, serve, user, worker


@click.group(commands=[module.command for module in (serve, worker, migrate, doctor, sandbox, keys, user)])
@click.version_option(__version__)
def main() -> None:
    """Login Hub: sign-in by WeChat QR code, told to the waiting browser in real time."""
