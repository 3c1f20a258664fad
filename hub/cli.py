"""The command line: `hub serve`, `hub worker`, `hub migrate`, `hub doctor`, `hub keys`, `hub user`."""

import asyncio
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

import click

from hub import __version__
from hub.accounts.admin import ROLES, STATUSES, Administration, Role, Status
from hub.app import create_app, key_ring
from hub.background import create_senders, work
from hub.errors import Conflict, NotFound, StoreUnavailable
from hub.ops import doctor, logs
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.server import Server, config
from hub.settings import Settings, SettingsError
from hub.store.database import Row, Store
from hub.store.migrate import MigrationFailed, migrate, pending
from hub.tokens.endings import Endings
from hub.tokens.events import AccountEvents
from hub.tokens.key_files import FileAlgorithm, generate, is_exposed
from hub.tokens.revocations import Revocations
from hub.wechat.client import App

T = TypeVar("T")


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
    if settings.production:
        _demand_schema(settings)
    else:
        _migrate(settings)
        _greet(settings)
    try:
        app = create_app(settings)
    except SettingsError as error:
        _refuse(error)
    server = Server(
        config(app, host=settings.host, port=settings.port, proxies=list(settings.trusted_proxies)),
        app.state.drain,
    )
    server.run()
    sys.exit(0 if server.started else 3)


@main.command("worker")
def worker_command() -> None:
    """Send what is queued, remove what is over and archive old login logs, until SIGTERM."""
    settings = _settings()
    if settings.production:
        _demand_schema(settings)
    else:
        _migrate(settings)
    try:
        asyncio.run(work(settings))
    except StoreUnavailable as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema up to date."""
    settings = _settings()
    applied = _migrate(settings)
    click.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@main.command("doctor")
def doctor_command() -> None:
    """Look at settings, database, Redis, WeChat and senders, and say what to mend; exits with 1 if any."""
    settings = _settings()
    for line in settings.stand_ins:
        click.echo(f"note     {line}")

    async def examine() -> bool:
        http, senders = create_senders(settings, lambda: datetime.now(UTC))
        await http.start()
        well = True
        async for finding in doctor.examine(
            settings.database_url,
            settings.redis,
            settings.redis_key_prefix,
            None if settings.sandbox else settings.wechat_urls,
            App(*settings.h5_app),
            senders,
        ):
            click.echo(f"{'ok' if finding.well else 'mend':8} {finding.part}: {finding.text}")
            well = well and finding.well
        await http.stop()
        return well

    sys.exit(0 if asyncio.run(examine()) else 1)


@main.group("keys")
def keys_group() -> None:
    """Make secrets and keys, and list those in use."""


@keys_group.command("secret")
def keys_secret() -> None:
    """Print a new secret, for JWT_SECRET or in front of a ring."""
    click.echo(secrets.token_urlsafe(32))


@keys_group.command("generate")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--alg", type=click.Choice(get_args(FileAlgorithm)), default="EdDSA", show_default=True)
def keys_generate(path: Path, alg: FileAlgorithm) -> None:
    """Write a new private key to PATH, for JWT_KEYS, and print its kid."""
    try:
        key = generate(path, alg)
    except OSError as error:
        click.echo(f"hub: {path}: {error.strerror}", err=True)
        sys.exit(1)
    click.echo(key.kid)


@keys_group.command("list")
def keys_list() -> None:
    """Show the keys of access tokens by kid: the first signs, all verify."""
    settings = _settings()
    try:
        ring = key_ring(settings)
    except SettingsError as error:
        _refuse(error)
    for key in ring:
        click.echo(f"{key.kid}  {key.algorithm}  {'signs' if key is ring.signer else 'verifies'}")
    for path in settings.jwt_keys:
        if is_exposed(Path(path)):
            click.echo(f"hub: JWT_KEYS: {path} can be read by others", err=True)


@main.group("user")
@click.option("--actor", help="Who does it, for the record; the user of this machine by default.")
@click.pass_context
def user_group(context: click.Context, actor: str | None) -> None:
    """Look at accounts, ban them, end their sessions; each change is on record.

    WHO is an id, a number in E.164 (+8613800138000), an e-mail address or a username.
    """
    context.obj = actor


@user_group.command("list")
@click.option("--status", multiple=True, type=click.Choice(STATUSES), help="Only these; may be repeated.")
@click.option("--role", multiple=True, type=click.Choice(ROLES), help="Only these; may be repeated.")
@click.option("--after", default=0, type=click.IntRange(0), help="Begin after this id.")
@click.option("--limit", default=50, type=click.IntRange(1, 1000), show_default=True)
@click.pass_obj
def user_list(
    actor: str | None, status: tuple[Status, ...], role: tuple[Role, ...], after: int, limit: int
) -> None:
    """List accounts by id, a line each: id, status, role, username, nickname."""
    rows = _administer(
        actor,
        lambda admin: admin.listed(
            after=after, limit=limit, statuses=status or STATUSES, roles=role or ROLES
        ),
    )
    for row in rows:
        _tell(row, "id", "status", "role", "username", "nickname")


@user_group.command("show")
@click.argument("who")
@click.pass_obj
def user_show(actor: str | None, who: str) -> None:
    """Show an account."""
    row = _administer(actor, lambda admin: admin.find(who))
    for name, value in row.items():
        click.echo(f"{name:14} {'-' if value is None else value}")


@user_group.command("ban")
@click.argument("who")
@click.pass_obj
def user_ban(actor: str | None, who: str) -> None:
    """Shut an account out and end its sessions at once."""
    ended = _administer(actor, lambda admin: admin.ban(who))
    click.echo(f"banned user {ended.user_id}, ended {len(ended.sids)} sessions")


@user_group.command("unban")
@click.argument("who")
@click.pass_obj
def user_unban(actor: str | None, who: str) -> None:
    """Let a banned account in again."""
    row = _administer(actor, lambda admin: admin.unban(who))
    click.echo(f"user {row['id']} is active")


@user_group.command("role")
@click.argument("who")
@click.argument("role", type=click.Choice(ROLES))
@click.pass_obj
def user_role(actor: str | None, who: str, role: Role) -> None:
    """Give an account another ROLE; its sessions end, for their tokens name the former one."""
    ended = _administer(actor, lambda admin: admin.set_role(who, role))
    click.echo(f"user {ended.user_id} has the role {role}, ended {len(ended.sids)} sessions")


@user_group.command("sessions")
@click.argument("who")
@click.pass_obj
def user_sessions(actor: str | None, who: str) -> None:
    """List an account's sessions, last used first: id, last use, address, device."""
    for row in _administer(actor, lambda admin: admin.sessions(who)):
        _tell(row, "sid", "last_active_at", "ip_address", "device_name")


