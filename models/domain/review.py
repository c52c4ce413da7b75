"""What the decisions on a step mean: when the rule is met, and where each line goes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Which verdicts a stage takes; the order is that of the page.
VERDICTS: dict[str, tuple[str, ...]] = {
    "scope": ("confirm",),
    "draft": ("save", "submit", "decline"),
    "form": ("pass", "return"),
    "countersign": ("pass", "object"),
    "legality": ("pass", "return", "object"),
    "list": ("pass", "return", "object"),
    "naming": ("pass", "return"),
    "approval": ("approve", "approve_changed", "reject", "return"),
}
#: Verdicts on one adjustment, where they differ from those on the whole sheet.
LINE_VERDICTS: dict[str, tuple[str, ...]] = {
    "scope": ("confirm", "take_out", "no_adjustment"),
    "draft": ("submit", "decline"),
}
#: Verdicts offered where nobody drafts (the short road): there is nobody to return to, a row is raised to the full procedure.
SHORT_VERDICTS = ("pass", "raise")
#: Verdicts that need a reason, in the comment or in the remarks.
REASON_NEEDED = frozenset(
    {"decline", "return", "object", "approve_changed", "reject", "take_out", "no_adjustment", "raise"}
)
SENT_BACK = frozenset({"return", "approve_changed"})

Fate = Literal["on", "back", "rejected", "removed", "raised"]


def verdicts_of(stage: str, *, drafted: bool = True) -> tuple[str, ...]:
    """The verdicts a stage offers; `drafted` is whether its procedure begins with drafting."""
    return VERDICTS[stage] if drafted else SHORT_VERDICTS


def accepted(stage: str, *, drafted: bool = True) -> tuple[str, ...]:
    """The verdicts a stage takes: those it offers, and on the short road what it takes elsewhere. A return raises there."""
    return VERDICTS[stage] if drafted else tuple(dict.fromkeys((*SHORT_VERDICTS, *VERDICTS[stage])))


def scope_preset(road: str | None, hint: Mapping[str, Any], reason: str) -> tuple[str, str]:
    """What the scope step proposes for a row, and why: as taken out at the start, "no adjustment needed", or in."""
    taken_out = hint.get("taken_out")
    if taken_out:
        return "take_out", str(taken_out)
    return ("no_adjustment", reason) if road == "none" else ("confirm", "")


def line_verdict(decision: Mapping[str, Any], adjustment_id: str) -> str:
    """What a decision says of one adjustment: its own line, else the verdict on the whole."""
    line = decision["lines"].get(adjustment_id)
    return str(line["verdict"]) if line else str(decision["verdict"])


def line_remark(decision: Mapping[str, Any], adjustment_id: str) -> str:
    """The remark on one adjustment, else the comment on the whole."""
    line = decision["lines"].get(adjustment_id)
    return str((line or {}).get("remark") or decision["comment"])


@dataclass(frozen=True)
class Seat:
    """Who was asked, for which seat, and whether he has decided."""

    seat: str
    decided: bool


def rule_met(rule: str, seats: Sequence[Seat], named: Sequence[str] = ()) -> bool:
    """`any`: one decision is enough. `all`: one decision for each seat that the stage has `named` or that was asked.

    Nobody asked is never met, and so is a named seat that nobody holds.
    """
    if not seats:
        return False
    if rule == "any":
        return any(seat.decided for seat in seats)
    wanted = {*named, *(seat.seat for seat in seats)}
    return wanted <= {seat.seat for seat in seats if seat.decided}


def fate(verdicts: Iterable[str], *, drafted: bool = True) -> Fate:
    """Where one line goes after all its reviewers have spoken: any return sends it back, a reject ends it. Where nobody
    drafted, a return raises the line to the full procedure.
    """
    said = set(verdicts)
    if "reject" in said:
        return "rejected"
    if "take_out" in said:
        return "removed"
    if "raise" in said:
        return "raised"
    if said & SENT_BACK:
        return "back" if drafted else "raised"
    return "on"


def revision_of(step_id: str, lines: Sequence[tuple[str, str]], stamp: int) -> str:
    """The opaque mark of exactly what a person sees: the step, its lines and each line's proposal.

    `stamp` (microseconds of the newest proposal) lets a later submission tell which lines are newer than the page.
    """
    digest = hashlib.sha256("|".join([step_id, *(f"{a}={r}" for a, r in lines)]).encode()).hexdigest()[:20]
    return f"r-{stamp:x}-{digest}"


def stamp_of(revision: str) -> int | None:
    """The moment in a revision mark, or None where it is not one."""
    parts = revision.split("-")
    if len(parts) != 3 or parts[0] != "r":
        return None
    try:
        return int(parts[1], 16)
    except ValueError:
        return None
