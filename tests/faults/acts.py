"""What people and the machine do in a race: each act is one call of the product, in a process of its own."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from deployments.client import PrefectClient, RunState
from deployments.pulse import Pulse
from models.actions import engine, legs, signing, starting, steering
from models.actions.desk import decide as verb_decide
from models.actions.desk import desk as verb_desk
from models.actions.load import load as verb_load
from models.actions.views import change_show
from models.domain.errors import Refusal
from models.settings import Settings
from models.store.database import Database
from models.store.migrate import migrate as verb_migrate
from models.store.outbox import SqlOutbox
from notifications.channel import Outcome as Sent
from notifications.deliverer import Claimed, Deliverer
from tasks.wiring import Office


def decide(db: Database, *, person: str, change: str, body: dict[str, Any], at: datetime) -> list[str]:
    """A person submits what he sees; the verdicts recorded."""
    decided = verb_decide(db, person_id=person, change_id=change, body=body, via="link", now=at)
    return [row["verdict"] for row in decided.answer["recorded"]]


def reassign(db: Database, *, step: str, to: str, at: datetime, assignment: str | None = None) -> None:
    """The coordinator gives a step, or one assignment of it, to another person."""
    steering.reassign(db, step_id=step, to=to, by="p-zhou", reason="出差", assignment_id=assignment, now=at)


def withdraw(db: Database, *, change: str, at: datetime) -> None:
    """The coordinator withdraws the change."""
    steering.withdraw(db, change_id=change, by="p-zhou", reason="不再需要", now=at)


def take_out(db: Database, *, adjustment: str, at: datetime) -> None:
    """The coordinator takes one row out."""
    steering.take_out(db, adjustment_id=adjustment, by="p-zhou", reason="另案办理", now=at)


def urge(db: Database, *, step: str, at: datetime) -> None:
    """The coordinator reminds those a step waits for."""
    steering.urge(db, step_id=step, by="p-zhou", reason="请尽快办理", now=at)


def leg(db: Database, *, change: str, at: datetime, attempt: int = 1) -> str:
    """One leg: it begins, passes until nothing comes, parks."""
    number = legs.begin_leg(db, change_id=change, attempt=attempt, flow_run_id="run-1", engine_id="e", now=at)
    for _ in range(3):
        result = legs.run_pass(db, change_id=change, leg_no=number, attempt=attempt, now=at, collect_minutes=20)
        if result.ended:
            return result.state
        if not (result.consumed or result.moved or result.opened or result.notices):
            break
    return "parked" if legs.park(db, change_id=change, leg_no=number) else "goes on"


class Prefect:
    """A Prefect's server without Prefect: it has lost every run but those it was asked for, or none."""

    def __init__(self, lost: bool) -> None:
        self.lost = lost

    def state(self, run: str) -> RunState | None:
        """A run that stands is being carried; one it was asked for waits to be begun."""
        if run.startswith("made "):
            return RunState("SCHEDULED", "Scheduled")
        return None if self.lost else RunState("RUNNING", "Running")

    def awake(self, runs: Sequence[str]) -> dict[str, RunState | None]:
        """No run sleeps here."""
        return {run: self.state(run) for run in runs}

    def unfinished(self, runs: Sequence[str]) -> int:
        """How many of them stand."""
        return sum(1 for run in runs if self.state(run) is not None)

    def start(self, change_id: str, trigger: str, attempt: int) -> str:
        """The same attempt gives the same run."""
        return f"made {change_id[-20:]}:{attempt}"

    def reschedule(self, run: str) -> bool:
        """It is begun anew."""
        return True

    def deployment_is_gone(self, state: RunState) -> bool:
        """Nobody has deleted it."""
        return False

    def healthy(self) -> bool:
        """It answers."""
        return True


def _office(db: Database, lost: bool) -> tuple[Office, Pulse]:
    """The office of an engine that has just begun, with its pulse."""
    office = Office(db, Settings(), "e-new")
    made = Pulse(office, cast(PrefectClient, Prefect(lost)), lambda: None)
    office.heal = made.compare
    return office, made


def _clock(at: datetime) -> Any:
    """What takes its moment from the clock itself takes this one."""
    return patch("models.clock.now", lambda: at)


def pulse(db: Database, *, at: datetime) -> None:
    """The engine's pulse and its look round, over a Prefect that has lost the runs: new attempts, new runs."""
    with _clock(at):
        made = _office(db, lost=True)[1]
        made.beat()
        made.look_round()


