"""The supervisor of several server processes on one port: starts them, replaces those that die, stops them together."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from subprocess import PIPE

import structlog

from cinema_grpc.addresses import LARGEST_PORT, host_and_port
from cinema_grpc.cli.exit_timer import NOT_CLEAN, SECONDS_BEYOND_GRACE
from cinema_grpc.config import BadSettings, Settings, variable, with_port

logger = structlog.get_logger()

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds until a worker that died is replaced: the first time, and at most. The pause doubles each time."""
SECONDS_OF_GOOD_HEALTH = 60.0
"""Lifetime of a worker after which its death counts as the first one again."""
SECONDS_UNTIL_KILLED = SECONDS_BEYOND_GRACE + 2.0
"""Time for workers to end beyond that for open calls. Their own exit timer runs out before, unless they are frozen."""
CANNOT_START = 2
"""The exit code of a server with a wrong setting, or whose database is not available at its start."""


@dataclass
class Workers:
    """A number of worker processes.

    Each is a new interpreter, since gRPC must not be loaded before a fork. It serves until its standard input ends,
    which happens when this process ends, however that is.

    Attributes:
        settings: The settings, which the workers read from the environment again.
        number: The number of workers.
    """

    settings: Settings
    number: int
    _running: set[asyncio.subprocess.Process] = field(default_factory=set)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _exit_code: int = 0
    _environment: dict[str, str] = field(default_factory=os.environ.copy)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            The exit code: 0 if all workers ended in good order, NOT_CLEAN if one did not, CANNOT_START if one could not
            start.

        Raises:
            BadSettings: An address can't be used.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        with ExitStack() as reserved:
            address = reserve_address(reserved, "listen_address", self.settings.listen_address)
            if self.settings.health_address is not None:
                # Any worker can answer for all of them, since they share a database and a certificate.
                health_address = reserve_address(reserved, "health_address", self.settings.health_address)
                self._environment[variable("health_address")] = health_address
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
        loop = asyncio.get_running_loop()
        pause, is_first = FIRST_PAUSE, True
        while not self._stopping.is_set():
            start = loop.time()
            try:
                code: int | None = await self._run_one(worker, address)
            except (OSError, RuntimeError) as error:  # such as too little memory; the other workers go on
                logger.error("a worker can't be started", worker=worker, error=str(error))
                code = None
            if self._stopping.is_set():
                if code not in {0, None, -signal.SIGTERM}:  # the last: it was stopped before it could serve
                    self._exit_code = self._exit_code or NOT_CLEAN
                return
            if code == CANNOT_START and is_first:  # a replacement may start later, when its database is back
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

    async def _run_one(self, worker: int, address: str) -> int:
        environment = self._environment
        if self.settings.metrics_address is not None:
            # Each has counters of its own, so a scrape must know which worker it reaches.
            metrics_address = metrics_address_of(worker, self.settings.metrics_address)
            environment = {**environment, variable("metrics_address"): metrics_address}
        process = await asyncio.create_subprocess_exec(
            # "-P": this program, not a package of its name in the working folder
            *(sys.executable, "-P", "-m", "cinema_grpc", "serve", "--no-migrate", "--worker-at", address),
            stdin=PIPE,
            env=environment,
        )
        self._running.add(process)
        if self._stopping.is_set():
            _signal(process.terminate)
        try:
            return await process.wait()
        finally:
            self._running.discard(process)

    async def _stop_all(self) -> None:
        """Let all workers finish their calls, and kill those that do not end in time."""
        for process in self._running:
            _signal(process.terminate)
        deadline = asyncio.get_running_loop().time() + self.settings.shutdown_seconds + SECONDS_UNTIL_KILLED
        while self._running and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait([asyncio.create_task(process.wait()) for process in self._running], timeout=1.0)
        for process in self._running:
            logger.error("a worker did not end in time and is killed", process_id=process.pid)
            _signal(process.kill)


def _signal(send: Callable[[], None]) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        send()


def metrics_address_of(worker: int, address: str) -> str:
    """Return where a worker serves its metrics: the first at the address, the others at the ports that follow.

    Args:
        worker: Its number, from 1 on.
        address: HOST:PORT; any free port for each worker if the port is 0.

    Raises:
        BadSettings: There is no such port.
    """
    _, port = host_and_port(address)
    if port == 0:
        return address
    if port + worker - 1 > LARGEST_PORT:
        raise BadSettings(
            f"{variable('metrics_address')}: worker {worker} would need port {port + worker - 1}; use a lower port"
        )
    return with_port(address, port + worker - 1)


def reserve_address(reserved: ExitStack, setting: str, address: str) -> str:
    """Bind a port that the workers can share, so that it stays theirs while none of them runs.

    The socket does not listen, so it receives no connection.

    Args:
        reserved: Closes the socket in the end.
        setting: The field of Settings that has the address.
        address: HOST:PORT.

    Returns:
        The address with the port that was bound.

    Raises:
        BadSettings: The address can't be bound, or another program uses it.
    """
    try:
        (family, kind, protocol, _, found), *_ = socket.getaddrinfo(*host_and_port(address), type=socket.SOCK_STREAM)
        # Bound without SO_REUSEPORT first, which fails if another program has the port, even one that shares it.
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(found)
            found = alone.getsockname()
        shared = reserved.enter_context(socket.socket(family, kind, protocol))
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(found)
    except OSError as error:
        raise BadSettings(f"{variable(setting)}: can't listen on {address}: {error.strerror or error}") from error
    return with_port(address, shared.getsockname()[1])
