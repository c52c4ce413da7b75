"""Drives a change through the verbs as the flow does, without Prefect: legs, passes and desks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from models.actions.desk import Decided, decide, desk
from models.actions.legs import PassResult, begin_leg, run_pass
from models.actions.starting import register
from models.store.database import Database

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
_REQUESTS = itertools.count(1)


@dataclass
class Story:
    """One change and a clock that moves only when told."""

    db: Database
    now: datetime = START
    change_id: str = ""
    leg: int = 0
    passes: list[PassResult] = field(default_factory=list)

    def start(self, trigger: str, params: dict[str, Any], by: str | None = "p-zhou") -> None:
        """Register the change and run its first leg."""
        made = register(self.db, trigger=trigger, params=params, by=by, via="test", now=self.now)
        self.change_id = made.id
        self.wake()

    def wake(self) -> PassResult:
        """One leg: as a run that is resumed."""
        self.leg = begin_leg(
            self.db, change_id=self.change_id, attempt=1, flow_run_id="run-1", engine_id="e", now=self.now
        )
        for _ in range(4):
            result = run_pass(
                self.db, change_id=self.change_id, leg_no=self.leg, attempt=1, now=self.now, collect_minutes=20
            )
            self.passes.append(result)
        return self.passes[-1]

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def open_for(self, person: str) -> list[dict[str, Any]]:
        """What lies open for a person."""
        found: list[dict[str, Any]] = desk(self.db, person_id=person, change_id=self.change_id, now=self.now)[
            "assignments"
        ]
        return found

    def says(
        self,
        person: str,
        verdict: str,
        *,
        comment: str = "",
        lines: dict[str, dict[str, Any]] | None = None,
        wake: bool = True,
        only: str | None = None,
    ) -> Decided:
        """A person decides everything that lies open for him, on what he sees now."""
        self.later(minutes=1)
        taken = [a for a in self.open_for(person) if only in (None, a["stage"])]
        assert taken, f"nothing lies open for {person}"
        body = {
            "request_id": f"q-{next(_REQUESTS)}",
            "decisions": [
                {
                    "assignment": a["id"],
                    "revision": a["revision"],
                    "verdict": verdict,
                    "comment": comment,
                    "adjustments": {k: v for k, v in (lines or {}).items() if k in {x["id"] for x in a["adjustments"]}},
                }
                for a in taken
            ],
        }
        decided = decide(self.db, person_id=person, change_id=self.change_id, body=body, via="link", now=self.now)
        if wake:
            self.wake()
        return decided

    def adjustment(self, person: str, name: str) -> dict[str, Any]:
        """An open adjustment on a person's desk by the name of its item."""
        for assignment in self.open_for(person):
            for adjustment in assignment["adjustments"]:
                if name in adjustment["target"]["name"]:
                    return dict(adjustment)
        raise AssertionError(f"{name} is not on the desk of {person}")
