"""The files that settings name: which are read, and the warning of keys that other users may read."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cinema_grpc.config import Settings
from cinema_grpc.files import LARGEST_FILE, read_regular
from cinema_grpc.listening import warn_of_readable_keys


def test_what_is_read(tmp_path: Path) -> None:
    """A regular file up to a size, also through links, as Kubernetes mounts secrets."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"x" * LARGEST_FILE)
    link.symlink_to(file)
    assert read_regular(link) == b"x" * LARGEST_FILE
    file.write_bytes(b"x" * (LARGEST_FILE + 1))
    with pytest.raises(OSError, match="Larger than"):
        read_regular(file)


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o644, True), (0o620, False), (0o602, False)])
def test_only_its_owner_may_write_a_private_key(tmp_path: Path, mode: int, good: bool) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(b"key")
    file.chmod(mode)
    assert read_regular(file) == b"key"
    if good:
        assert read_regular(file, private=True) == b"key"
    else:
        with pytest.raises(OSError, match="Other users can change it"):
            read_regular(file, private=True)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """A refused file is closed."""
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/dev/fd").iterdir()))
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="Not a regular file"):
            read_regular(path)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_keys_that_everyone_may_read(tmp_path: Path) -> None:
    """A warning for each; they are accepted, since Kubernetes mounts secrets that way."""
    tls, keys = tmp_path / "tls.key", tmp_path / "keys"
    keys.mkdir()
    for file, mode in ((tls, 0o644), (keys / "1.pem", 0o600), (keys / "2.pem", 0o604)):
        file.touch(mode)
    with capture_logs() as lines:
        warn_of_readable_keys(Settings(tls_key=tls, signing_keys=keys))
    assert [line["file"] for line in lines] == [str(tls), str(keys / "2.pem")]
    assert all(line["log_level"] == "warning" and "chmod 600" in line["event"] for line in lines)
    with capture_logs() as lines:
        warn_of_readable_keys(Settings(tls_key=tmp_path / "missing"))
        warn_of_readable_keys(Settings())
    assert lines == []
