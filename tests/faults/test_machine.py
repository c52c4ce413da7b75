"""The office under everything at once, beside a plain model of it: 2,000 steps here, many more by `make soak`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from models.store.database import Database
from models.tables import metadata
from tests.conftest import emptied
from tests.faults.machine import Counts, OfficeMachine, the_office


def many(examples: int, steps: int) -> settings:
    """So many offices of so many steps, the same ones each time."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(900)
def test_two_thousand_steps_leave_nothing_lost_doubled_or_unsaid() -> None:
    class Machine(OfficeMachine):
        counts = Counts()

    run_state_machine_as_test(Machine, settings=many(80, 40))
    assert Machine.counts.steps >= 2000
    assert {"decide", "leg", "stale", "old page", "take out", "withdraw", "time"} <= Machine.counts.rules.keys()


@pytest.mark.timeout(300)
def test_postgresql_answers_as_the_plain_office_does(postgres_address: str) -> None:
    class Machine(OfficeMachine):
        counts = Counts()

        def new_database(self) -> Database:
            emptied(postgres_address).close()
            db = Database(postgres_address)
            metadata.create_all(db.engine)
            the_office(db)
            return db

    run_state_machine_as_test(Machine, settings=many(6, 30))
    assert Machine.counts.steps >= 100
