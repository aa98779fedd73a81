"""PostgreSQL databases that can't keep any text, and roles that lack rights: refused in one line, or NOT_SERVING."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import SECRET, run_here
from tests.postgresql import execute, in_thread, with_database
from tests.rpc.conftest import refusal, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def refused(folder: Path, url: str, *arguments: str) -> str:
    """Run a command that refuses a database; return the line that it writes."""
    settings = {"CINEMA_JWT_SECRET": SECRET, "CINEMA_STAFF_PASSWORD": "a long and private one"}
    ended = run_here(folder, *arguments, CINEMA_DATABASE_URL=url, **settings)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cinema: CINEMA_DATABASE_URL: the database can't be used: ")
    return line


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
    def test_of_the_database(self, postgresql_url: str, tmp_path: Path, encoding: str) -> None:
        name = f"cinema_test_in_{encoding.lower()}"
        in_thread(execute(postgresql_url, f"DROP DATABASE IF EXISTS {name}"))
        options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        in_thread(execute(postgresql_url, f"CREATE DATABASE {name} {options}"))
        for arguments in (("serve",), ("serve", "--no-migrate"), ("migrate",), ("audit",), ("create-staff", "boss")):
            line = refused(tmp_path, with_database(postgresql_url, name), *arguments)
            assert f"server_encoding is {encoding} and has to be UTF8" in line
        in_thread(execute(postgresql_url, f"DROP DATABASE {name}"))

    def test_of_the_connection(self, postgresql_url: str, tmp_path: Path) -> None:
        line = refused(tmp_path, f"{postgresql_url}&client_encoding=LATIN1", "serve")
        assert "client_encoding is LATIN1 and has to be UTF8" in line


@dataclass
class Role:
    """A role that may do what the server does in a database, and the URL by which it connects."""

    name: str
    url: str
    owner_url: str

    def sql(self, statement: str) -> None:
        """Have the owner of the database run a statement, with the role's name in place of ROLE."""
        in_thread(execute(self.owner_url, statement.replace("ROLE", self.name)))


@pytest.fixture
def role(postgresql_url: str) -> Iterator[Role]:
    name = "role_of_" + re.findall(r"cinema_test_\w+", postgresql_url)[0]
    role = Role(name, re.sub("//[^@]*@", f"//{name}:secret@", postgresql_url), postgresql_url)
    role.sql("CREATE USER ROLE PASSWORD 'secret'")
    role.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE")
    yield role
    role.sql("DROP OWNED BY ROLE; DROP USER ROLE")


class TestRights:
    def test_that_are_missing_at_the_start(self, role: Role, tmp_path: Path) -> None:
        """Each command names those that it needs and no others."""
        role.sql("REVOKE DELETE, UPDATE ON seat_claim FROM ROLE")
        line = refused(tmp_path, role.url, "serve")
        assert line.endswith(f"the role {role.name} lacks UPDATE, DELETE on seat_claim")
        assert "lacks UPDATE, DELETE on seat_claim" in refused(tmp_path, role.url, "serve", "--workers", "2")
        assert run_here(tmp_path, "audit", CINEMA_DATABASE_URL=role.url).returncode == 0
        role.sql("REVOKE ALL ON account, seat_claim FROM ROLE; GRANT INSERT ON account TO ROLE")
        ended = run_here(tmp_path, "report", "none", CINEMA_DATABASE_URL=role.url)
        assert ended.stderr == "cinema: there is no cinema 'none'\n"
        role.sql("GRANT SELECT ON account, seat_claim TO ROLE; REVOKE SELECT ON refund FROM ROLE")
        assert "lacks SELECT on refund" in refused(tmp_path, role.url, "audit")
        assert "lacks SELECT on refund" in refused(tmp_path, role.url, "report", "none")
        role.sql("REVOKE INSERT ON account FROM ROLE")
        assert "lacks INSERT on account" in refused(tmp_path, role.url, "create-staff", "boss")

    def test_a_role_that_may_make_no_tables(self, postgresql_url: str, role: Role, tmp_path: Path) -> None:
        name = "cinema_test_without_tables"
        in_thread(execute(postgresql_url, f"DROP DATABASE IF EXISTS {name}"))
        in_thread(execute(postgresql_url, f"CREATE DATABASE {name}"))
        in_thread(execute(with_database(postgresql_url, name), "REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        assert "permission denied" in refused(tmp_path, with_database(role.url, name), "migrate")
        in_thread(execute(postgresql_url, f"DROP DATABASE {name}"))

    @pytest.mark.parametrize(
        ("taken", "given"),
        [
            ("REVOKE SELECT ON seat_claim FROM ROLE", "GRANT SELECT ON seat_claim TO ROLE"),
            ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO PUBLIC"),
        ],
    )
    async def test_that_are_taken_away_later(self, role: Role, taken: str, given: str) -> None:
        """Calls are refused as UNAVAILABLE, and the server is not healthy, until the rights are back."""
        async with running(role.url) as app:
            showtime_id = (await app.showtime()).showtime_id
            await app.customer()
            watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
            assert (await watch.read()).status == SERVING
            role.sql(taken)
            assert (await refusal(app.book(showtime_id, "A1"))).reason == "STORAGE_UNAVAILABLE"
            app.server.watch_storage.wake()
            assert (await watch.read()).status == NOT_SERVING
            role.sql(given)
            app.server.watch_storage.wake()
            assert (await watch.read()).status == SERVING
            assert (await app.book(showtime_id, "A1", "A2")).seats
            watch.cancel()
