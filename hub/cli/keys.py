"""`hub keys …`."""

import secrets
import sys
from pathlib import Path
from typing import get_args

import click

from hub.cli.settings import load, refuse
from hub.services import key_ring
from hub.settings import SettingsError
from hub.tokens import key_files


@click.group("keys")
def command() -> None:
    """Make secrets and keys, and list those in use."""


@command.command("secret")
def secret() -> None:
    """Print a new secret, for JWT_SECRET or in front of a ring."""
    click.echo(secrets.token_urlsafe(32))


@command.command("generate")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--alg", type=click.Choice(get_args(key_files.FileAlgorithm)), default="EdDSA", show_default=True
)
def generate(path: Path, alg: key_files.FileAlgorithm) -> None:
    """Write a new private key to PATH, for JWT_KEYS, and print its kid."""
    try:
        key = key_files.generate(path, alg)
    except OSError as error:
        click.echo(f"hub: {path}: {error.strerror}", err=True)
        sys.exit(1)
    click.echo(key.kid)


@command.command("list")
def listed() -> None:
    """Show the keys of access tokens by kid: the first signs, all verify."""
    settings = load()
    try:
        ring = key_ring(settings)
    except SettingsError as error:
        refuse(error)
    for key in ring:
        click.echo(f"{key.kid}  {key.algorithm}  {'signs' if key is ring.signer else 'verifies'}")
    for path in settings.jwt_keys:
        if key_files.is_exposed(Path(path)):
            click.echo(f"hub: JWT_KEYS: {path} can be read by others", err=True)
