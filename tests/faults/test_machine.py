"""The office under everything at once, beside a plain model of it: 2,000 steps here, many more by `make soak`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.machine import Counts, OfficeMachine


@pytest.mark.timeout(900)
def test_two_thousand_steps_leave_nothing_lost_doubled_or_unsaid() -> None:
    class Machine(OfficeMachine):
        counts = Counts()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Machine.counts.steps >= 2000
    assert {"decide", "leg", "stale", "old page", "take out", "withdraw", "time"} <= Machine.counts.rules.keys()
