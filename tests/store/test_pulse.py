"""The pulse over a Prefect that answers as told: what it starts, wakes, heals and leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from deployments import pulse as pulse_module
from deployments.client import RunState
from deployments.pulse import DEAD_SECONDS, FIRST_PAUSE, SILENT_SECONDS, Pulse
from models import clock
from models.actions.engine import engine_seen, wake_for
from models.actions.starting import register, started
from models.domain.errors import Unusable
from models.settings import Settings
from models.store.change import CHANGE
from models.store.database import Database
from models.store.views import log_rows
from tasks.wiring import Office
from tests.factories import small_office


class Prefect:
    """Runs by id with their state; every call is noted."""

    def __init__(self) -> None:
        self.runs: dict[str, RunState] = {}
        self.calls: list[str] = []
        self.fails: Unusable | None = None
        self.there = True
        self.deployed = True

    def deployment_is_gone(self, state: RunState) -> bool:
        self.calls.append(f"deployment of {state.name}")
        return not self.deployed

    def healthy(self) -> bool:
        return self.there

    def start(self, change_id: str, trigger: str, attempt: int) -> str:
        self.calls.append(f"start {attempt}")
        if self.fails is not None:
            raise self.fails
        self.runs[f"run-{attempt}"] = RunState("SCHEDULED", "Scheduled")
        return f"run-{attempt}"

    def state(self, run: str) -> RunState | None:
        self.calls.append(f"state {run}")
        if self.fails is not None:
            raise self.fails
        return self.runs.get(run)

    def reschedule(self, run: str) -> bool:
        self.calls.append(f"reschedule {run}")
        return True

    def cancel(self, run: str, message: str) -> None:
        self.calls.append(f"cancel {run}")
        self.runs[run] = RunState("CANCELLED", "Cancelled")

    def awake(self, runs: Sequence[str]) -> dict[str, RunState | None]:
        return {run: self.runs.get(run) for run in runs if self.runs.get(run, RunState("", "")).type != "PAUSED"}


class Room:
    """A pulse, its Prefect, a clock of seconds and one change with old work."""

    def __init__(self, db: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.db, self.prefect, self.seconds, self.deployed = db, Prefect(), 1000.0, 0
        monkeypatch.setattr("deployments.pulse.time.monotonic", lambda: self.seconds)
        now = clock.now() - timedelta(minutes=1)
        small_office(db, now)
        item = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["change_guide"]}
        params = {"title": "压缩时限", "effective_on": None, "items": [{**item, "set": {"promised_days": 7}}]}
        self.change = register(
            db, trigger="agency_request", params=params, by="p-zhou", via="test", key="k", now=now
        ).id
        self.office = Office(db=db, settings=Settings(home=home), engine_id="mine")
        client: Any = self.prefect
        self.pulse = Pulse(self.office, client, lambda: None, self.deploy)

    def deploy(self) -> None:
        self.deployed += 1

    def set(self, **values: Any) -> None:
        with self.db.writer() as connection:
            connection.execute(update(CHANGE).where(CHANGE.c.id == self.change).values(**values))

    def runs(self, type: str, name: str = "", **values: Any) -> None:
        """The change has a run in this state."""
        started(self.db, change_id=self.change, attempt=1, flow_run_id="run-1")
        self.prefect.runs["run-1"] = RunState(type, name or type.title())
        if values:
            self.set(**values)

    def beats(self, seconds: float) -> None:
        """The pulse beats for so long, twice a second."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.pulse.beat()
            self.seconds += 0.5

    def reasons(self) -> list[str]:
        """Why each new attempt was made, as the log of the change says."""
        with self.db.reader() as connection:
            return [line["data"]["reason"] for line in log_rows(connection, self.change) if line["verb"] == "续办"]


