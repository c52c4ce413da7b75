"""The log alone gives the state of a change, and what was altered past the log is named with the line that says so."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from models.domain.audit import AUDITED, Difference, Jump, differences, differing_lines, plain, replay, words


def line(seq: int, *became: Any, **said: Any) -> dict[str, Any]:
    return {"seq": seq, "data": {**said, "became": list(became)}}


STORY = [
    line(1, ["change", {"phase": "registered", "state": "open", "attempt": 1}, ["c"]], title="更正"),
    line(2, ["change", {"phase": "assessing"}, ["c"]], ["change", {"phase": "scoping"}, ["c"]]),
    line(3, ["adjustment", {"state": "proposed", "revision": "r1"}, ["a", "b"]]),
    line(4, ["adjustment", {"state": "drafting", "sheet_id": "s"}, ["a", "b"]], ["sheet", {"state": "open"}, ["s"]]),
    line(5, ["adjustment", {"revision": "r2"}, ["a"]]),
    line(6, ["adjustment", {"state": "removed"}, ["b"]]),
]


def test_later_lines_stand_over_earlier_ones() -> None:
    found = replay(STORY)
    assert found.whole
    assert found.rows["adjustment"] == {
        "a": {"state": "drafting", "revision": "r2", "sheet_id": "s"},
        "b": {"state": "removed", "revision": "r1", "sheet_id": "s"},
    }
    assert found.rows["change"]["c"]["phase"] == "scoping"
    assert found.jumps == []
    assert ("adjustment", "drafting", "removed") in found.steps
    assert list(differences(found, deepcopy(found.rows))) == []


def test_an_altered_column_is_named_with_the_line_that_says_otherwise() -> None:
    found = replay(STORY)
    standing = deepcopy(found.rows)
    standing["adjustment"]["a"]["revision"] = "r9"
    assert list(differences(found, standing)) == [Difference("adjustment", "a", "revision", "r2", "r9", 5)]


def test_a_row_taken_away_and_a_row_slipped_in_are_named() -> None:
    found = replay(STORY)
    standing = deepcopy(found.rows)
    gone = standing["sheet"].pop("s")
    standing["decision"] = {"d": {"verdict": "approve"}}
    assert list(differences(found, standing)) == [
        Difference("sheet", "s", "", gone, None, 4),
        Difference("decision", "d", "", None, {"verdict": "approve"}, None),
    ]


def test_a_log_begun_before_this_was_told_answers_only_for_what_it_knows() -> None:
    found = replay([{"seq": 1, "data": {"title": "旧"}}, line(2, ["step", {"state": "passed"}, ["t"]])])
    assert not found.whole
    assert found.jumps == []
    standing = {"step": {"t": {"state": "passed", "stage": "form"}, "u": {"state": "open"}}}
    assert list(differences(found, standing)) == []
    standing["step"]["t"]["state"] = "returned"
    assert [d.seq for d in differences(found, standing)] == [2]


@pytest.mark.parametrize(("before", "after"), [("removed", "drafting"), ("drafting", "published"), (None, "published")])
def test_a_step_no_state_allows_is_told(before: str | None, after: str) -> None:
    lines = [line(1, ["change", {"phase": "registered"}, ["c"]])]
    if before is not None:
        lines += [line(2, ["adjustment", {"state": s}, ["a"]]) for s in ("proposed", "drafting", before)]
    found = replay([*lines, line(3, ["adjustment", {"state": after}, ["a"]])])
    assert found.jumps == [Jump(3, "adjustment", "a", before, after)]


def test_times_and_days_are_told_as_text() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert plain(datetime(2026, 11, 23, 9, tzinfo=shanghai)) == plain(datetime(2026, 11, 23, 1, tzinfo=UTC))
    assert plain(date(2026, 11, 23)) == "2026-11-23"
    assert plain(None) is None


def test_of_a_decision_only_what_differs_from_its_verdict_is_told_line_by_line() -> None:
    said = [
        {"adjustment_id": "a", "verdict": "pass", "remark": ""},
        {"adjustment_id": "b", "verdict": "return", "remark": "请写到款"},
        {"adjustment_id": "c", "verdict": "pass", "remark": "同意"},
    ]
    assert differing_lines("pass", said) == {"b": ["return", "请写到款"], "c": ["pass", "同意"]}


def test_readers_hear_the_words_of_a_line_without_the_rest() -> None:
    assert words(STORY[0]["data"]) == {"title": "更正"}


def test_every_audited_column_is_one_of_its_table() -> None:
    from models.tables import metadata

    for kind, names in AUDITED.items():
        known = {column.name for column in metadata.tables[kind].columns} | {"lines"}
        assert set(names) <= known, kind
