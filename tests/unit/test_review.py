"""What the decisions on a step mean: when its rule is met, where each line goes, the mark of what a person saw."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.review import (
    LINE_VERDICTS,
    REASON_NEEDED,
    SENT_BACK,
    SHORT_VERDICTS,
    VERDICTS,
    Seat,
    fate,
    line_remark,
    line_verdict,
    revision_of,
    rule_met,
    stamp_of,
)
from models.domain.vocabulary import VERDICT_BUTTON

SAID = st.lists(st.sampled_from(["pass", "object", "return", "approve", "approve_changed", "reject", "take_out"]))
SEATS = st.lists(st.builds(Seat, seat=st.sampled_from("abc"), decided=st.booleans()), max_size=6)
IDS = st.text("abcdefgh0123456789", min_size=1, max_size=8)
LINES = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=6, unique_by=lambda line: line[0])
STAMPS = st.integers(1, 2**60)


def decision(verdict: str, comment: str = "", **lines: tuple[str, str]) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "comment": comment,
        "lines": {adjustment: {"verdict": said, "remark": remark} for adjustment, (said, remark) in lines.items()},
    }


def test_with_the_rule_any_one_decision_is_enough() -> None:
    assert rule_met("any", [Seat("legality", False), Seat("legality", True)])
    assert not rule_met("any", [Seat("legality", False), Seat("legality", False)])


def test_with_the_rule_all_every_seat_must_have_decided() -> None:
    assert not rule_met("all", [Seat("naming:list", True), Seat("naming:service", False)])
    assert rule_met("all", [Seat("naming:list", True), Seat("naming:service", True)])


def test_with_the_rule_all_one_person_of_each_seat_is_enough() -> None:
    asked = [Seat("naming:list", True), Seat("naming:list", False), Seat("naming:service", True)]
    assert rule_met("all", asked)


@pytest.mark.parametrize("rule", ["any", "all"])
def test_a_rule_is_never_met_where_nobody_was_asked(rule: str) -> None:
    assert not rule_met(rule, [])


@given(SEATS)
def test_where_all_is_met_any_is_met_too(seats: list[Seat]) -> None:
    assert rule_met("any", seats) or not rule_met("all", seats)


@given(SEATS, st.sampled_from(["any", "all"]), st.randoms())
def test_the_order_of_the_seats_does_not_matter(seats: list[Seat], rule: str, random: Any) -> None:
    shuffled = random.sample(seats, len(seats))
    assert rule_met(rule, shuffled) == rule_met(rule, seats)


@given(SEATS.filter(bool), st.sampled_from(["any", "all"]), st.data())
def test_a_further_decision_never_undoes_a_rule_that_is_met(seats: list[Seat], rule: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(seats) - 1))
    more = [Seat(seat.seat, seat.decided or number == place) for number, seat in enumerate(seats)]
    assert rule_met(rule, more) or not rule_met(rule, seats)


@pytest.mark.parametrize(
    ("verdicts", "where"),
    [
        (["pass"], "on"),
        (["approve"], "on"),
        (["pass", "object"], "on"),
        (["pass", "return"], "back"),
        (["object", "return"], "back"),
        (["approve_changed"], "back"),
        (["pass", "reject"], "rejected"),
        (["return", "reject"], "rejected"),
        (["confirm"], "on"),
        (["take_out"], "removed"),
    ],
)
def test_a_line_goes_where_its_reviewers_send_it(verdicts: list[str], where: str) -> None:
    assert fate(verdicts) == where


@given(SAID.flatmap(lambda said: st.tuples(st.just(said), st.permutations(said))))
def test_the_order_of_decisions_does_not_matter(orders: tuple[list[str], list[str]]) -> None:
    assert fate(orders[0]) == fate(orders[1])


@given(SAID)
def test_a_line_goes_on_exactly_where_nobody_sent_it_back_or_ended_it(said: list[str]) -> None:
    assert (fate(said) == "on") == (not set(said) & (SENT_BACK | {"reject", "take_out"}))


def test_a_line_takes_its_own_verdict_before_that_on_the_whole() -> None:
    given_ = decision("pass", "整单通过", adj1=("return", "名称不合规范"))
    assert (line_verdict(given_, "adj1"), line_verdict(given_, "adj2")) == ("return", "pass")
    assert (line_remark(given_, "adj1"), line_remark(given_, "adj2")) == ("名称不合规范", "整单通过")


def test_a_line_without_a_remark_takes_the_comment_on_the_whole() -> None:
    assert line_remark(decision("return", "见附件", adj1=("return", "")), "adj1") == "见附件"


def test_mixed_verdicts_of_two_reviewers_split_the_lines_whatever_their_order() -> None:
    legality = decision("pass", adj2=("return", "依据有误"))
    listing = decision("pass", adj3=("return", "未列入清单"), adj4=("object", "建议合并"))
    approval = decision("approve", adj5=("reject", "不符合改革方向"))
    for order in permutations([legality, listing, approval]):
        found = {a: fate(line_verdict(d, a) for d in order) for a in ("adj1", "adj2", "adj3", "adj4", "adj5")}
        assert found == {"adj1": "on", "adj2": "back", "adj3": "back", "adj4": "on", "adj5": "rejected"}


@given(LINES, STAMPS)
def test_the_same_content_has_the_same_mark(lines: list[tuple[str, str]], stamp: int) -> None:
    assert revision_of("stp-1", lines, stamp) == revision_of("stp-1", list(lines), stamp)


@given(LINES, STAMPS, st.data())
def test_a_new_proposal_of_any_member_changes_the_mark(
    lines: list[tuple[str, str]], stamp: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(lines) - 1))
    proposal = data.draw(IDS.filter(lambda other: other != lines[place][1]))
    changed = [*lines[:place], (lines[place][0], proposal), *lines[place + 1 :]]
    assert revision_of("stp-1", changed, stamp) != revision_of("stp-1", lines, stamp)


@given(LINES, STAMPS, st.data())
def test_a_member_that_leaves_changes_the_mark(lines: list[tuple[str, str]], stamp: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(lines) - 1))
    assert revision_of("stp-1", lines[:place] + lines[place + 1 :], stamp) != revision_of("stp-1", lines, stamp)


@given(LINES, STAMPS)
def test_another_step_or_another_moment_has_another_mark(lines: list[tuple[str, str]], stamp: int) -> None:
    mark = revision_of("stp-1", lines, stamp)
    assert revision_of("stp-2", lines, stamp) != mark
    assert revision_of("stp-1", lines, stamp + 1) != mark


@given(LINES, STAMPS)
def test_a_mark_tells_the_moment_of_its_newest_proposal(lines: list[tuple[str, str]], stamp: int) -> None:
    assert stamp_of(revision_of("stp-1", lines, stamp)) == stamp


@pytest.mark.parametrize("text", ["", "r-1", "x-1-abc", "r-zz-abc", "r-1-abc-d"])
def test_what_is_no_mark_has_no_moment(text: str) -> None:
    assert stamp_of(text) is None


def test_every_verdict_of_a_stage_has_a_button() -> None:
    offered = {
        verdict for verdicts in [*VERDICTS.values(), *LINE_VERDICTS.values(), SHORT_VERDICTS] for verdict in verdicts
    }
    assert offered == set(VERDICT_BUTTON)


def test_a_reason_is_asked_for_exactly_where_the_button_says_that_one_follows() -> None:
    assert {verdict for verdict, button in VERDICT_BUTTON.items() if button.endswith("…")} == REASON_NEEDED


def test_at_the_reviews_a_line_can_be_sent_back_and_at_countersigning_it_cannot() -> None:
    returning = {stage for stage, verdicts in VERDICTS.items() if SENT_BACK & set(verdicts)}
    assert returning == {"form", "legality", "list", "naming", "approval"}
