"""What all tests share: databases of both kinds, and log lines in a plain form, which a failing test shows."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import coverage
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.lent_databases import Databases
from tests.postgresql import (
    PostgresServer,
    execute,
    fetch,
    in_thread,
    make_tables,
    make_template,
    with_database,
)

structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
# The machine may be busy: an example that takes long says nothing about the product, nor that values are drawn slowly.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

KINDS = ("sqlite", "postgresql")
EMPTY = "cinema_test_empty"
SERVER = pytest.StashKey[PostgresServer]()
SERVER_URL = pytest.StashKey[str]()
DATABASES = pytest.StashKey[Databases]()
SERVER_URL_VARIABLE = "CINEMA_TEST_DATABASE_URL"
"""The URL of a server that is there already, with a user who may make databases."""

MEMORY = Path("/dev/shm")  # noqa: S108 (files in it are made as safely as elsewhere)
"""Where many systems have a file system in memory: a database there never waits for the disk."""
GIBIBYTE = 2**30
UNMEASURED = ("proofs", "replicas")
"""Folders whose tests don't count as coverage: what only chance or load comes across is not tested. They take half the
time that way."""
MEASURED_ON_EITHER = ("store",)
"""Folders whose tests tell databases apart. Others run the same code on both, which is measured on the first alone."""
OBJECTS_BETWEEN_COLLECTIONS = 50_000

Lend = Callable[[str, Path], AbstractContextManager[str]]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose where files lie, and start the server, once for all workers."""
    os.umask(0o022)  # with another one the keys that tests write might be refused, as others can change them
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > GIBIBYTE:
        tempfile.tempdir = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[SERVER_URL] = worker["server_url"]
    elif not config.option.collectonly:
        given = os.environ.get(SERVER_URL_VARIABLE)
        if given is None:
            server = config.stash[SERVER] = PostgresServer()
            server.start()
        config.stash[SERVER_URL] = given or server.url()
        in_thread(make_template(config.stash[SERVER_URL]))


def pytest_collection_finish() -> None:
    """Look for garbage as rarely as the server does: at Python's own pace that takes a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist's where the server is."""
    node.workerinput["server_url"] = node.config.stash[SERVER_URL]  # type: ignore[attr-defined] # of pytest-xdist


def is_measured(item: pytest.Item) -> bool:
    """Tell whether what a test runs through counts as coverage."""
    folder = item.path.parent.name
    if folder in UNMEASURED or item.get_closest_marker("no_cover"):
        return False
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return folder in MEASURED_ON_EITHER or "postgresql" not in parameters.values()


def stop_measuring() -> list[coverage.Coverage]:
    """Stop whatever measures coverage: in a worker of pytest-xdist's several do, each on top of the one before."""
    stopped = []
    while (measuring := coverage.Coverage.current()) is not None:
        measuring.stop()
        stopped.append(measuring)
    return stopped


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that is not measured, its fixtures and its processes without the tracer."""
    if is_measured(item) or coverage.Coverage.current() is None:
        return (yield)
    stopped = stop_measuring()
    process_config = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    try:
        return (yield)
    finally:
        if process_config is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = process_config
        stop_measuring()  # pytest-cov goes on by itself after a test marked no_cover
        for measuring in reversed(stopped):
            measuring.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server."""
    if DATABASES in config.stash and SERVER not in config.stash:
        config.stash[DATABASES].close()
    if SERVER in config.stash:
        config.stash[SERVER].close()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Tell which PostgreSQL this is."""
    if SERVER in config.stash:
        server = config.stash[SERVER]
        return f"{server.version}, from {server.binaries}"
    if SERVER_URL in config.stash:
        ((version,),) = in_thread(fetch(config.stash[SERVER_URL], "SHOW server_version"))
        return f"PostgreSQL {version}, by {SERVER_URL_VARIABLE}"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what the long forms of tests have to tell: their `figures`, a property that they record."""
    if config.option.markexpr in {"torture", "failover"}:
        for outcome in ("passed", "failed"):
            for report in terminalreporter.getreports(outcome):
                for figures in [value for name, value in report.user_properties if name == "figures"]:
                    terminalreporter.write_line(f"{report.nodeid}: {figures}")


@pytest.fixture(scope="session")
def lend(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Lend:
    """Lend databases by their kind, for as long as a context lasts; an SQLite file lies in the given folder."""
    worker = getattr(pytestconfig, "workerinput", {"workerid": "alone"})["workerid"]
    if DATABASES not in pytestconfig.stash:
        name = f"cinema_test_{os.getpid()}_{worker}"
        pytestconfig.stash[DATABASES] = Databases(pytestconfig.stash[SERVER_URL], name)
    databases = pytestconfig.stash[DATABASES]

    empty_file = tmp_path_factory.mktemp("template") / "cinema.db"
    in_thread(make_tables(f"sqlite+aiosqlite:///{empty_file}"))

    @contextmanager
    def lent(kind: str, folder: Path) -> Iterator[str]:
        if kind == "sqlite":
            shutil.copy(empty_file, folder / "cinema.db")
            yield f"sqlite+aiosqlite:///{folder}/cinema.db"
        else:
            with databases.lend() as url:
                yield url

    return lent


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, lend: Lend, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of each kind in turn, with all tables and nothing in them."""
    with lend(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def postgresql_url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with lend("postgresql", tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
async def empty_url(request: pytest.FixtureRequest, lend: Lend, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database of each kind, in which there is nothing at all."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'cinema.db'}"
        return
    with lend(request.param, tmp_path) as server_url:
        name = f"{EMPTY}_{os.getpid()}"
        await execute(server_url, f"CREATE DATABASE {name}")
        yield with_database(server_url, name)
        await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
