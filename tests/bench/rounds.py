"""A change whose adjustment was returned again and again: does a step cost more after two hundred rounds?"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

from deployments import collector
from models.actions.desk import decide, desk
from models.actions.legs import begin_leg, run_pass
from models.store.database import Database
from models.store.migrate import migrate
from tests.factories import small_office
from tests.stories.driver import START, Story

CODE = "990700188000"
PARAMS: dict[str, Any] = {
    "title": "压缩承诺办结时限", "reason": "优化流程", "effective_on": None,
    "items": [{"target": {"kind": "item", "code": CODE}, "outcomes": ["change_guide"], "set": {"promised_days": 7}}],
}  # fmt: skip
#: So many steps at either end are compared by their median.
COMPARED = 20


class Change:
    """One change through the verbs, each decision and the leg it causes timed."""

    def __init__(self, db: Database) -> None:
        self.story, self.db, self.number = Story(db), db, 0
        self.story.start("agency_request", PARAMS)
        self.parts: dict[str, list[float]] = {"desk": [], "decide": [], "leg and pass": []}

    def step(self, person: str, verdict: str) -> float:
        """Read the desk, decide, and carry the change on; seconds of all three."""
        story = self.story
        story.later(minutes=1)
        self.number += 1
        moments = [time.perf_counter()]
        task = desk(self.db, person_id=person, change_id=story.change_id, now=story.now)["assignments"][0]
        moments.append(time.perf_counter())
        said = {"assignment": task["id"], "revision": task["revision"], "verdict": verdict, "comment": "请补充"}
        body = {"request_id": f"round-{story.change_id}-{self.number}", "decisions": [said]}
        decide(self.db, person_id=person, change_id=story.change_id, body=body, via="link", now=story.now)
        moments.append(time.perf_counter())
        change: dict[str, Any] = {"change_id": story.change_id, "attempt": 1, "now": story.now}
        leg = begin_leg(self.db, flow_run_id="run-1", engine_id="e", **change)
        run_pass(self.db, leg_no=leg, collect_minutes=20, **change)
        moments.append(time.perf_counter())
        for name, begun, ended in zip(self.parts, moments, moments[1:], strict=False):
            self.parts[name].append(ended - begun)
        return moments[-1] - moments[0]


def run(url: str, rounds: int = 200) -> dict[str, Any]:
    """Milliseconds of a step at the beginning and after so many rounds, measured in turn on two changes."""
    db = Database(url)
    migrate(db)
    small_office(db, START, schema=False)
    old = Change(db)
    for _ in range(rounds):
        old.step("p-wen", "submit")
        old.step("p-zhou", "return")
    fresh = [Change(db) for _ in range(COMPARED // 2)]
    for change in (old, *fresh):
        change.parts = {name: [] for name in change.parts}
    collector.settle()
    seconds: dict[str, list[float]] = {"fresh": [], "old": []}
    for change in fresh:
        # One after the other, so that what else the machine does falls on both.
        for person, verdict in (("p-wen", "submit"), ("p-zhou", "return")):
            seconds["fresh"].append(change.step(person, verdict))
            seconds["old"].append(old.step(person, verdict))
    gc.unfreeze()
    first, last = statistics.median(seconds["fresh"]), statistics.median(seconds["old"])
    result: dict[str, Any] = {
        "a fresh step, ms": round(first * 1000, 2),
        f"a step after {rounds} rounds, ms": round(last * 1000, 2),
        "ratio": round(last / first, 2),
    }
    for name in old.parts:
        of_fresh = statistics.median(value for change in fresh for value in change.parts[name])
        result[f"{name}: fresh and old, ms"] = [
            round(of_fresh * 1000, 2),
            round(statistics.median(old.parts[name]) * 1000, 2),
        ]
    db.close()
    return result
