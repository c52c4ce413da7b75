"""One system for all tests of flows: a Prefect server takes long to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system with the small office and a short hot window."""
    home: Path = tmp_path_factory.mktemp("office")
    made = System(home, {"SHIXIANG_HOT_SECONDS": "1", "SHIXIANG_COLLECT_MINUTES": "0"})
    made.up()
    yield made
    made.down()
