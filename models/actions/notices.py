"""What a notice says: the frozen payload, with every name its text may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import Connection

from models.domain.deadlines import SHANGHAI
from models.domain.vocabulary import OUTCOME_NAMES, STAGE_NAMES, STAGE_VERB
from models.store import office
from models.store.change import Row

OPENED_KIND = {
    "scope": "scope_to_confirm",
    "draft": "draft_opened",
    "form": "review_opened",
    "legality": "review_opened",
    "list": "review_opened",
    "countersign": "countersign_opened",
    "naming": "naming_opened",
    "approval": "approval_opened",
}
LISTED = 30
_WEEKDAYS = "一二三四五六日"


def due_text(due_on: date | None, provisional: bool, now: datetime) -> str:
    """`12月8日（周二）24:00前`, with the year where it is not this one, and 暂定 where it is provisional."""
    if due_on is None:
        return "—"
    day = day_text(due_on, now)
    return f"{day}（周{_WEEKDAYS[due_on.weekday()]}）24:00前" + ("（暂定）" if provisional else "")


def day_text(day: date, now: datetime) -> str:
    """`12月8日`, or `2027年1月8日` in another year."""
    text = f"{day.month}月{day.day}日"
    return text if day.year == now.astimezone(SHANGHAI).year else f"{day.year}年{text}"


def at_text(at: datetime, now: datetime) -> str:
    """`11月23日 10:42` in Shanghai time."""
    local = at.astimezone(SHANGHAI)
    return f"{day_text(local.date(), now)} {local:%H:%M}"


class About(Protocol):
    """A change that notices are about: locked by a verb, or only read."""

    id: str
    row: Row
    now: datetime


@dataclass
class Shown:
    """A change as read, without its lock."""

    id: str
    row: Row
    now: datetime


class Writer:
    """Collects the notices of one transaction: people and the sample mark are read once."""

    def __init__(self, connection: Connection, case: About) -> None:
        self.connection = connection
        self.case = case
        self.people: dict[str, str] = {}
        #: Steps opened in this transaction: nobody has heard of them.
        self.opened: set[str] = set()
        self.notices: list[Row] = []

    @cached_property
    def contact(self) -> Row:
        """Whom to ask: the change's coordinator."""
        return contact_of(self.connection, self.case.row["coordinator_id"])

    @cached_property
    def facts(self) -> dict[str, str]:
        """The facts about this home."""
        return office.facts(self.connection)

    @property
    def sample(self) -> bool:
        """Whether this is the sample office."""
        return self.facts.get("sample") == "true"

    def person(self, person_id: str | None) -> dict[str, Any]:
        """`{"id", "name"}` of a person; the engine is 系统."""
        if person_id is None:
            return {"id": None, "name": "系统"}
        if person_id not in self.people:
            self.people[person_id] = office.name_of(self.connection, person_id)
        return {"id": person_id, "name": self.people[person_id]}

    def common(self, person_id: str, *, step: Row | None, sheet: Row | None, lines: Sequence[Row]) -> dict[str, Any]:
        """What every text may name."""
        now = self.case.now
        stage = "" if step is None else str(step["stage"])
        due_on = None if step is None else step["due_on"]
        return {
            "sample": self.sample,
            "person": self.person(person_id),
            "acting_for": None,
            "change": {
                "id": self.case.id,
                "number": self.case.row["number"],
                "title": self.case.row["title"],
                "reason": self.case.row["reason"] or self.case.row["title"],
            },
            "sheet": {
                "department": "" if sheet is None else sheet["department_name"],
                "round": 1 if sheet is None else sheet["round"],
            },
            "stage": {"code": stage, "name": STAGE_NAMES.get(stage, ""), "verb": STAGE_VERB.get(stage, "办理")},
            "count": len(lines),
            "due": due_text(due_on, bool(step and step["provisional"]), now),
            "due_day": "" if due_on is None else day_text(due_on, now),
            "due_on": "" if due_on is None else due_on.isoformat(),
            "at": at_text(now, now),
            "by": {"id": None, "name": "系统"},
            "contact": self.contact,
            "can_reassign": False,
            "silence": False,
            "items": [
                {
                    "n": number,
                    "name": line["name"],
                    "code": line["code"] or "待赋码",
                    "outcomes": "、".join(OUTCOME_NAMES[o][0] for o in line["outcomes"].split("+")),
                }
                for number, line in enumerate(lines[:LISTED], start=1)
            ],
            "more": max(0, len(lines) - LISTED),
        }

    def add(
        self,
        kind: str,
        person_id: str,
        key: str,
        *,
        step: Row | None = None,
        sheet: Row | None = None,
        lines: Sequence[Row] = (),
        **extra: Any,
    ) -> None:
        """One notice to one person; the key makes it one for ever."""
        payload = {**self.common(person_id, step=step, sheet=sheet, lines=lines), **extra}
        self.notices.append(
            {
                "key": key,
                "person_id": person_id,
                "change_id": self.case.id,
                "step_id": None if step is None else step["id"],
                "kind": kind,
                "payload": payload,
                "unheard": step is not None and step["id"] in self.opened,
            }
        )


def contact_of(connection: Connection, person_id: str | None) -> Row:
    """Whom to ask: the change's coordinator."""
    if person_id is None:
        return {"id": None, "name": "事项管理部门", "phone": "", "email": ""}
    name, address = office.name_and_address(connection, person_id)
    return {"id": person_id, "name": name, "phone": "", "email": address or ""}
