"""Time limits in working days: the due day, the ladder of a late step, what is left and what is late."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.deadlines import (
    SHANGHAI,
    Due,
    due,
    due_moment,
    redraft_days,
    rungs,
    shanghai_day,
    working_days_late,
    working_days_left,
)
from models.reference.workdays import official_calendar

CALENDAR = official_calendar()
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2026, 6, 30), timezones=st.just(UTC))
DAYS = st.integers(1, 30)


def shanghai(*when: int) -> datetime:
    return datetime(*when, tzinfo=SHANGHAI)  # type: ignore[arg-type, misc]


def test_day_one_is_the_first_working_day_after_opening() -> None:
    # Monday 2 March 2026; one working day is Tuesday.
    assert due(shanghai(2026, 3, 2, 10), 1, CALENDAR) == Due(date(2026, 3, 3), False)
    assert due(shanghai(2026, 3, 2, 10), 5, CALENDAR) == Due(date(2026, 3, 9), False)


def test_day_one_of_a_step_opened_at_a_weekend_is_monday() -> None:
    assert due(shanghai(2026, 3, 7, 10), 1, CALENDAR).due_on == date(2026, 3, 9)


def test_a_make_up_day_counts_as_a_day_of_the_limit() -> None:
    # Friday 27 February 2026; Saturday the 28th is worked for the Spring Festival.
    assert due(shanghai(2026, 2, 27, 10), 1, CALENDAR).due_on == date(2026, 2, 28)


def test_the_opening_day_is_that_of_shanghai_not_of_utc() -> None:
    assert shanghai_day(datetime(2026, 3, 2, 16, 0, tzinfo=UTC)) == date(2026, 3, 3)
    assert due(datetime(2026, 3, 2, 15, 59, tzinfo=UTC), 1, CALENDAR).due_on == date(2026, 3, 3)
    assert due(datetime(2026, 3, 2, 16, 0, tzinfo=UTC), 1, CALENDAR).due_on == date(2026, 3, 4)


def test_a_moment_without_a_zone_has_no_day() -> None:
    with pytest.raises(ValueError):
        shanghai_day(datetime(2026, 3, 2, 10))


def test_a_limit_has_at_least_one_day() -> None:
    with pytest.raises(ValueError):
        due(shanghai(2026, 3, 2, 10), 0, CALENDAR)


def test_a_due_day_in_a_year_without_arrangement_is_provisional() -> None:
    assert due(shanghai(2026, 12, 28, 10), 3, CALENDAR) == Due(date(2026, 12, 31), False)
    assert due(shanghai(2026, 12, 28, 10), 10, CALENDAR) == Due(date(2027, 1, 11), True)


def test_a_step_is_due_at_the_end_of_its_due_day_in_shanghai() -> None:
    assert due_moment(date(2026, 3, 3)) == datetime(2026, 3, 3, 16, 0, tzinfo=UTC)


@given(opened_at=MOMENTS, days=DAYS)
def test_no_due_day_is_a_rest_day(opened_at: datetime, days: int) -> None:
    found = due(opened_at, days, CALENDAR)
    assert CALENDAR.is_workday(found.due_on)
    assert not found.provisional


@given(opened_at=MOMENTS, days=DAYS)
def test_the_due_day_leaves_exactly_the_days_of_the_limit(opened_at: datetime, days: int) -> None:
    opened_on = shanghai_day(opened_at)
    assert working_days_left(due(opened_at, days, CALENDAR).due_on, opened_on, CALENDAR) == days


def test_the_ladder_fires_two_days_before_then_on_the_first_fourth_and_fifth_day_after() -> None:
    # Opened Monday 2 March 2026 for five days: due Monday 9 March.
    plan = rungs(date(2026, 3, 2), date(2026, 3, 9), CALENDAR)
    assert [(rung.rung, rung.at) for rung in plan] == [
        ("T-2", shanghai(2026, 3, 5, 9)),
        ("T+0", shanghai(2026, 3, 10, 9)),
        ("T+3", shanghai(2026, 3, 13, 9)),
        ("silence", shanghai(2026, 3, 16, 9)),
    ]


def test_the_ladder_counts_working_days_over_a_holiday() -> None:
    # Due on 30 September 2026, the last working day before National Day; 10 October (Saturday) is worked.
    plan = {rung.rung: rung.at.date() for rung in rungs(date(2026, 9, 21), date(2026, 9, 30), CALENDAR)}
    assert plan == {
        "T-2": date(2026, 9, 28),
        "T+0": date(2026, 10, 8),
        "T+3": date(2026, 10, 12),
        "silence": date(2026, 10, 13),
    }


@pytest.mark.parametrize("days", [1, 2])
def test_a_step_of_two_days_or_less_has_no_reminder(days: int) -> None:
    opened = shanghai(2026, 3, 2, 10)
    plan = rungs(shanghai_day(opened), due(opened, days, CALENDAR).due_on, CALENDAR)
    assert [rung.rung for rung in plan] == ["T+0", "T+3", "silence"]


@given(opened_at=MOMENTS, days=DAYS)
def test_every_rung_fires_at_nine_on_a_working_day_after_the_opening_day(opened_at: datetime, days: int) -> None:
    opened_on = shanghai_day(opened_at)
    plan = rungs(opened_on, due(opened_at, days, CALENDAR).due_on, CALENDAR)
    for rung in plan:
        local = rung.at.astimezone(SHANGHAI)
        assert local.time() == time(9, 0)
        assert CALENDAR.is_workday(local.date())
        assert local.date() > opened_on
    assert [rung.at for rung in plan] == sorted(rung.at for rung in plan)


@given(opened_at=MOMENTS, days=DAYS)
def test_a_step_has_each_rung_once_and_only_the_reminder_may_be_missing(opened_at: datetime, days: int) -> None:
    plan = rungs(shanghai_day(opened_at), due(opened_at, days, CALENDAR).due_on, CALENDAR)
    assert [rung.rung for rung in plan] == (["T-2"] if days > 2 else []) + ["T+0", "T+3", "silence"]


@given(opened_at=MOMENTS, days=DAYS)
def test_nobody_is_told_of_lateness_before_the_due_day_is_over(opened_at: datetime, days: int) -> None:
    due_on = due(opened_at, days, CALENDAR).due_on
    for rung in rungs(shanghai_day(opened_at), due_on, CALENDAR):
        assert (rung.at >= due_moment(due_on)) == (rung.rung != "T-2")


@pytest.mark.parametrize(("stage_days", "days"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 3), (10, 5), (11, 6)])
def test_a_drafter_has_half_of_the_days_after_a_return_at_least_two(stage_days: int, days: int) -> None:
    assert redraft_days(stage_days) == days


def test_a_step_is_not_late_on_its_due_day() -> None:
    assert working_days_late(date(2026, 3, 9), date(2026, 3, 9), CALENDAR) == 0
    assert working_days_left(date(2026, 3, 9), date(2026, 3, 9), CALENDAR) == 0


def test_lateness_counts_working_days_only() -> None:
    friday = date(2026, 3, 13)
    late = [working_days_late(friday, friday + timedelta(days=n), CALENDAR) for n in range(6)]
    assert late == [0, 0, 0, 1, 2, 3]


def test_the_superior_is_told_one_day_late_and_the_coordinator_four() -> None:
    due_on = date(2026, 9, 30)
    plan = rungs(date(2026, 9, 21), due_on, CALENDAR)
    late = {rung.rung: working_days_late(due_on, rung.at.date(), CALENDAR) for rung in plan}
    assert late == {"T-2": 0, "T+0": 1, "T+3": 4, "silence": 5}


@given(opened_at=MOMENTS, days=DAYS, shift=st.integers(-20, 20))
def test_a_step_is_never_both_late_and_in_time(opened_at: datetime, days: int, shift: int) -> None:
    due_on = due(opened_at, days, CALENDAR).due_on
    today = due_on + timedelta(days=shift)
    assert 0 in (working_days_late(due_on, today, CALENDAR), working_days_left(due_on, today, CALENDAR))
    assert working_days_left(due_on, today, CALENDAR) > 0 or shift >= 0
