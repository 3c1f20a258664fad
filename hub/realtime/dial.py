"""Opening a connection to Redis, by redis-py, up to the end of its handshake."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from hub.realtime.wire import LinkDown
from hub.resolver import resolve

_SENTINELS = re.compile(
    r"redis\+sentinel://(?P<user>[^@/]*@)?(?P<sentinels>[^@/]+)/(?P<service>[^/?]+)(?P<db>/\d+)?"
)


class Dialled(NamedTuple):
    """A connection past its handshake, speaking RESP3, and how to let go of it."""

    transport: asyncio.Transport
    hang_up: Callable[[], Awaitable[None]]


Dial = Callable[[], Awaitable[Dialled]]


def dialler(url: str, *, timeout: float) -> Dial:
    """Return what opens a connection to *url*, with *timeout* seconds for each step.

    The URL is one of redis-py's (`redis://`, `rediss://`, `unix://`) or names sentinels and what they watch:
    `redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]`; ValueError for another. redis-py
    does TLS, authentication and the choice of the database, then its transport changes hands. What is
    returned raises LinkDown.
    """
    found = _SENTINELS.fullmatch(url)
    # Any, here and below: redis-py is typed only in part.
    pool: Any = ConnectionPool.from_url(
        f"redis://{found['user'] or ''}sentinels{found['db'] or ''}" if found else url,
        protocol=3,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        client_name="login-hub",
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )

    async def dial() -> Dialled:
        options = dict(pool.connection_kwargs)
        if found is not None:
            options["host"], options["port"] = await _primary(found, timeout)
        if host := options.get("host"):  # none where it is a file
            await _find(host, timeout)
        connection = pool.connection_class(**options)
        hang_up = partial(connection.disconnect, nowait=True)
        try:
            await connection.connect()
            # redis-py shows its transport to nobody, but asyncio allows any transport to change protocols.
            transport = connection._writer.transport
            if transport.is_closing():
                raise LinkDown("lost after the handshake")
        except BaseException as error:
            await hang_up()  # redis-py forgets to when it is cancelled
            if isinstance(error, (OSError, RedisError)):
                raise LinkDown(str(error)) from error
            raise
        return Dialled(transport, hang_up)

    return dial


async def _primary(found: re.Match[str], timeout: float) -> tuple[str, int]:
    """Ask the sentinels for the address of the primary. Raises LinkDown."""
    addresses = [urlsplit(f"//{address}") for address in found["sentinels"].split(",")]
    lookups = (_find(address.hostname or "", timeout) for address in addresses)
    failures = await asyncio.gather(*lookups, return_exceptions=True)
    if None not in failures:
        raise LinkDown("no sentinel can be found by its name")
    sentinels = cast("Any", Sentinel)(
        [
            (address.hostname, address.port or 26379)
            for address, failure in zip(addresses, failures, strict=True)
            if failure is None
        ],
        sentinel_kwargs={
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        },
    )
    try:
        async with sentinels:
            host, port = await sentinels.discover_master(found["service"])
    except (OSError, RedisError) as error:
        raise LinkDown(str(error)) from error
    return host, port


async def _find(host: str, timeout: float) -> None:
    """Have the name of a server looked up. Raises LinkDown where that fails, or takes longer."""
    try:
        async with asyncio.timeout(timeout):
            await resolve(host)
    except TimeoutError as error:
        raise LinkDown(f"{host}: the name server does not answer") from error
    except OSError as error:
        raise LinkDown(str(error)) from error