@pytest.fixture
def room(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(db, tmp_path, monkeypatch)


def test_a_change_without_a_run_gets_one(room: Room) -> None:
    room.beats(1)
    assert wake_for(room.db, change_id=room.change).flow_run_id == "run-1"


def test_after_prefect_was_away_for_an_hour_nobody_waits_longer_than_before(room: Room) -> None:
    room.prefect.fails, room.prefect.there = Unusable("prefect_away", "连不上"), False
    room.beats(600)
    room.prefect.fails, room.prefect.there = None, True
    room.beats(1)
    assert wake_for(room.db, change_id=room.change).flow_run_id == "run-1"


def test_a_missing_deployment_is_made_again_at_once_and_holds_up_nobody_else(room: Room) -> None:
    room.prefect.fails = Unusable("prefect_away", "没有部署", deployment="agency_request")
    room.beats(1)
    assert room.deployed == 1


def test_a_sleeping_run_with_old_work_is_woken(room: Room) -> None:
    room.runs("PAUSED", "Suspended")
    room.beats(0.5)
    assert "reschedule run-1" in room.prefect.calls


@pytest.mark.parametrize(
    ("state", "leg_engine", "most"),
    [
        ("RUNNING", "dead", FIRST_PAUSE + DEAD_SECONDS + 1),
        ("RUNNING", "mine", FIRST_PAUSE + DEAD_SECONDS + 1),
        ("RUNNING", "living", SILENT_SECONDS + 4),
        ("PENDING", "dead", SILENT_SECONDS + 4),
    ],
)
def test_a_run_nobody_carries_is_queued_again_well_within_half_a_minute(
    room: Room, state: str, leg_engine: str, most: float
) -> None:
    engine_seen(room.db, engine_id="living", pid=1, host="h", now=clock.now() + timedelta(seconds=30))
    room.runs(state, leg_no=1, parked_leg=1, leg_engine=leg_engine)
    room.beats(most)
    assert "reschedule run-1" in room.prefect.calls
    assert most < 20


def test_a_change_that_was_tried_in_vain_for_long_is_looked_at_again_within_ten_seconds(room: Room) -> None:
    room.runs("SCHEDULED")
    room.beats(300)
    room.prefect.runs["run-1"] = RunState("PAUSED", "Suspended")
    room.beats(10.5)
    assert "reschedule run-1" in room.prefect.calls


def test_a_leg_that_is_alive_in_this_engine_is_left_alone_for_a_while(room: Room) -> None:
    room.runs("RUNNING", leg_no=1, parked_leg=1, leg_engine="mine")
    room.office.legs[room.change] = 1
    room.beats(SILENT_SECONDS - 3)
    assert "reschedule run-1" not in room.prefect.calls


def test_a_leg_that_takes_long_to_be_suspended_is_woken_soon_after(room: Room) -> None:
    room.runs("RUNNING", leg_no=1, parked_leg=1, leg_engine="mine")
    room.office.legs[room.change] = 1
    room.beats(SILENT_SECONDS - 1)
    room.prefect.runs["run-1"] = RunState("PAUSED", "Suspended")
    room.beats(FIRST_PAUSE + 0.5)
    assert "reschedule run-1" in room.prefect.calls


def test_a_run_cancelled_while_nobody_decides_is_replaced_and_the_log_says_why(room: Room) -> None:
    room.runs("PAUSED", "Suspended", consumed_seq=CHANGE.c.work_seq)
    assert room.pulse.look_round() == 0
    room.prefect.runs["run-1"] = RunState("CANCELLED", "Cancelled")
    assert room.pulse.look_round() == 1
    assert wake_for(room.db, change_id=room.change).attempt == 2
    room.prefect.runs.pop("run-2")
    room.seconds += FIRST_PAUSE
    assert room.pulse.look_round() == 1
    assert wake_for(room.db, change_id=room.change).attempt == 3


@pytest.mark.parametrize(
    ("seconds", "others", "waked"),
    [
        pytest.param(-1, 0, True, id="by a dead engine"),
        pytest.param(1, 0, False, id="perhaps by this one"),
        pytest.param(-1, 1, False, id="perhaps by the other one"),
    ],
)
def test_a_run_that_was_taken_up_and_not_begun_is_waked_soon_where_that_was_a_dead_engine(
    room: Room, seconds: int, others: int, waked: bool
) -> None:
    room.runs("PENDING", leg_no=1, parked_leg=1, leg_engine="dead")
    for name in ["mine", "another"][: 1 + others]:
        engine_seen(room.db, engine_id=name, pid=1, host="h", now=clock.now())
    room.prefect.runs["run-1"] = RunState("PENDING", "Pending", datetime.now(UTC) + timedelta(seconds=seconds))
    room.beats(FIRST_PAUSE + DEAD_SECONDS + 1)
    assert ("reschedule run-1" in room.prefect.calls) == waked
    room.beats(2 * SILENT_SECONDS)
    assert "reschedule run-1" in room.prefect.calls


def test_a_run_whose_cancelling_nobody_ends_is_ended_and_replaced(room: Room) -> None:
    room.runs("CANCELLING", leg_no=1, parked_leg=1, leg_engine="mine")
    room.beats(FIRST_PAUSE + DEAD_SECONDS + 1)
    assert "cancel run-1" in room.prefect.calls
    assert wake_for(room.db, change_id=room.change).attempt == 2
    assert room.reasons() == ["原运行在取消中无人收尾"]


def test_a_run_that_is_to_begin_is_replaced_where_its_deployment_was_deleted_and_waits_otherwise(room: Room) -> None:
    room.runs("SCHEDULED", leg_no=1, parked_leg=1, leg_engine="mine")
    room.beats(30)
    assert wake_for(room.db, change_id=room.change).attempt == 1, "a pool may be paused"
    room.prefect.deployed = False
    room.beats(11)
    assert "cancel run-1" in room.prefect.calls
    assert wake_for(room.db, change_id=room.change).attempt == 2
    assert room.reasons() == ["原运行所属的部署已被删除"]


def test_a_run_cancelled_at_work_is_replaced_though_nobody_decides(room: Room) -> None:
    room.runs("CANCELLING", leg_no=1, parked_leg=1, leg_engine="mine", consumed_seq=CHANGE.c.work_seq)
    room.office.legs[room.change] = 1
    room.pulse.look_round()
    room.seconds += SILENT_SECONDS - 1
    assert room.pulse.look_round() == 0, "its leg is at work"
    del room.office.legs[room.change]
    room.seconds += 20
    assert room.pulse.look_round() == 1
    assert wake_for(room.db, change_id=room.change).attempt == 2


def test_a_flow_that_fails_at_once_does_not_make_hundreds_of_runs(room: Room) -> None:
    room.runs("FAILED")

    for _ in range(60):  # ten minutes
        room.pulse.beat()
        room.seconds += 10
        attempt = wake_for(room.db, change_id=room.change).attempt
        room.prefect.runs[f"run-{attempt}"] = RunState("FAILED", "Failed")
    assert 3 <= wake_for(room.db, change_id=room.change).attempt <= 12


def test_the_round_comes_to_every_change_in_turn(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "A_ROUND", 1)
    room.runs("PAUSED", consumed_seq=CHANGE.c.work_seq)
    room.pulse.look_round()
    room.pulse.look_round()
    room.prefect.runs.clear()
    room.pulse.look_round()
    assert wake_for(room.db, change_id=room.change).attempt == 2
