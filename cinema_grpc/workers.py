"""Several server processes on one port: started, watched, replaced when they die, and stopped together."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from subprocess import PIPE

import structlog

from cinema_grpc.config import PREFIX, BadSettings, Settings, with_port
from cinema_grpc.hard_end import NOT_CLEAN, SECONDS_BEYOND_GRACE

logger = structlog.get_logger()

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds until a worker that died is replaced, at first and at most; twice as many each time."""
SECONDS_OF_GOOD_HEALTH = 60.0
"""How long a worker has to live until its death counts as the first one again."""
SECONDS_UNTIL_KILLED = SECONDS_BEYOND_GRACE + 2.0
"""How long workers may take to end beyond what running calls may take, before they are killed. They exit before that by
themselves, unless they are frozen."""
CANNOT_START = 2
"""The exit code of a server that is told something wrong, or whose database is away as it starts."""


@dataclass
class Workers:
    """The processes that serve.

    Each is an interpreter of its own, started afresh: nothing of gRPC may be there before a process is. It serves until
    its standard input ends, which it does with this process, however that ends.

    Attributes:
        settings: What the environment said, which the workers read for themselves.
        number: How many there are.
    """

    settings: Settings
    number: int
    _running: set[asyncio.subprocess.Process] = field(default_factory=set)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _exit_code: int = 0
    _environment: dict[str, str] = field(default_factory=os.environ.copy)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code.

        That is 0 if all ended in good order, NOT_CLEAN if one did not, and CANNOT_START if one could not start.

        Raises:
            BadSettings: An address can't be had.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        with ExitStack() as held:
            address = take_address(held, "LISTEN_ADDRESS", self.settings.listen_address)
            if self.settings.health_address is not None:
                # Whichever worker is asked answers for all of them: they share a database and a certificate.
                self._environment[f"{PREFIX}HEALTH_ADDRESS"] = take_address(
                    held, "HEALTH_ADDRESS", self.settings.health_address
                )
            logger.info("starting workers", workers=self.number, address=address)
            async with asyncio.TaskGroup() as group:
                for worker in range(1, self.number + 1):
                    group.create_task(self._keep_alive(worker, address))
                await self._stopping.wait()
                logger.info("stopping workers")
                await self._stop_all()
        logger.info("stopped workers")
        return self._exit_code

    async def _keep_alive(self, worker: int, address: str) -> None:
        """Run a worker, and another one in its place whenever it ends."""
        loop = asyncio.get_running_loop()
        pause, is_first = FIRST_PAUSE, True
        while not self._stopping.is_set():
            start = loop.time()
            try:
                code: int | None = await self._run_one(address)
            except OSError as error:  # there is no memory for it just now, say; the other workers go on
                logger.error("a worker can't be started", worker=worker, error=str(error))
                code = None
            if self._stopping.is_set():
                if code not in {0, None}:
                    self._exit_code = self._exit_code or NOT_CLEAN
                return
            if code == CANNOT_START and is_first:  # it has said why; one that takes another's place may do so later
                self._exit_code = CANNOT_START
                self._stopping.set()
                return
            is_first = False
            if loop.time() - start > SECONDS_OF_GOOD_HEALTH:
                pause = FIRST_PAUSE
            logger.error("a worker died and is replaced", worker=worker, exit_code=code, next_try_seconds=pause)
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _run_one(self, address: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cinema_grpc", "serve", "--no-migrate", "--worker-at", address),
            stdin=PIPE,
            env=self._environment,
        )
        self._running.add(process)
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._running.discard(process)

    async def _stop_all(self) -> None:
        """Have all workers finish their calls; those that do not end in time are killed."""
        for process in self._running:
            process.terminate()
        deadline = asyncio.get_running_loop().time() + self.settings.shutdown_seconds + SECONDS_UNTIL_KILLED
        while self._running and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait([asyncio.create_task(process.wait()) for process in self._running], timeout=1.0)
        for process in self._running:
            logger.error("a worker did not end in time and is killed", process_id=process.pid)
            process.kill()


def take_address(held: ExitStack, setting: str, address: str) -> str:
    """Take a port that the workers can share, and hold it, so that it stays theirs while none of them runs.

    Nobody is ever connected to the socket that is held: it does not listen.

    Args:
        held: Holds it.
        setting: The setting that names the address, without its prefix.
        address: Where.

    Returns:
        The address with the port that was taken.

    Raises:
        BadSettings: It can't be had, or another program has it.
    """
    host, _, port = address.rpartition(":")
    try:
        (family, kind, protocol, _, found), *_ = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )
        with socket.socket(family, kind, protocol) as alone:  # who shares a port with strangers does not notice
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(found)
            found = alone.getsockname()
        shared = held.enter_context(socket.socket(family, kind, protocol))
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(found)
    except OSError as error:
        raise BadSettings(f"{PREFIX}{setting}: can't listen on {address}: {error.strerror or error}") from error
    return with_port(address, shared.getsockname()[1])
