"""The limits: their settings, and the options of gRPC that they become."""

from pathlib import Path

import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined] # of gRPC itself

from cinema_grpc.config import Settings
from cinema_grpc.listening import limits_of
from cinema_grpc.transport.limits import Limits

LIBRARY = Path(cygrpc.__file__).read_bytes()


@pytest.mark.parametrize("name", [name for name, _ in Limits().options()])
def test_every_option_is_one_of_the_library(name: str) -> None:
    """gRPC ignores options that it does not know."""
    assert f"{name}\0".encode() in LIBRARY


def test_an_option_that_is_not_one_would_be_found() -> None:
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms\0" not in LIBRARY


def test_each_is_a_setting() -> None:
    """Of the same name, default and effect."""
    assert limits_of(Settings()) == Limits()
    chosen = limits_of(Settings(calls_at_once=7, send_seconds=0.5))
    assert (chosen.calls_at_once, chosen.send_seconds) == (7, 0.5)
