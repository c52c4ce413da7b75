"""How often a decision, and the pass it causes, wait for PostgreSQL: what the next person waits for his mail with them."""

from __future__ import annotations

from typing import Any

import pytest

from models.actions.desk import decide, desk
from models.actions.legs import begin_leg, run_pass
from models.store import pipeline
from models.store.database import Database
from models.store.outbox import HandOver
from tests.factories import small_office
from tests.stories.driver import START, Story

CHANGE: dict[str, Any] = {
    "title": "压缩承诺办结时限", "reason": "优化流程", "effective_on": None,
    "items": [{"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["change_guide"], "set": {"promised_days": 7}}],
}  # fmt: skip


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
def test_what_goes_together_is_waited_for_together(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision asks and writes some fifteen times, its pass some thirty times."""
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", CHANGE)
    waits: list[str] = []
    unused: list[Any] = []
    wait, leave = pipeline._Way.wait, pipeline._Way.leave

    def counted(way: pipeline._Way) -> None:
        waits.append("question")
        wait(way)

    def ended(way: pipeline._Way) -> None:
        waits.append("end")
        unused.extend(way.ahead)
        leave(way)

    monkeypatch.setattr(pipeline._Way, "wait", counted)
    monkeypatch.setattr(pipeline._Way, "leave", ended)
    for person, verdict in (("p-wen", "submit"), ("p-zhou", "pass")):
        story.later(minutes=1)
        task = desk(db, person_id=person, change_id=story.change_id, now=story.now)["assignments"][0]
        said = {"assignment": task["id"], "revision": task["revision"], "verdict": verdict}
        body = {"request_id": f"{person}-{verdict}", "decisions": [said]}
        waits.clear()
        decide(db, person_id=person, change_id=story.change_id, body=body, via="link", now=story.now)
        assert waits == ["question"] * 4 + ["end"]
        change: dict[str, Any] = {"change_id": story.change_id, "attempt": 1, "now": story.now}
        leg = begin_leg(db, flow_run_id="run-1", engine_id="e", **change)
        waits.clear()
        done = run_pass(db, leg_no=leg, collect_minutes=20, hand_over=HandOver("k", 25, 8, dict), **change)
        assert waits == ["question"] * 8 + ["end"]
        assert (len(done.moved), done.notices) == (1, 1)
    assert unused == []
