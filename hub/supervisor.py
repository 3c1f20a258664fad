"""Several worker processes on one listening socket: started, watched, replaced one by one, ended together.

Each worker holds one end of a socket pair. It writes a byte there once it serves, and drains when the other
end is closed: by the supervisor that wants it to go, or by the kernel because the supervisor has died. So no
signal that a terminal or an init system sends to all processes can be counted twice.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence

import structlog

log = structlog.stdlib.get_logger("hub.supervisor")

READY_TIME = 30.0  # seconds a worker may take until it serves
LEAVE_TIME = 25.0  # seconds it may take to drain and end
_PAUSE, _LONGEST_PAUSE = 0.5, 15.0  # seconds before a worker that died is replaced
_STARTED, _FAILED = 0, 3  # exit codes


class Worker:
    """One process, and this end of its socket pair."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel
        self.ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, command: Sequence[str], listener: socket.socket) -> "Worker":
        """Run *command* with the two sockets as `--listener-fd` and `--supervisor-fd`. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        fds = (listener.fileno(), theirs.fileno())
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                *command,
                f"--listener-fd={fds[0]}",
                f"--supervisor-fd={fds[1]}",
                pass_fds=fds,
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
            )
            undo.pop_all()
        return cls(process, ours)

    async def ready(self) -> bool:
        """Wait until it serves; False where it ends, or takes too long."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(READY_TIME):
                return bool(await asyncio.get_running_loop().sock_recv(self._channel, 1))
        return False

    def leave(self) -> None:
        """Let it drain and end."""
        self._channel.close()

    async def end(self) -> None:
        """Let it drain, for LEAVE_TIME at most, and return when it is gone."""
        self.leave()
        await asyncio.wait([self.ended], timeout=LEAVE_TIME)
        self.kill()
        await self.ended

    def kill(self) -> None:
        """End it at once, where it still runs."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()


class Supervisor:
    """Keeps *count* workers running *command* on *listener*, until SIGTERM or SIGINT.

    SIGHUP replaces them one by one: each successor serves before its predecessor is sent away, and where one
    cannot start, those that run stay. *ended* is told the process id of each worker that is gone.
    """

    def __init__(
        self, command: Sequence[str], listener: socket.socket, count: int, ended: Callable[[int], None]
    ) -> None:
        self._command = command
        self._listener = listener
        self._count = count
        self._ended = ended
        self._workers: list[Worker] = []
        self._alive: set[Worker] = set()  # those, and whoever comes or goes
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._replacing = asyncio.Lock()

    async def run(self) -> int:
        """Supervise to the end, and return the exit code: 3 where the workers could not start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._replace_all()))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            async with self._replacing:
                started = await self._start()
            if started:
                log.info("workers_ready", workers=self._count)
                await self._stopping.wait()
            return _STARTED if started else _FAILED
        finally:
            self._stopping.set()
            self._listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.gather(*(worker.end() for worker in self._alive))

    def _stop(self) -> None:
        """Begin to stop; the second time, at once."""
        if self._stopping.is_set():
            for worker in self._alive:
                worker.kill()
        self._stopping.set()

    async def _start(self) -> bool:
        """Start all, and tell whether each of them serves, unless told to stop meanwhile."""
        self._workers = [await self._begin() for _ in range(self._count)]
        ready = asyncio.create_task(self._ready())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([ready, stopping], return_when=asyncio.FIRST_COMPLETED)
        for waiting in (ready, stopping):
            waiting.cancel()
        if not self._stopping.is_set() and not await ready:
            return False
        for worker in self._workers:
            self._spawn(self._watch(worker))
        return True

    async def _ready(self) -> bool:
        return all(await asyncio.gather(*(worker.ready() for worker in self._workers)))

    async def _begin(self) -> Worker:
        worker = await Worker.start(self._command, self._listener)
        self._alive.add(worker)
        worker.ended.add_done_callback(lambda _: self._bury(worker))
        return worker

    def _bury(self, worker: Worker) -> None:
        self._alive.discard(worker)
        worker.leave()
        self._ended(worker.process.pid)

    async def _watch(self, worker: Worker) -> None:
        """When *worker* has died of itself, put another one in its place, however many tries that takes."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        code = await asyncio.shield(worker.ended)
        pause = _PAUSE if loop.time() - begun > _LONGEST_PAUSE else 2 * _PAUSE
        while worker in self._workers:
            log.error("worker_died", pid=worker.process.pid, code=code, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            async with self._replacing:
                if worker in self._workers and await self._replace(worker):
                    return

    async def _replace_all(self) -> None:
        """Put a fresh process in the place of each worker, one after the other."""
        async with self._replacing:
            for worker in tuple(self._workers):
                if not await self._replace(worker):
                    log.error("reload_stopped")
                    return
                await worker.end()
        log.info("reloaded", workers=self._count)

    async def _replace(self, worker: Worker) -> bool:
        """Start a successor, and tell whether it serves and has taken the place of *worker*."""
        try:
            successor = await self._begin()
        except OSError as error:  # too many processes, or no memory for one more
            log.error("worker_not_started", reason=str(error))
            return False
        if not await successor.ready():
            await successor.end()
            return False
        self._workers[self._workers.index(worker)] = successor
        self._spawn(self._watch(successor))
        return True

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
