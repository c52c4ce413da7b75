"""The labels of task runs: what a run's timeline in the Prefect UI says."""

from __future__ import annotations

from collections.abc import Sequence

from models.actions.legs import Moved, PassResult
from tasks.showing import labels


def passed(moved: Sequence[Moved] = (), opened: Sequence[Moved] = ()) -> PassResult:
    return PassResult(
        consumed=1,
        said=1,
        moved=tuple(moved),
        opened=tuple(opened),
        notices=0,
        waiting=0,
        phase="running",
        state="open",
        ended=False,
        next_due=None,
    )


DRAFT, FORM, OTHER = Moved("draft", "市公安局", 42), Moved("form", "市公安局", 42), Moved("form", "市民政局", 3)


def test_a_stage_opened_and_passed_meanwhile_has_one_label() -> None:
    made = labels([passed(opened=[DRAFT]), passed(moved=[DRAFT], opened=[FORM])])
    assert len(made) == 2
    assert made[0].endswith("市公安局 · 42 项")
    assert made[1].startswith("打开") and made[1].endswith("1 份")


def test_a_stage_that_a_return_opens_again_still_waits() -> None:
    made = labels([passed(opened=[DRAFT]), passed([DRAFT], [FORM]), passed([FORM], [DRAFT])])
    assert [label for label in made if label.startswith("打开")] == labels([passed(opened=[DRAFT])])


def test_of_two_sheets_of_a_department_the_one_that_waits_is_named() -> None:
    made = labels([passed(opened=[FORM, FORM]), passed(moved=[FORM])])
    assert sum(label.startswith("打开") and label.endswith("1 份") for label in made) == 1


def test_above_the_room_there_is_one_label_a_stage() -> None:
    made = labels([passed(moved=[FORM, OTHER] * 10, opened=[DRAFT] * 7)], room=12)
    assert len(made) == 2
    assert made[0].endswith("20 份 · 450 项") and made[1].endswith("7 份")
    assert labels([passed(moved=[FORM])], room=0) == []
