"""The official arrangement of working days: the package's years, and yearly tables an office has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache

from models.domain.calendar import WorkCalendar, years_of


@cache
def _package() -> tuple[dict[date, bool], frozenset[int]]:
    """The days of the package that differ from their weekday, and the years it knows."""
    from chinese_calendar import constants

    days = dict.fromkeys(constants.holidays, False)
    days.update(dict.fromkeys(constants.workdays, True))
    first, last = min(days).year, max(day for day in days if day.month > 1 or day.day > 3).year
    return days, frozenset(range(first, last + 1))


def official_calendar(loaded: Mapping[date, bool] | None = None) -> WorkCalendar:
    """The calendar of all arrangements known; a loaded table wins over the package for its years."""
    days, years = _package()
    if not loaded:
        return WorkCalendar(days, years)
    own = years_of(loaded)
    kept = {day: works for day, works in days.items() if day.year not in own}
    return WorkCalendar({**kept, **loaded}, years | own)


def days_of_year(year: int) -> list[date]:
    """Every day of a year."""
    first = date(year, 1, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]