@user_group.command("revoke")
@click.argument("who")
@click.option("--session", help="Only this one.")
@click.pass_obj
def user_revoke(actor: str | None, who: str, session: str | None) -> None:
    """End an account's sessions."""
    ended = _administer(actor, lambda admin: admin.revoke(who, session))
    click.echo(f"ended {len(ended.sids)} sessions of user {ended.user_id}")


def _administer(actor: str | None, use: Callable[[Administration], Awaitable[T]]) -> T:
    """Exits with 1 where the account is missing or is so already, with 3 where the database is."""
    settings = _settings()
    logs.configure("warning", json=settings.production)  # what went well, the command itself tells
    _demand_schema(settings)

    async def run() -> T:
        store = Store(settings.database_url, connections=1)
        broker = RedisBroker(settings.redis, settings.redis_key_prefix) if settings.redis else MemoryBroker()
        endings = Endings(Revocations(store, broker, life=settings.access_ttl), AccountEvents(store, broker))
        admin = Administration(
            store, endings, actor=actor or getpass.getuser(), idle_ttl=settings.refresh_idle_ttl
        )
        async with AsyncExitStack() as stack:
            for part in (store, broker):
                await part.start()
                stack.push_async_callback(part.stop)
            return await use(admin)

    try:
        return asyncio.run(run())
    except (NotFound, Conflict) as error:
        click.echo(f"hub: {error.reason}", err=True)
        sys.exit(1)
    except StoreUnavailable as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)


def _tell(row: Row, *names: str) -> None:
    click.echo("  ".join("-" if row[name] is None else str(row[name]) for name in names))


def _settings(**given: Any) -> Settings:
    try:
        settings = Settings.load(**given)
    except SettingsError as error:
        _refuse(error)
    logs.configure(settings.log_level, json=settings.production)
    return settings


def _refuse(error: SettingsError) -> NoReturn:
    for line in error.lines:
        click.echo(f"hub: {line}", err=True)
    sys.exit(2)


def _migrate(settings: Settings) -> list[str]:
    try:
        return asyncio.run(migrate(settings.database_url))
    except (MigrationFailed, StoreUnavailable) as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)


def _demand_schema(settings: Settings) -> None:
    try:
        missing = asyncio.run(pending(settings.database_url))
    except MigrationFailed as error:
        click.echo(f"hub: DATABASE_URL: {error}", err=True)
        sys.exit(3)
    if missing:
        click.echo(f"hub: run `hub migrate` first: {', '.join(missing)}", err=True)
        sys.exit(3)


def _greet(settings: Settings) -> None:
    lines = [f"Sign-in page     {settings.base_url}/"]
    if settings.sandbox:
        lines.append(f"Simulated phone  {settings.base_url}/sandbox/phone")
    lines += [f"Stand-in         {line}" for line in settings.stand_ins]
    click.echo("\n".join(lines))
