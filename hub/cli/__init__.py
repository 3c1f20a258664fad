"""The command line: a module for each command of `hub`."""

from importlib import import_module

import click

from hub import __version__

COMMANDS = ("serve", "worker", "migrate", "doctor", "sandbox", "keys", "user")


class _Commands(click.Group):
    """Imports a command's module when it is asked for: `serve` rests on much that the others never need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.command(cls=_Commands)
@click.version_option(__version__)
def main() -> None:
    """Login Hub: sign-in by WeChat QR code, told to the waiting browser in real time."""
