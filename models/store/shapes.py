"""A change as the JSON of the contract (DESIGN 8): one shaping for what is read through the table classes and without them.

Rows are plain dicts with the names of the columns. Only the standard library is imported, and nothing is asked here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from models.domain.audit import words
from models.domain.vocabulary import STAGE_NAMES

SHANGHAI = ZoneInfo("Asia/Shanghai")
Row = dict[str, Any]


@dataclass
class Files:
    """Some changes with their sheets, steps and assignments, and the names of everybody in them."""

    changes: list[Row]
    sheets: dict[str, list[Row]] = field(default_factory=dict)
    steps: dict[str, list[Row]] = field(default_factory=dict)
    assignments: dict[str, list[Row]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def person(self, person_id: str | None) -> dict[str, Any] | None:
        """`{"id", "name"}`, or None for nobody."""
        return None if person_id is None else {"id": person_id, "name": self.names.get(person_id, person_id)}


def local(moment: datetime | str | None) -> str | None:
    """ISO 8601 with the offset of Shanghai, to the second; SQLite keeps UTC as text without a zone."""
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _day(day: date | str | None) -> str | None:
    return None if day is None else str(day)


def people_of(held: Files, entries: Iterable[Row] = ()) -> set[str]:
    """Everybody a change, its assignments, and decisions or log lines name."""
    found = {change[key] for change in held.changes for key in ("starter_id", "coordinator_id")}
    found |= {row[key] for rows in held.assignments.values() for row in rows for key in ("person_id", "acting_for_id")}
    found |= {entry.get(key) for entry in entries for key in ("person_id", "who", "acting_for_id", "acting_for")}
    return {person for person in found if person}


def change_head(held: Files, row: Row) -> dict[str, Any]:
    """A change without its sheets: what `change list` shows of each."""
    names = ("id", "number", "trigger", "title", "reason", "state", "phase", "attempt", "flow_run_id", "stuck")
    steps = [step for step in held.steps.get(row["id"], []) if step["sheet_id"] is None]
    return {
        **{name: row[name] for name in names},
        "starter": held.person(row["starter_id"]),
        "coordinator": held.person(row["coordinator_id"]),
        "created_at": local(row["created_at"]),
        "effective_on": _day(row["effective_on"]),
        "steps": [_step(held, step) for step in steps],
    }


def change_whole(
    held: Files, row: Row, lines: Sequence[Row], made: Sequence[Row], log: Sequence[Row]
) -> dict[str, Any]:
    """A change with everything in it: what `change show` shows."""
    members: dict[str | None, list[str]] = {}
    for line in lines:
        members.setdefault(line["sheet_id"], []).append(line["id"])
    return {
        **change_head(held, row),
        "sheets": [_sheet(held, sheet, members.get(sheet["id"], [])) for sheet in held.sheets.get(row["id"], [])],
        "adjustments": [_adjustment(line) for line in lines],
        "decisions": [_decision(held, decision) for decision in made],
        "log": [log_line(held, entry) for entry in log],
    }


def _step(held: Files, step: Row) -> dict[str, Any]:
    asked = held.assignments.get(step["id"], []) if step["state"] == "open" else []
    return {
        "id": step["id"], "stage": step["stage"], "stage_name": STAGE_NAMES[step["stage"]], "round": step["round"],
        "state": step["state"], "due": _day(step["due_on"]), "provisional": bool(step["provisional"]),
        "opened_at": local(step["opened_at"]), "no_owner": step["no_owner"],
        "waits_for": [
            {"person": held.person(row["person_id"]), "acting_for": held.person(row["acting_for_id"])}
            for row in asked if row["state"] == "open"
        ],
    }  # fmt: skip


def _sheet(held: Files, sheet: Row, members: Sequence[str]) -> dict[str, Any]:
    steps = [step for step in held.steps.get(sheet["change_id"], []) if step["sheet_id"] == sheet["id"]]
    return {
        "id": sheet["id"], "department": {"id": sheet["department_id"], "name": sheet["department_name"]},
        "procedure": sheet["procedure_key"], "procedure_version": sheet["procedure_no"], "round": sheet["round"],
        "state": sheet["state"], "stuck": sheet["stuck"], "parent": sheet["parent_id"],
        "steps": [_step(held, step) for step in steps], "adjustments": list(members),
    }  # fmt: skip


def _adjustment(line: Row) -> dict[str, Any]:
    return {
        "id": line["id"], "target": {"kind": line["kind"], "code": line["code"], "name": line["name"]},
        "outcomes": line["outcomes"].split("+"), "state": line["state"], "revision": line["revision"],
        "effective_at": local(line["effective_at"]), "sheet": line["sheet_id"], "reason": line["reason"],
        "uncertain": bool(line["uncertain"]), "declined": bool(line["declined"]), "road": line["road"],
    }  # fmt: skip


def _decision(held: Files, row: Row) -> dict[str, Any]:
    return {
        "assignment": row["assignment_id"], "person": held.person(row["person_id"]),
        "acting_for": held.person(row["acting_for_id"]), "verdict": row["verdict"], "at": local(row["at"]),
        "via": row["via"], "proof": row["proof"], "stage": row["stage"], "round": row["round"], "sheet": row["sheet_id"],
        "comment": row["comment"],
    }  # fmt: skip


def log_line(held: Files, row: Row) -> dict[str, Any]:
    """One line of a change's log, without what only the replay needs."""
    data = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    return {
        "seq": row["seq"], "at": local(row["at"]), "who": held.person(row["who"]), "acting_for": held.person(row["acting_for"]),
        "via": row["via"], "verb": row["verb"], "object": row["object"], "data": words(data),
    }  # fmt: skip
