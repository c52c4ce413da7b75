"""Who may take which seat of a stage today: holders of posts, their substitutes, their superiors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from models.domain.deadlines import SHANGHAI
from models.domain.four_eyes import barred
from models.domain.procedure import StageRule
from models.store import office
from models.store.change import Row, drafters


@dataclass(frozen=True)
class Asked:
    """One person asked for one seat, himself or standing in for somebody."""

    seat: str
    person_id: str
    acting_for_id: str | None
    superior_id: str | None


class People:
    """The people of the office today; each question is asked once. `names` takes up the names that were read."""

    def __init__(self, connection: Connection, now: datetime, names: dict[str, str] | None = None) -> None:
        self.connection = connection
        self.today = now.astimezone(SHANGHAI).date()
        self.names = {} if names is None else names
        self._holders: dict[tuple[str, str | None, str | None], list[Any]] = {}
        self._drafters: dict[str, set[str]] = {}
        self._superiors: dict[str, str | None] = {}

    def wrote(self, adjustment_ids: Collection[str]) -> Mapping[str, set[str]]:
        """Who drafted each of these adjustments, read once."""
        missing = [key for key in adjustment_ids if key not in self._drafters]
        if missing:
            self._drafters.update({key: set() for key in missing}, **drafters(self.connection, missing))
        return {key: self._drafters[key] for key in adjustment_ids}

    def superior(self, person_id: str) -> str | None:
        """The superior of a person's posts of today, read once."""
        if person_id not in self._superiors:
            self._superiors[person_id] = office.superior_of(self.connection, person_id, self.today)
        return self._superiors[person_id]

    @cached_property
    def coordinators(self) -> set[str]:
        """Who coordinates today."""
        return {holder.person_id for holder in self.holders("coordinator")}

    @cached_property
    def departments(self) -> dict[str, office.DepartmentRow]:
        """All departments by id."""
        return office.departments(self.connection)

    @cached_property
    def substitutes(self) -> dict[str, str]:
        """Who stands in today, by the person stood in for."""
        return office.substitutes_on(self.connection, self.today)

    def holders(self, role: str, *, department_id: str | None = None, in_office: str | None = None) -> list[Any]:
        """Who holds a role today, read once."""
        key = (role, department_id, in_office)
        if key not in self._holders:
            self._holders[key] = list(
                office.eligible(
                    self.connection, role=role, on=self.today, department_id=department_id, office=in_office
                )
            )
            self.names.update({holder.person_id: holder.name for holder in self._holders[key]})
        return self._holders[key]

    def seats(self, rule: StageRule, sheet: Row) -> list[tuple[str, list[Any]]]:
        """The seats of a stage for a sheet, each with those who may take it."""
        if rule.code == "naming":
            return [
                ("naming:list", self.holders("naming_reviewer", in_office="list")),
                ("naming:service", self.holders("naming_reviewer", in_office="service")),
            ]
        if rule.role == "coordinator":
            return [("coordinator", self.holders("coordinator"))]
        if rule.scope == "department":
            holders = (
                [] if sheet["department_id"] is None else self.holders(rule.role, department_id=sheet["department_id"])
            )
            return [(rule.role, holders)]
        if rule.scope == "government":
            return [(rule.role, self.holders(rule.role, in_office="government"))]
        return [(rule.role, self.holders(rule.role))]

    def asked(self, rule: StageRule, sheet: Row, adjustment_ids: Sequence[str]) -> tuple[list[Asked], list[str]]:
        """Whom a stage asks, and the seats nobody can take. Nobody reviews what he drafted (four-eyes)."""
        wrote = self.wrote(adjustment_ids)
        found: list[Asked] = []
        empty: list[str] = []
        for seat, holders in self.seats(rule, sheet):
            taken = self._take(rule.code, seat, holders, wrote)
            found.extend(taken)
            if not taken:
                empty.append(seat)
        return found, empty

    def _take(self, stage: str, seat: str, holders: Sequence[Any], wrote: Mapping[str, set[str]]) -> list[Asked]:
        taken: dict[str, Asked] = {}
        for holder in holders:
            substitute = self.substitutes.get(holder.person_id)
            person, acting = (substitute, holder.person_id) if substitute else (holder.person_id, None)
            if not barred(stage, wrote, person, holder.person_id):
                taken.setdefault(person, Asked(seat, person, acting, holder.superior_person_id))
        if taken or not holders:
            return list(taken.values())
        superiors = {
            h.superior_person_id
            for h in holders
            if h.superior_person_id and not barred(stage, wrote, h.superior_person_id)
        }
        here = [person for person in sorted(superiors) if office.is_here(self.connection, person, self.today)]
        return [Asked(seat, person, None, None) for person in here]
