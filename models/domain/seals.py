"""What the audit log vouches for: lines in a chain of hashes, and the rows each line wrote.

line_hash(line) -> str            the hash of a line over its words and the hash of the line before
marked(name, row)                 what a row is known by, and its hash
seal(marked) -> Seal              what a line says of the rows it wrote
compare(name, sealed, rows)       which rows differ from what was sealed
list_hash(members_sum(members))   the hash of a derived list, told from who came and went

What is hashed must never change: a database of any age is read by these functions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

Row = Mapping[str, Any]
#: Characters of a row's hash kept beside the hash of the set: enough to name the row that differs.
MARK = 6
_LINE = ("change_id", "seq", "who", "acting_for", "via", "verb", "object", "data")


class Kind(NamedTuple):
    """A table whose rows are sealed: what a row is known by, and the columns that may change afterwards."""

    key: tuple[str, ...]
    free: frozenset[str] = frozenset()


#: The columns of a change that move with it.
_CHANGING = frozenset({
    "phase", "state", "subject", "coordinator_id", "effective_on", "closed_at", "log_seq", "headed_seq", "work_seq",
    "consumed_seq", "work_since", "next_due", "attempt", "leg_no", "leg_engine", "parked_leg", "flow_run_id", "stuck",
})  # fmt: skip
#: A column that is null counts as absent: a column added later does not touch what was sealed before.
KINDS: dict[str, Kind] = {
    "change": Kind(("id",), _CHANGING),
    "proposal": Kind(("adjustment_id", "no")),
    "decision": Kind(("id",), frozenset({"undone_at"})),
    "decision_line": Kind(("decision_id", "adjustment_id")),
    "publication": Kind(("id",), frozenset({"state", "document_id"})),
    "publication_line": Kind(("publication_id", "item_id")),
    # When a version ended is told by the publication that ended it.
    "item_version": Kind(("id",), frozenset({"valid_to", "superseded_at"})),
}


def line_hash(line: Row) -> str:
    """SHA-256 over a line and the hash of the one before: the chain of a change, and that of the office."""
    body = {name: line[name] for name in _LINE if name in line}
    body["at"] = line["at"].astimezone(UTC).isoformat()
    if line.get("sealed") is not None:
        body["sealed"] = line["sealed"]
    text = line["prev_hash"] + json.dumps(body, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def row_hash(name: str, row: Row) -> str:
    """SHA-256 over the columns of a row that never change."""
    free = KINDS[name].free
    body = {column: value for column, value in row.items() if value is not None and column not in free}
    return hashlib.sha256(_OF_ROW.encode(body).encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"cannot be sealed: {type(value).__name__}")


_OF_ROW = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=_plain)


def key_of(name: str, row: Row) -> str:
    """What a row is known by, as one text."""
    return ":".join(str(row[column]) for column in KINDS[name].key)


def marked(name: str, row: Row) -> tuple[str, str]:
    """What a row is known by, and its hash."""
    return key_of(name, row), row_hash(name, row)


def seal(rows: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`n` rows, as `marked` gives them, the `hash` of all of them in the order of their keys, and a short mark of each."""
    found = sorted(rows)
    return {
        "n": len(found),
        "hash": hashlib.sha256("".join(digest for _, digest in found).encode()).hexdigest(),
        "marks": "".join(digest[:MARK] for _, digest in found),
    }


@dataclass(frozen=True)
class Difference:
    """A row (by its key; "" where it cannot be told) that is `altered`, `missing` or `inserted`."""

    key: str
    what: str


def compare(name: str, sealed: Row, rows: Iterable[Row]) -> Difference | None:
    """The first row that differs from what was sealed, or None."""
    found = sorted(marked(name, row) for row in rows)
    if hashlib.sha256("".join(digest for _, digest in found).encode()).hexdigest() == sealed["hash"]:
        return None
    marks = [sealed["marks"][at : at + MARK] for at in range(0, len(sealed["marks"]), MARK)]
    here = [digest[:MARK] for _, digest in found]
    at = _first_difference(marks, here)
    what = "altered" if len(found) == sealed["n"] else "missing" if len(found) < sealed["n"] else "inserted"
    if what == "missing" or at >= len(found):
        return Difference("", what)
    return Difference(found[at][0], what)


def _first_difference(one: Sequence[str], other: Sequence[str]) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))


#: Long enough that nobody finds other members with the same sum (Bellare and Micciancio 1997; Wagner 2002: 2^90 steps).
_SUM_BYTES = 256
#: Sums of members are numbers below this.
SUMS: int = 256**_SUM_BYTES


def members_sum(members: Iterable[str]) -> int:
    """The sum of a hash of each member of a list, whatever their order; one who comes is added, one who goes taken off."""
    hashes = (hashlib.shake_256(member.encode()).digest(_SUM_BYTES) for member in members)
    found = sum(int.from_bytes(one, "big") for one in hashes)
    return found % SUMS


def list_hash(total: int) -> str:
    """The hash of a list by the sum of its members: the same members, the same hash."""
    return hashlib.sha256(total.to_bytes(_SUM_BYTES, "big")).hexdigest()


class Version(NamedTuple):
    """A version of an item as its publication wrote it: when it begins and when it was published."""

    id: str
    no: int
    valid_from: datetime
    published_at: datetime


def ends(versions: Iterable[Version]) -> dict[str, tuple[datetime | None, datetime | None]]:
    """(valid_to, superseded_at) of each version of one item, as the publications after it made them.

    What stands ends where the next one begins; what would begin only then or later was superseded when that was
    published.
    """
    found: dict[str, tuple[datetime | None, datetime | None]] = {}
    begins: dict[str, datetime] = {}
    for version in sorted(versions, key=lambda one: one.no):
        for earlier, (to, superseded) in found.items():
            if superseded is None and (to is None or to > version.valid_from):
                over = begins[earlier] < version.valid_from
                found[earlier] = (version.valid_from, None) if over else (to, version.published_at)
        found[version.id] = (None, None)
        begins[version.id] = version.valid_from
    return found
