"""A new arrangement of working days: provisional deadlines are reckoned again, each logged, each person told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from models.actions.notices import Shown, Writer, due_text
from models.domain.calendar import WorkCalendar
from models.domain.deadlines import due, rungs, shanghai_day
from models.store import office
from models.store.change import (
    Case,
    Row,
    change_row,
    changes_with_provisional,
    next_moment,
    provisional_steps,
    recomputed,
    replan_rungs,
    set_step,
)
from models.store.database import Database
from models.store.outbox import enqueue


@dataclass(frozen=True)
class Recomputed:
    """How many deadlines were reckoned again, how many of them moved, and how many people were told."""

    steps: int
    moved: int
    told: int


def recompute_deadlines(db: Database, *, document: str = "", now: datetime, collect_minutes: float = 20) -> Recomputed:
    """Reckon the provisional deadlines of all open steps with the calendar as it stands.

    One transaction a change; calling it again with the same calendar changes nothing, and finishes what was broken off.
    `document` is the number of the arrangement, for the notice.
    """
    with db.reader() as connection:
        changes = changes_with_provisional(connection)
    counts = [db.write(lambda connection, c=change: _recompute(connection, c, now)) for change in changes]  # type: ignore[misc]
    told = db.write(lambda connection: _tell(connection, document, now, collect_minutes))
    return Recomputed(sum(steps for steps, _ in counts), sum(moved for _, moved in counts), told)


def _recompute(connection: Connection, change_id: str, now: datetime) -> tuple[int, int]:
    case = Case(connection, change_id, now)
    facts = office.facts(connection)
    calendar = office.calendar(connection, facts)
    touched = moved = 0
    for step in provisional_steps(connection, change_id):
        new = due(step["opened_at"], step["days"], calendar)
        if (new.due_on, new.provisional) == (step["due_on"], step["provisional"]):
            continue
        touched += 1
        moved += new.due_on != step["due_on"]
        set_step(case, step["id"], due_on=new.due_on, provisional=new.provisional)
        replan_rungs(connection, step, _plan(step, new.due_on, calendar))
        case.log(
            "重算时限",
            about=step["id"],
            stage=step["stage"],
            sheet=step["sheet_id"],
            due=new.due_on.isoformat(),
            due_old=step["due_on"].isoformat(),
            year=new.due_on.year,
            edition=facts.get(office.EDITION, ""),
        )
    if touched:
        case.set(next_due=next_moment(connection, change_id))
        case.flush()
    return touched, moved


def _plan(step: Row, due_on: date, calendar: WorkCalendar) -> dict[str, datetime]:
    return {item.rung: item.at for item in rungs(shanghai_day(step["opened_at"]), due_on, calendar)}


def _tell(connection: Connection, document: str, now: datetime, collect_minutes: float) -> int:
    """One notice to each person whose deadlines moved with this edition of the calendar, about all his changes."""
    edition = office.get_meta(connection, office.EDITION) or ""
    mine: dict[str, list[Row]] = {}
    for row in recomputed(connection, edition):
        if row["due_on"].isoformat() != row["data"]["due_old"]:
            mine.setdefault(row["person_id"], []).append(row)
    notices = [_notice(connection, person, found, edition, document, now) for person, found in sorted(mine.items())]
    return enqueue(connection, notices=notices, now=now, collect_minutes=collect_minutes).count


def _notice(
    connection: Connection, person_id: str, found: Sequence[Row], edition: str, document: str, now: datetime
) -> Row:
    first = min(found, key=lambda row: (row["due_on"], row["id"]))
    writer = Writer(connection, Shown(first["change_id"], change_row(connection, first["change_id"]), now))
    said: dict[str, Any] = {
        "n": len(found),
        "due_old": due_text(date.fromisoformat(first["data"]["due_old"]), False, now),
        "year": first["data"]["year"],
        "document": {"number": document},
    }
    writer.add("deadline_recomputed", person_id, f"deadlines:{edition}:{person_id}", step=first, **said)
    return {**writer.notices[0], "step_id": None}
