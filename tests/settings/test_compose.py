"""The Compose files: what an operator writes into `.env` has an effect, and what has ended is started again."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVERS = ("app", "replica", "demo")


def services(file: str) -> dict[str, dict[str, Any]]:
    """Return the services that run until they are stopped."""
    found = yaml.safe_load((ROOT / file).read_text())["services"]
    return {name: each for name, each in found.items() if name != "test"}


@pytest.mark.parametrize("file", ["compose.yaml", "deploy/compose/compose.yaml"])
def test_services(file: str) -> None:
    found = services(file)
    assert {name: each.get("restart") for name, each in found.items()} == dict.fromkeys(found, "unless-stopped")
    servers = [each for name, each in found.items() if name in SERVERS]
    assert servers
    assert all(each["env_file"] == [{"path": ".env", "required": False}] for each in servers)
