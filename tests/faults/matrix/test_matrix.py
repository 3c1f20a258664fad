"""The fault matrix: each fault, at each moment of a sign-in, and what must hold afterwards."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.matrix.faults import FAULTS, Fault
from tests.faults.matrix.invariants import Before, Guesser, Refused, check_frames, check_tries
from tests.faults.matrix.moments import MOMENTS, Moment, sign_in
from tests.faults.matrix.stage import Clock, Stage, beside, on_servers, running
from tests.faults.matrix.visitor import Expired, Visitor
from tests.servers.cluster import sentinel_url
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB, launch
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

VISITORS = 6
CONVERGED = 10.0  # seconds after the fault's end; where only Redis is away, after its beginning

CELLS = [
    pytest.param(fault, moment, id=f"{name}, {when}", marks=[pytest.mark.slow] if fault.slow else [])
    for name, fault in FAULTS.items()
    for when, moment in MOMENTS.items()
]


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server for these cells, that loses nothing of what it has committed."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder), "--innodb-flush-log-at-trx-commit=1")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for these cells."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(
    mariadb: MariaDB, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Two processes on MariaDB and Redis, which no cell but those of their own end starts again."""
    async with on_servers([{}, {}], tmp_path_factory.mktemp("hubs"), mariadb, redis) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clocks(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """As `servers`; the database has a clock of its own, and one of the processes has."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        hubs, database = Clock(tmp_path_factory.mktemp("clock")), Clock(Path(folder))
        server = launch(Path(folder), environment=database.environment)
        prefix = {"REDIS_KEY_PREFIX": "clocks:"}
        env = [{**prefix, **hubs.environment}, prefix]
        async with on_servers(env, tmp_path_factory.mktemp("hubs"), server, redis) as stage:
            stage.hub_clock, stage.database_clock = hubs, database
            yield stage
        server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One process in the embedded default, with the sandbox for WeChat."""
    async with running(Stage([HubProcess(tmp_path_factory.mktemp("hub"), MAX_SESSIONS="1000")])) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def in_a_cluster(
    request: pytest.FixtureRequest, mariadb: MariaDB, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Two processes beside a cluster, one of whose primaries can die."""
    servers = request.getfixturevalue("own_cluster")
    async with beside(mariadb, tmp_path, servers.url) as stage:
        stage.fail_over = servers.primaries[0].kill
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def by_sentinel(
    request: pytest.FixtureRequest, mariadb: MariaDB, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Two processes beside a primary that a sentinel watches."""
    url = sentinel_url(request.getfixturevalue("sentinel"))
    async with beside(mariadb, tmp_path, url) as stage:
        stage.fail_over = request.getfixturevalue("primary").kill
        yield stage


@pytest.fixture
def stage(request: pytest.FixtureRequest, fault: Fault) -> Stage:
    """The stage that the fault is played on."""
    stage: Stage = request.getfixturevalue(fault.stage)
    return stage


async def go_on(visitor: Visitor, moment: Moment) -> None:
    """Do the rest; whose attempt has expired begins again."""
    try:
        await moment.go_on(visitor)
    except Expired:
        await sign_in(visitor)


async def give_up(going: list[asyncio.Task[None]]) -> None:
    """End what is still under way when the cell has failed."""
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)


@pytest.mark.parametrize(("fault", "moment"), CELLS)
async def test_cell(
    stage: Stage,
    fault: Fault,
    moment: Moment,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """Everybody gets through in time, nobody twice; what has ended stays so; nothing is left behind."""
    name, _, when = request.node.callspec.id.partition(", ")
    for note, value in (("table", "Fault matrix"), ("fault", name), ("moment", when)):
        record_property(note, value)
    clock = asyncio.get_running_loop().time
    await stage.begin()
    visitors = [Visitor(stage, number, door=fault.door) for number in range(VISITORS)]
    ended, guesser = Refused(stage), Guesser(stage, expires=fault.expires)
    async with AsyncExitStack() as stack:
        for close in (*(visitor.close for visitor in visitors), ended.close, guesser.close):
            stack.push_async_callback(close)
        await asyncio.gather(*(moment.come(visitor) for visitor in visitors), ended.begin(), guesser.begin())
        before = await Before.of(stage)

        begun = clock()
        going = [asyncio.create_task(deed()) for deed in (ended.push, guesser.guess)]
        if not moment.waits:
            going += [asyncio.create_task(go_on(visitor, moment)) for visitor in visitors]
        await asyncio.sleep(0)  # what goes on is under way when the fault comes
        stack.push_async_callback(give_up, going)
        async with fault.acts(stage):
            if moment.waits and fault.gentle:
                going += [asyncio.create_task(go_on(visitor, moment)) for visitor in visitors]
            if fault.gentle:
                async with asyncio.timeout(CONVERGED):
                    await asyncio.gather(*going)
                record_property("seconds", round(clock() - begun, 1))
            await asyncio.sleep(max(0.0, begun + fault.lasts - clock()))
        if moment.waits and not fault.gentle:
            going += [asyncio.create_task(go_on(visitor, moment)) for visitor in visitors]
        over = clock()
        async with asyncio.timeout(CONVERGED):
            await asyncio.gather(*going)
        if not fault.gentle:
            record_property("seconds", round(clock() - over, 1))
        await stage.well()
        check_frames(visitors)
        newcomers = [Visitor(stage, number, door="app") for number in range(2)]
        for guest in newcomers:
            stack.push_async_callback(guest.close)
        await asyncio.gather(*(sign_in(visitor) for visitor in newcomers))
        await ended.push()
        record_property("lost answers", sum(visitor.lost for visitor in visitors))
        assert all(visitor.sessions or visitor.lost for visitor in visitors)
    await before.holds(stage)
    await check_tries(stage)
    await stage.nothing_left()
