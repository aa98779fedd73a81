"""TLS to PostgreSQL, as the URL asks for it: which servers are trusted, and the errors for others."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.e2e.conftest import run_here
from tests.postgresql import SPEED, PostgresServer, fetch, free_port, in_thread

NAME = "localhost"
"""What the server's certificate is for; 127.0.0.1 is it not."""


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what the server's authority is trusted by, right.pem, and what another one is, wrong.pem."""
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def server(authorities: Path) -> Iterator[PostgresServer]:
    """A server that speaks TLS alone over TCP."""
    authority = Authority()
    (authorities / "right.pem").write_bytes(authority.certificate)
    (authorities / "wrong.pem").write_bytes(Authority().certificate)
    server = PostgresServer((*SPEED[:-1], "ssl=on"), port=free_port())
    with closing(server):
        if not server.speaks_tls:
            pytest.skip(f"{server.version} from {server.binaries} was built without TLS")
        for name, content in zip(("server.key", "server.crt"), authority.issue(NAME), strict=True):
            file = server.data / name
            file.write_bytes(content)
            file.chmod(0o600)
            shutil.chown(file, server.data.stat().st_uid, server.data.stat().st_gid)
        (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        server.start()
        yield server


def migrate(server: PostgresServer, authorities: Path, host: str, parameters: str) -> tuple[int, str]:
    """Run `cinema migrate`; return its exit code and its output, without the database that it names."""
    url = server.url().replace("127.0.0.1", host) + "?" + parameters.replace("{folder}", str(authorities))
    ended = run_here(authorities, "migrate", CINEMA_DATABASE_URL=url)
    return ended.returncode, ended.stdout.partition(" in postgresql")[0] + ended.stderr


def test_the_right_authority(server: PostgresServer, authorities: Path) -> None:
    """Is checked against, and so is the name; then the conversation is encrypted."""
    parameters = "sslmode=verify-full&sslrootcert={folder}/right.pem"
    assert migrate(server, authorities, NAME, parameters) == (0, "the schema is up to date")
    url = server.url().replace("127.0.0.1", NAME) + f"?sslmode=verify-full&sslrootcert={authorities}/right.pem"
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert in_thread(fetch(url, query)) == [(True,)]


def test_a_home_folder_that_can_not_be_looked_into(
    server: PostgresServer, authorities: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Does not matter for a server whose URL names no file in it, with TLS or without."""
    with closing(PostgresServer(SPEED[:-1], port=free_port())) as without_tls:
        without_tls.start()
        monkeypatch.setenv("HOME", "/" + "x" * 300)  # another user's would not keep root out
        for each in (server, without_tls):
            assert migrate(each, authorities, "127.0.0.1", "") == (0, "the schema is up to date")


@pytest.mark.parametrize(
    ("host", "parameters", "hint"),
    [
        (NAME, "sslmode=verify-full&sslrootcert={folder}/wrong.pem", "certificate verify failed"),
        (NAME, "sslmode=verify-ca&sslrootcert={folder}/wrong.pem", "certificate verify failed"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={folder}/right.pem", "not valid for '127.0.0.1'"),
        (NAME, "sslmode=disable", "no pg_hba.conf entry"),
    ],
)
def test_who_is_refused(server: PostgresServer, authorities: Path, host: str, parameters: str, hint: str) -> None:
    """And told so in one line, before anything starts."""
    code, output = migrate(server, authorities, host, parameters)
    assert code == 2
    (line,) = output.splitlines()
    assert line.startswith("cinema: CINEMA_DATABASE_URL: the database can't be used: ")
    assert hint in line
