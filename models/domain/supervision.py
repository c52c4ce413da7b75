"""Who may urge and hand on what others are late with, and who may take it over. Pure.

in_charge_of(person, …) -> [Held]     what lies open in a step that this person answers for
takers(…) -> [person id]              to whom an assignment may be handed on
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from models.domain.four_eyes import FREE


@dataclass(frozen=True)
class Held:
    """One open assignment of a step: who holds it, for which seat, and the superior of his post."""

    id: str
    seat: str
    person_id: str
    superior_id: str | None


def is_late(due_on: date | None, today: date) -> bool:
    """Late from the first working or other day after the due day."""
    return due_on is not None and due_on < today


def in_charge_of(person_id: str, *, coordinator: bool, late: bool, held: Sequence[Held]) -> list[Held]:
    """Of what lies open in a step, what this person may urge and hand on.

    A coordinator: all of it. A superior: what his own people hold, once it is late (he was told then).
    """
    if coordinator:
        return list(held)
    return [one for one in held if late and one.superior_id == person_id]


def takers(
    held: Held, *, stage: str, seats: Mapping[str, Sequence[str]], wrote: Collection[str], asked: Collection[str]
) -> list[str]:
    """Who may take an assignment over: those who may hold its seat, else the superior of its holder.

    Nobody who has it before him already, and nobody who drafted what is to be reviewed (four-eyes).
    """
    barred = set(asked) | (set() if stage in FREE else set(wrote))
    people = [*seats.get(held.seat, ()), *([held.superior_id] if held.superior_id else [])]
    return [person for person in dict.fromkeys(people) if person not in barred]
