"""Working days of the official yearly arrangement, with make-up working days (调休). Pure.

WorkCalendar                          a value: exceptions by day, years with an arrangement
├── is_workday(day) -> bool
├── is_official(day) -> bool          the day's year has an arrangement
├── add_workdays(start, n) -> (date, provisional)
├── is_provisional(first, last) -> bool
└── workdays_between(after, until) -> int

Units: calendar days as `date`, in Shanghai time. Day 1 is the first working day AFTER the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

_DAY = timedelta(days=1)
_DECEMBER = 12
_SATURDAY = 5


def years_of(days: Mapping[date, bool]) -> frozenset[int]:
    """The years a table of days arranges. December alone does not count: it belongs to the next year's New Year."""
    return frozenset(day.year for day in days if day.month != _DECEMBER)


@dataclass(frozen=True)
class WorkCalendar:
    """Which days are working days.

    `days` holds every day that differs from its weekday (it may hold others), True for a working day; any other day is
    working from Monday to Friday. A year not in `official_years` has no arrangement yet: weekends only, and what is
    counted through it is provisional, never an error. Left out, the official years are those `days` arranges.
    """

    days: Mapping[date, bool] = field(default_factory=dict)
    official_years: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if self.official_years is None:
            object.__setattr__(self, "official_years", years_of(self.days))

    def is_workday(self, day: date) -> bool:
        """Whether the day is a working day."""
        known = self.days.get(day)
        return day.weekday() < _SATURDAY if known is None else known

    def is_official(self, day: date) -> bool:
        """Whether the day's year has an official arrangement."""
        return day.year in (self.official_years or ())

    def is_provisional(self, first: date, last: date) -> bool:
        """Whether a year from `first` to `last` (both included) has no arrangement."""
        years = self.official_years or frozenset()
        return any(year not in years for year in range(first.year, last.year + 1))

    def add_workdays(self, start: date, n: int) -> tuple[date, bool]:
        """The n-th working day after the start, or before it where n is negative, and whether it is provisional.

        Raises `ValueError` for n = 0: the start itself need not be a working day.
        """
        if n == 0:
            raise ValueError("n must not be 0")
        step = _DAY if n > 0 else -_DAY
        day, left = start, abs(n)
        while left:
            day += step
            left -= self.is_workday(day)
        return day, self.is_provisional(*self._days_counted(start + step, day))

    @staticmethod
    def _days_counted(one: date, other: date) -> tuple[date, date]:
        return (one, other) if one <= other else (other, one)

    def workdays_between(self, after: date, until: date) -> int:
        """How many working days lie after `after` up to and including `until`; 0 where `until` is not later."""
        return sum(self.is_workday(after + timedelta(days=k)) for k in range(1, (until - after).days + 1))
