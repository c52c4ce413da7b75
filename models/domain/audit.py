"""What the audit log says became of everything: a change replayed from the lines of its log alone. Pure.

A line says under `data["became"]` what its transaction wrote, as triples `[kind, values, ids]`: these columns of these
rows took these values. `kind` is the name of the table; `AUDITED` lists the columns. Lines written before this was
recorded have none: then the log knows only what came later, and `Replay.whole` is false.

differing_lines(verdict, lines) -> {...}    what a decision says of single adjustments beside its verdict on the whole
plain(value) -> value                       a value as a log line holds it: times and days as ISO 8601 text
words(data) -> data                         what a line says without that, for pages and integrations
replay(lines) -> Replay                     the rows of every kind as the lines leave them, and steps no state allows
differences(replay, standing) -> [...]      where the tables say something else than the log
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from models.domain.states import MACHINES, Table

#: The key of a line's data under which it says what became of what.
BECAME = "became"
#: What the log answers for, by table. `lines` of a decision: where it differs from the verdict on the whole.
AUDITED: dict[str, tuple[str, ...]] = {
    "change": ("phase", "state", "attempt", "coordinator_id", "effective_on"),
    "adjustment": (
        "state", "sheet_id", "item_id", "base_version_id", "outcomes", "revision", "approved_hash", "declined",
        "effective_at", "code", "road",
    ),
    "proposal": ("kind", "by_person_id", "submitted"),
    "sheet": ("state", "department_id", "procedure_key", "procedure_no", "parent_id", "round", "position"),
    "step": ("state", "sheet_id", "stage", "round", "due_on"),
    "assignment": ("state", "step_id", "seat", "person_id", "acting_for_id", "from_id"),
    "decision": (
        "step_id", "assignment_id", "person_id", "acting_for_id", "verdict", "comment", "revision", "via", "proof", "lines",
    ),
    "publication": ("number", "effective_at"),
    "item_version": ("item_id", "adjustment_id", "publication_id", "state", "hash"),
}  # fmt: skip
#: The column in which a kind keeps its state, and its table of states; it begins in the first of them.
_STATES: dict[str, tuple[str, Table]] = {
    "change": ("phase", MACHINES["change"]),
    "adjustment": ("state", MACHINES["adjustment"]),
    "sheet": ("state", MACHINES["sheet"]),
    "step": ("state", MACHINES["step"]),
    # A seat is put before a person at once: nothing is queued for a role yet.
    "assignment": ("state", {"open": MACHINES["assignment"]["open"], **MACHINES["assignment"]}),
}

Rows = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Jump:
    """A step from one state to another that no verb allows, and the line that tells of it."""

    seq: int
    kind: str
    id: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Difference:
    """The log (its line `seq`) says one thing of a column, the table another.

    A row that is missing in the tables, or that the log knows nothing of, has the column `""`, and None on that side.
    """

    kind: str
    id: str
    column: str
    logged: Any
    standing: Any
    seq: int | None


@dataclass
class Replay:
    """A change as its log leaves it: kind → id → column → value, and which line said so."""

    whole: bool = False
    rows: Rows = field(default_factory=lambda: {kind: {} for kind in AUDITED})
    said: dict[tuple[str, str, str], int] = field(default_factory=dict)
    jumps: list[Jump] = field(default_factory=list)
    #: Every (kind, before, after) that was seen; before is None for a new row.
    steps: set[tuple[str, str | None, str]] = field(default_factory=set)


def plain(value: Any) -> Any:
    """A value as a log line holds it: a moment in UTC and a day as ISO 8601 text, anything else as it is."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def differing_lines(verdict: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Of the lines of a decision those that say more than its verdict: adjustment → [verdict, remark]."""
    return {
        line["adjustment_id"]: [line["verdict"], line["remark"]]
        for line in lines
        if line["verdict"] != verdict or line["remark"]
    }


def words(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says to people and integrations: its data without what became of what."""
    return {name: value for name, value in data.items() if name != BECAME}


def replay(lines: Iterable[Mapping[str, Any]]) -> Replay:
    """The state of one change from the lines of its log in their order (`seq`, `data`); reads nothing else.

    `whole` is true where the first line already told what became of the change, so that the log knows every row.
    """
    found = Replay()
    for line in lines:
        became = line["data"].get(BECAME) or []
        if line["seq"] == 1:
            found.whole = any(kind == "change" for kind, _, _ in became)
        for kind, values, ids in became:
            for row_id in ids:
                _take(found, int(line["seq"]), kind, row_id, values)
    return found


def _take(found: Replay, seq: int, kind: str, row_id: str, values: Mapping[str, Any]) -> None:
    row = found.rows[kind].setdefault(row_id, {})
    column, states = _STATES.get(kind, ("", {}))
    if column in values:
        before, after = row.get(column), values[column]
        found.steps.add((kind, before, after))
        if before is not None and after != before and after not in states.get(before, {}).values():
            found.jumps.append(Jump(seq, kind, row_id, before, after))
        if before is None and found.whole and after != next(iter(states)):
            found.jumps.append(Jump(seq, kind, row_id, before, after))
    row.update(values)
    found.said.update(dict.fromkeys(((kind, row_id, name) for name in values), seq))


def differences(found: Replay, standing: Rows) -> Iterator[Difference]:
    """Where the tables (in the shape of `Replay.rows`, values made `plain`) say something else, in the log's order.

    Of a log that is not whole only what it knows is compared.
    """
    for kind, rows in found.rows.items():
        there = standing.get(kind, {})
        for row_id, values in rows.items():
            if row_id not in there:
                yield Difference(kind, row_id, "", values, None, min(found.said[kind, row_id, c] for c in values))
                continue
            for column, logged in values.items():
                if there[row_id].get(column) != logged:
                    seq = found.said[kind, row_id, column]
                    yield Difference(kind, row_id, column, logged, there[row_id].get(column), seq)
            for column in AUDITED[kind] if found.whole else ():
                # What no line ever said is empty.
                if column not in values and there[row_id].get(column):
                    yield Difference(kind, row_id, column, None, there[row_id][column], None)
        if found.whole:
            for row_id in there.keys() - rows.keys():
                yield Difference(kind, row_id, "", None, there[row_id], None)
