"""Ten kills while people decide through the links of real mails; two hundred are `make soak`."""

from __future__ import annotations

import json

import pytest

from tests.soak.kills import trial
from tests.system import PATIENCE

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]


def test_ten_kills_over_six_open_changes_lose_nothing_and_everything_closes() -> None:
    figures = trial(kills=10, changes=6, seed=11, items=200)
    print(json.dumps(figures, ensure_ascii=False))
    assert figures["moments"] == 10
    assert figures["whole"], figures
    assert figures["recovery_seconds"]["max"] < PATIENCE, figures["slowest"]
