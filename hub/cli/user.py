"""`hub user …`."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import click

from hub.accounts.admin import ROLES, STATUSES, Administration, Role, Status
from hub.cli.schema import demand_schema
from hub.cli.settings import load
from hub.errors import Conflict, NotFound, StoreUnavailable
from hub.ops import logs
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.store.database import Row, Store
from hub.tokens.endings import Endings
from hub.tokens.events import AccountEvents
from hub.tokens.revocations import Revocations

T = TypeVar("T")


@click.group("user")
@click.option("--actor", help="Who does it, for the record; the user of this machine by default.")
@click.pass_context
def command(context: click.Context, actor: str | None) -> None:
    """Look at accounts, ban them, end their sessions; each change is on record.

    WHO is an id, a number in E.164 (+8613800138000), an e-mail address or a username.
    """
    context.obj = actor


@command.command("list")
@click.option("--status", multiple=True, type=click.Choice(STATUSES), help="Only these; may be repeated.")
@click.option("--role", multiple=True, type=click.Choice(ROLES), help="Only these; may be repeated.")
@click.option("--after", default=0, type=click.IntRange(0), help="Begin after this id.")
@click.option("--limit", default=50, type=click.IntRange(1, 1000), show_default=True)
@click.pass_obj
def listed(
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


@command.command("show")
@click.argument("who")
@click.pass_obj
def show(actor: str | None, who: str) -> None:
    """Show an account."""
    row = _administer(actor, lambda admin: admin.find(who))
    for name, value in row.items():
        click.echo(f"{name:14} {'-' if value is None else value}")


@command.command("ban")
@click.argument("who")
@click.option("--reason", help="Why, for the record.")
@click.pass_obj
def ban(actor: str | None, who: str, reason: str | None) -> None:
    """Shut an account out and end its sessions at once."""
    ended = _administer(actor, lambda admin: admin.ban(who, reason))
    click.echo(f"banned user {ended.user_id}, ended {len(ended.sids)} sessions")


@command.command("unban")
@click.argument("who")
@click.option("--reason", help="Why, for the record.")
@click.pass_obj
def unban(actor: str | None, who: str, reason: str | None) -> None:
    """Let a banned account in again."""
    row = _administer(actor, lambda admin: admin.unban(who, reason))
    click.echo(f"user {row['id']} is active")


@command.command("role")
@click.argument("who")
@click.argument("role", type=click.Choice(ROLES))
@click.pass_obj
def set_role(actor: str | None, who: str, role: Role) -> None:
    """Give an account another ROLE; its sessions end, for their tokens name the former one."""
    ended = _administer(actor, lambda admin: admin.set_role(who, role))
    click.echo(f"user {ended.user_id} has the role {role}, ended {len(ended.sids)} sessions")


@command.command("sessions")
@click.argument("who")
@click.pass_obj
def sessions(actor: str | None, who: str) -> None:
    """List an account's sessions, last used first: id, last use, address, device."""
    for row in _administer(actor, lambda admin: admin.sessions(who)):
        _tell(row, "sid", "last_active_at", "ip_address", "device_name")


@command.command("revoke")
@click.argument("who")
@click.option("--session", help="Only this one.")
@click.pass_obj
def revoke(actor: str | None, who: str, session: str | None) -> None:
    """End an account's sessions."""
    ended = _administer(actor, lambda admin: admin.revoke(who, session))
    click.echo(f"ended {len(ended.sids)} sessions of user {ended.user_id}")


def _administer(actor: str | None, use: Callable[[Administration], Awaitable[T]]) -> T:
    """Exits with 1 where the account is missing or is so already, with 3 where the database is."""
    settings = load()
    logs.configure("warning", json=settings.production)  # what went well, the command itself tells
    demand_schema(settings)

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
