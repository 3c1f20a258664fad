"""The faults: on which stage each is played, how long it lasts, and what a client may notice of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from tests.faults.matrix import plays
from tests.faults.matrix.plays import Play
from tests.faults.matrix.stage import Stage

StageName = Literal["servers", "embedded", "clocks", "in_a_cluster", "by_sentinel"]
STEP = 300  # seconds by which a clock is set wrong
FOLLOWED = 8.0  # seconds in which the processes have noticed that the database's clock was set


class Fault(NamedTuple):
    """*lasts* seconds; *gentle* ones hold nobody up for more than a sweep, even while they last."""

    play: Play
    stage: StageName = "servers"
    lasts: float = 0.0
    gentle: bool = False
    slow: bool = True
    expires: bool = False  # an attempt may rightly expire by it
    door: str = "app"

    @asynccontextmanager
    async def acts(self, stage: Stage) -> AsyncIterator[None]:
        """Begin it, and end it again."""
        play = self.play(stage)
        await anext(play)
        try:
            yield
        finally:
            await anext(play, None)


FAULTS = {
    "hub SIGKILL": Fault(plays.hub_killed, lasts=1),
    "hub SIGTERM": Fault(plays.hub_terminated, lasts=1),
    "hub frozen for 6 s": Fault(plays.hub_frozen, lasts=6),
    "hubs starved": Fault(plays.hubs_starved, lasts=5),
    "no files left": Fault(plays.no_files_left, lasts=4),
    "Redis restart": Fault(plays.redis_killed, gentle=True),
    "Redis away for 30 s": Fault(plays.redis_killed, lasts=30, gentle=True),
    "Redis frozen": Fault(plays.redis_frozen, lasts=8, gentle=True),
    "Redis link a black hole": Fault(plays.redis_black_hole, lasts=20, gentle=True),
    "Redis link torn": Fault(plays.redis_link_torn, lasts=5, gentle=True),
    "Redis flushed": Fault(plays.redis_flushed, gentle=True, slow=False),
    "Redis full": Fault(plays.redis_full, lasts=2, gentle=True),
    "Redis failover by sentinel": Fault(plays.failover, stage="by_sentinel"),
    "Redis failover in a cluster": Fault(plays.failover, stage="in_a_cluster"),
    "MariaDB restart": Fault(plays.mariadb_killed, lasts=1),
    "MariaDB sessions killed": Fault(plays.mariadb_sessions_killed, slow=False),
    "MariaDB statements killed": Fault(plays.mariadb_statements_killed, lasts=5),
    "MariaDB read-only": Fault(plays.mariadb_read_only, lasts=1, slow=False),
    "MariaDB backed up": Fault(plays.mariadb_locked("FLUSH TABLES WITH READ LOCK"), lasts=4),
    "MariaDB rows locked": Fault(
        plays.mariadb_locked(
            "SELECT COUNT(*) FROM login_sessions FOR UPDATE",
            "SELECT COUNT(*) FROM users FOR UPDATE",
            "SELECT COUNT(*) FROM user_sessions FOR UPDATE",
        ),
        lasts=4,
    ),
    "MariaDB crowded": Fault(plays.mariadb_crowded, lasts=3),
    "MariaDB stalled for 5 s": Fault(plays.mariadb_stalled, lasts=5),
    "Redis and MariaDB killed": Fault(plays.servers_killed, lasts=5),
    "WeChat slow": Fault(plays.wechat("slow", seconds=10), stage="embedded", lasts=8, door="h5"),
    "WeChat 500": Fault(plays.wechat("server_error"), stage="embedded", lasts=1, door="h5", slow=False),
    "WeChat garbage": Fault(plays.wechat("broken_json"), stage="embedded", lasts=1, door="h5"),
    "hub clock + 5 min": Fault(plays.hub_clock(STEP), stage="clocks", lasts=1, gentle=True),
    "hub clock - 5 min": Fault(plays.hub_clock(-STEP), stage="clocks", lasts=1, gentle=True),
    "database clock + 5 min": Fault(plays.database_clock(STEP), stage="clocks", lasts=FOLLOWED, expires=True),
    "database clock - 5 min": Fault(plays.database_clock(-STEP), stage="clocks", lasts=FOLLOWED),
    "full disk": Fault(plays.full_disk, stage="embedded", lasts=1, slow=False),
    "SQLite locked": Fault(plays.sqlite_locked, stage="embedded", lasts=4),
    "stalled readers": Fault(plays.stalled_readers, lasts=2, gentle=True),
    "cancel storm": Fault(plays.cancel_storm, lasts=plays.STORM),
}
