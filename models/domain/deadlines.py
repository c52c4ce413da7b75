"""Time limits of a step: when it is due, when it is reminded of, how late it is. Pure; now and today are arguments.

due(opened_at, days, calendar) -> Due            day 1 = the first working day after the opening day, Shanghai time
due_moment(due_on) -> datetime                   24:00 of the due day
rungs(opened_on, due_on, calendar) -> [RungPlan] when the ladder fires, all at 09:00
redraft_days(stage_days) -> int                  what a drafter has after a return
validity_begins(planned, now) -> datetime        when a version published now begins
working_days_left / working_days_late            counted from today

The rules are those of the office's design, section 5 (deadlines in working days, three rungs, then `on_silence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from models.domain.calendar import WorkCalendar
from models.domain.vocabulary import Rung

#: China has one time zone without daylight saving since 1992, so a fixed offset serves and needs no zone files.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
RUNG_TIME = time(9, 0)
#: Working days from the due day: the superior on the first, the coordinator on the fourth, silence on the fifth.
RUNG_DAYS: dict[str, int] = {Rung.REMIND: -2, Rung.SUPERIOR: 1, Rung.SUPERVISE: 4, Rung.SILENCE: 5}
_REDRAFT_LEAST = 2
#: A switch of versions is in time within this much after its moment.
IN_TIME = timedelta(minutes=5)


@dataclass(frozen=True)
class Due:
    """The last day of a step; provisional where a year it counts through has no official arrangement yet."""

    due_on: date
    provisional: bool


@dataclass(frozen=True)
class RungPlan:
    """One rung of the ladder and the moment it fires."""

    rung: str
    at: datetime


def shanghai_day(at: datetime) -> date:
    """The calendar day in Shanghai of a moment with a zone. Raises `ValueError` for one without."""
    if at.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return at.astimezone(SHANGHAI).date()


def due(opened_at: datetime, days: int, calendar: WorkCalendar) -> Due:
    """The due day of a step opened at a moment (with zone), `days` >= 1 working days long."""
    if days < 1:
        raise ValueError("a time limit has at least one working day")
    day, provisional = calendar.add_workdays(shanghai_day(opened_at), days)
    return Due(day, provisional)


def due_moment(due_on: date) -> datetime:
    """24:00 Shanghai time of the due day: on time is before it."""
    return datetime.combine(due_on + timedelta(days=1), time.min, tzinfo=SHANGHAI)


def rungs(opened_on: date, due_on: date, calendar: WorkCalendar) -> list[RungPlan]:
    """The ladder of a step in the order of time.

    The reminder (T-2) is left out where it would not come after the opening day. The last one is the moment of
    `on_silence`: once, on the fifth working day after the due day.
    """
    plan = []
    for rung, days in RUNG_DAYS.items():
        day, _ = calendar.add_workdays(due_on, days)
        if days > 0 or day > opened_on:
            plan.append(RungPlan(str(rung), datetime.combine(day, RUNG_TIME, tzinfo=SHANGHAI)))
    return plan


def redraft_days(stage_days: int) -> int:
    """After a return the drafter has half of the stage's days, rounded up, at least two."""
    return max(_REDRAFT_LEAST, -(-stage_days // 2))


def validity_begins(planned: datetime, now: datetime) -> datetime:
    """When a version published now begins: at the moment that was planned, or now where that is longer ago than what a
    switch in time takes. History is not rewritten.
    """
    return planned if now - planned <= IN_TIME else now


def working_days_late(due_on: date, today: date, calendar: WorkCalendar) -> int:
    """Working days since the due day, today included; 0 while it is not late."""
    return calendar.workdays_between(due_on, today)


def working_days_left(due_on: date, today: date, calendar: WorkCalendar) -> int:
    """Working days after today up to the due day; 0 on the due day and later."""
    return calendar.workdays_between(today, due_on)
