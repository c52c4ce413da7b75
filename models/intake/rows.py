"""Rows that were read, what is wrong with them, and the report of one file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Level = Literal["warning", "refusal"]
Outcome = Literal["added", "changed", "unchanged"]
T = TypeVar("T")


class Problem(BaseModel):
    """One thing about one row. `row` counts as a spreadsheet does (heading 1, first row 2); in JSON from 1."""

    model_config = ConfigDict(frozen=True)
    row: int
    field: str
    level: Level
    message: str


def warned(row: int, field_label: str, reason: str) -> Problem:
    """A warning: the row is loaded and should be looked at. `reason` has no full stop."""
    message = f"第 {row} 行“{field_label}”：{reason}，已导入，请核对。"
    return Problem(row=row, field=field_label, level="warning", message=message)


def refused(row: int, field_label: str, reason: str) -> Problem:
    """A refusal: this row is not loaded, the others are."""
    message = f"第 {row} 行“{field_label}”：{reason}，该行未导入，其他行不受影响。"
    return Problem(row=row, field=field_label, level="refusal", message=message)


@dataclass(frozen=True)
class ReadRow(Generic[T]):
    """One row: its value, or None where it was refused, and its problems."""

    row: int
    value: T | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class ReadFile(Generic[T]):
    """All rows of a file in order; `notes` are about the file as a whole (unknown columns) and count for no row."""

    kind: str
    shape: str
    rows: tuple[ReadRow[T], ...]
    notes: tuple[Problem, ...] = ()


@dataclass
class Report:
    """What became of one file; rows = taken + warned + refused, added + changed + unchanged = taken + warned."""

    file: str
    kind: str
    taken: int = 0
    warned: int = 0
    refused: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.taken + self.warned + self.refused

    def note(self, problems: Iterable[Problem]) -> None:
        """Add problems of the file as a whole; they count for no row."""
        self.problems.extend(problems)

    def count(self, problems: Iterable[Problem], outcome: Outcome | None) -> None:
        """Count one row: `outcome` None, or a problem of level refusal, is a refused row."""
        found = list(problems)
        self.problems.extend(found)
        if outcome is None or any(problem.level == "refusal" for problem in found):
            self.refused += 1
            return
        if found:
            self.warned += 1
        else:
            self.taken += 1
        setattr(self, outcome, getattr(self, outcome) + 1)

    def as_json(self) -> dict[str, Any]:
        """The object of one file in the answer of `load --json`."""
        return {
            "file": self.file,
            "kind": self.kind,
            "rows": self.rows,
            "taken": self.taken,
            "warned": self.warned,
            "refused": self.refused,
            "added": self.added,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "problems": [problem.model_dump() for problem in self.problems],
        }
