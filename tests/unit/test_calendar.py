"""Working days: the official arrangement with make-up days, weekends, years without an arrangement."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.calendar import WorkCalendar, years_of
from models.reference.workdays import days_of_year, official_calendar

CALENDAR = official_calendar()
WEEKENDS = WorkCalendar()
ARRANGED_DAYS = st.dates(date(2005, 1, 1), date(2026, 6, 30))
PLAIN_DAYS = st.dates(date(2000, 1, 1), date(2060, 12, 31))


@pytest.mark.parametrize(
    "day",
    [date(2026, 1, 4), date(2026, 2, 14), date(2026, 2, 28), date(2026, 5, 9), date(2026, 9, 20), date(2026, 10, 10)],
)
def test_a_make_up_day_at_a_weekend_is_a_working_day(day: date) -> None:
    assert day.weekday() >= 5
    assert CALENDAR.is_workday(day)


@pytest.mark.parametrize(
    "day", [date(2026, 1, 2), date(2026, 2, 16), date(2026, 4, 6), date(2026, 6, 19), date(2026, 9, 25)]
)
def test_a_weekday_of_a_holiday_is_a_rest_day(day: date) -> None:
    assert day.weekday() < 5
    assert not CALENDAR.is_workday(day)


def test_a_weekend_without_an_arrangement_is_a_rest_day() -> None:
    assert [WEEKENDS.is_workday(date(2026, 3, 2) + timedelta(days=n)) for n in range(7)] == [True] * 5 + [False] * 2


def test_counting_skips_the_holidays_and_counts_the_make_up_days() -> None:
    # National Day 2026: 30 September is the last working day before, 10 October (a Saturday) is worked.
    assert CALENDAR.add_workdays(date(2026, 9, 30), 1) == (date(2026, 10, 8), False)
    assert CALENDAR.add_workdays(date(2026, 9, 30), 3) == (date(2026, 10, 10), False)
    assert CALENDAR.add_workdays(date(2026, 9, 30), 4) == (date(2026, 10, 12), False)


def test_counting_back_ends_on_a_working_day_before_the_start() -> None:
    assert CALENDAR.add_workdays(date(2026, 10, 10), -3) == (date(2026, 9, 30), False)


def test_counting_no_days_is_refused() -> None:
    with pytest.raises(ValueError):
        CALENDAR.add_workdays(date(2026, 3, 2), 0)


def test_a_count_that_runs_into_a_year_without_arrangement_is_provisional() -> None:
    assert CALENDAR.add_workdays(date(2026, 12, 30), 1) == (date(2026, 12, 31), False)
    assert CALENDAR.add_workdays(date(2026, 12, 30), 2) == (date(2027, 1, 1), True)


def test_a_count_that_begins_before_a_year_without_arrangement_and_passes_it_is_provisional() -> None:
    days = {date(2030, 5, 1): False, date(2032, 5, 1): False}
    assert WorkCalendar(days).is_provisional(date(2030, 12, 1), date(2032, 1, 31))
    assert not WorkCalendar(days).is_provisional(date(2032, 1, 1), date(2032, 12, 31))


def test_a_year_without_arrangement_counts_weekends_only() -> None:
    assert not CALENDAR.is_official(date(2027, 10, 1))
    assert CALENDAR.is_workday(date(2027, 10, 1))
    assert not CALENDAR.is_workday(date(2027, 10, 2))


def test_december_alone_does_not_make_a_year_official() -> None:
    # The notice for New Year 2028 may arrange the last days of 2027.
    assert years_of({date(2027, 12, 31): False}) == frozenset()
    assert years_of({date(2027, 12, 31): False, date(2028, 1, 1): False}) == {2028}


def test_a_loaded_table_makes_its_year_official() -> None:
    calendar = official_calendar({date(2027, 1, 1): False, date(2027, 10, 1): False, date(2027, 10, 9): True})
    assert calendar.add_workdays(date(2026, 12, 30), 2) == (date(2027, 1, 4), False)
    assert calendar.is_workday(date(2027, 10, 9))


def test_a_loaded_table_wins_over_the_package_for_its_year_and_no_other() -> None:
    calendar = official_calendar({date(2026, 5, 1): False})
    assert calendar.is_workday(date(2026, 10, 1)), "the loaded 2026 has no National Day"
    assert not calendar.is_workday(date(2025, 10, 1))


def test_days_of_year_are_all_its_days() -> None:
    assert len(days_of_year(2024)) == 366
    assert (days_of_year(2026)[0], days_of_year(2026)[-1]) == (date(2026, 1, 1), date(2026, 12, 31))


@given(start=ARRANGED_DAYS, n=st.integers(1, 60))
def test_the_nth_working_day_is_a_working_day_with_n_working_days_counted(start: date, n: int) -> None:
    day, _ = CALENDAR.add_workdays(start, n)
    assert CALENDAR.is_workday(day)
    assert CALENDAR.workdays_between(start, day) == n


@given(start=PLAIN_DAYS, n=st.integers(1, 60))
def test_from_a_working_day_there_and_back_is_the_same_day(start: date, n: int) -> None:
    first, _ = WEEKENDS.add_workdays(start, 1)
    there, _ = WEEKENDS.add_workdays(first, n)
    assert WEEKENDS.add_workdays(there, -n)[0] == first


@given(start=ARRANGED_DAYS, one=st.integers(1, 40), more=st.integers(1, 40))
def test_counting_in_two_parts_is_counting_at_once(start: date, one: int, more: int) -> None:
    middle, _ = CALENDAR.add_workdays(start, one)
    assert CALENDAR.add_workdays(middle, more)[0] == CALENDAR.add_workdays(start, one + more)[0]


@given(after=ARRANGED_DAYS, days=st.integers(-30, 0))
def test_no_working_days_lie_between_a_day_and_one_that_is_not_later(after: date, days: int) -> None:
    assert CALENDAR.workdays_between(after, after + timedelta(days=days)) == 0


def test_every_day_of_the_official_notices_is_as_announced(real_data: Path) -> None:
    with (real_data / "holidays" / "cn_workdays.csv").open(encoding="utf-8-sig", newline="") as file:
        announced = {date.fromisoformat(row["date"]): row["is_workday"] for row in csv.DictReader(file)}
    official = {day: answer == "1" for day, answer in announced.items() if answer}
    assert len(official) > 1800
    assert {day: CALENDAR.is_workday(day) for day in official} == official
    assert all(CALENDAR.is_official(day) for day in official)
    assert {day.year for day in announced if not CALENDAR.is_official(day)} == {2027}


def test_every_counted_example_of_the_data_comes_out(real_data: Path) -> None:
    with (real_data / "holidays" / "workday_vectors_derived.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    for row in rows:
        day, _ = CALENDAR.add_workdays(date.fromisoformat(row["start_date"]), int(row["n_workdays"]))
        assert day.isoformat() == row["due_date_counting_from_next_day"], row