def watch(db: Database, *, at: datetime, lost: bool = False) -> None:
    """A round of office time: all that `flows.watch` does to our tables, in its order."""
    with _clock(at):
        office, _ = _office(db, lost)
        office.recompute_deadlines()
        office.refresh_due()
        _, turn = office.watch_turn(200)
        office.compare_runs(turn)
        office.swept()
        for change in turn:
            office.page(change)


def register(
    db: Database,
    *,
    trigger: str,
    params: dict[str, Any],
    at: datetime,
    by: str | None = "p-zhou",
    key: str | None = None,
) -> tuple[str, str, bool]:
    """Somebody starts a change: its id and number, and whether it stood already."""
    made = starting.register(db, trigger=trigger, params=params, by=by, via="test", key=key, now=at)
    return made.id, made.number, made.existing


def spend(db: Database, *, link: str, at: datetime) -> str:
    """A sign-in link is used."""
    return signing.spend_sign_in(db, link_id=link, now=at)[1].id


class _Server:
    """A mail server that writes down what it took."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def send(self, *, to: str | None, subject: str, body: str, headers: Any, reply_to: str | None) -> Sent:
        self.taken.append(headers["X-Shixiang-Notice"])
        return Sent("accepted", "")


def deliver(db: Database, *, at: datetime) -> list[str]:
    """An engine's deliverer empties the outbox: the notices its mail server took."""
    server = _Server()
    deliverer = Deliverer(SqlOutbox(db, "k1", Claimed), server, lambda claimed: "http://x/d/y", lambda: at, workers=2)
    while deliverer.deliver_once(sure=True):
        pass
    deliverer.stop()
    return server.taken


def load(db: Database, *, paths: list[Path], at: datetime) -> list[tuple[int, int]]:
    """An office's files are loaded: per file how many rows are new and changed."""
    loaded = verb_load(db, paths=paths, now=at)
    return [(report.added, report.changed) for report in loaded.files]


def crowd(
    db: Database, *, changes: list[str], people: list[str], at: datetime, seed: int, seconds: float
) -> dict[str, int]:
    """A process of its own among others: for so long it does whatever chance says, as anybody and as the engine.

    How often each act ended in which way; nothing but refusals may be raised.
    """
    chance, counts, end = random.Random(seed), Counter[str](), time.monotonic() + seconds
    while time.monotonic() < end:
        change, person = chance.choice(changes), chance.choice(people)
        what = chance.choices(_CROWD, _OFTEN)[0]
        try:
            ended = what(db, change, person, at, chance)
        except Refusal as refusal:
            ended = refusal.code
        counts[f"{what.__name__.strip('_')}: {ended}"] += 1
    return dict(counts)


def _any_leg(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    return leg(db, change=change, at=at, attempt=engine.wake_for(db, change_id=change).attempt)


def _any_decision(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    open_ones = verb_desk(db, person_id=person, change_id=change, now=at)["assignments"]
    if not open_ones:
        return "nothing open"
    seen = chance.choice(open_ones)
    time.sleep(chance.choice((0, 0, 0.01, 0.05)))  # he reads
    verdicts = [verdict for verdict in seen["verdicts"] if verdict not in {"save", "reject", "decline"}]
    said = {
        "assignment": seen["id"],
        "revision": seen["revision"],
        "verdict": chance.choice([verdicts[0], verdicts[0], *verdicts]),
        "comment": "依据有误",
    }
    body = {"request_id": f"{person}-{chance.random()}", "decisions": [said]}
    for _ in range(chance.choice((1, 1, 2))):  # and clicks twice
        verb_decide(db, person_id=person, change_id=change, body=body, via="link", now=at)
    return "ok"


def _any_reassign(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    steps = [step for sheet in change_show(db, change_id=change, now=at)["sheets"] for step in sheet["steps"]]
    waiting = [step["id"] for step in steps if step["state"] == "open"]
    if not waiting:
        return "nothing open"
    reassign(db, step=chance.choice(waiting), to=person, at=at)
    return "ok"


def _any_pulse(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    pulse(db, at=at)
    return "ok"


def _any_watch(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    watch(db, at=at)
    return "ok"


def _any_taking_out(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    lines = [row["id"] for row in change_show(db, change_id=change, now=at)["adjustments"]]
    take_out(db, adjustment=chance.choice(lines), at=at)
    return "ok"


def _any_withdrawal(db: Database, change: str, person: str, at: datetime, chance: random.Random) -> str:
    withdraw(db, change=change, at=at)
    return "ok"


_CROWD = (_any_decision, _any_leg, _any_reassign, _any_pulse, _any_watch, _any_taking_out, _any_withdrawal)
_OFTEN = (60, 40, 6, 2, 2, 1, 0.3)


def migrate(db: Database) -> None:
    """The schema is brought to the newest."""
    verb_migrate(db)
