"""The descriptor set of `make protoset`, for tools without reflection."""

import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.e2e.conftest import SECONDS

pytestmark = pytest.mark.examples
PROJECT = Path(__file__).parents[2]
BUF = PROJECT / ".venv/bin/buf"
LEADING_COMMENT_OF_FIRST_SERVICE = [6, 0]


@pytest.fixture(scope="module")
def protoset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, made by this test."""
    file = tmp_path_factory.mktemp("protoset") / "cinema-v1.binpb"
    make = shutil.which("make")
    assert make is not None
    subprocess.run([make, "protoset", f"PROTOSET={file}"], cwd=PROJECT, timeout=SECONDS, check=True)  # noqa: S603
    return file


def test_it_has_every_service_with_its_comment_and_all_imports(protoset: Path) -> None:
    """And google.rpc, which the details of errors need although no proto imports it."""
    files = {each.name: each for each in FileDescriptorSet.FromString(protoset.read_bytes()).file}
    assert {name for each in files.values() for name in each.dependency} <= set(files)
    assert "google/rpc/error_details.proto" in files
    services = [each for each in files.values() if each.package == "cinema.v1" and each.service]
    assert len(services) >= 6
    for each in services:
        comments = [
            at.leading_comments for at in each.source_code_info.location if at.path == LEADING_COMMENT_OF_FIRST_SERVICE
        ]
        assert comments[0].strip()


def test_buf_calls_a_server_without_reflection_by_it(protoset: Path, address: str) -> None:
    """The call of docs/clients.md; without the descriptor set it fails."""
    url = f"http://{address}/cinema.v1.ShowtimeService/ListShowtimes"
    options = ("--protocol", "grpc", "--http2-prior-knowledge", "-d", '{"page_size": 3}')
    call: list[str | Path] = [BUF, "curl", *options, url]
    without = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    by_schema = [*call, "--schema", protoset]
    ended = subprocess.run(by_schema, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    assert without.returncode != 0
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count('"showtimeId"') == 3
