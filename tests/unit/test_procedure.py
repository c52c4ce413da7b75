"""Procedures are data: the shipped ones, several outcomes together, what the loader refuses."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.domain.errors import BadInput, Unknown
from models.domain.procedure import APPROVERS, ORDER, StageRule, merge_procedures, read_procedure
from models.domain.vocabulary import STAGE_NAMES
from models.reference.procedures import procedure_for, shipped, short_road

#: Stage to working days, as the office's table of stages has them.
DAYS: dict[str, dict[str, int]] = {
    "rename": {"draft": 5, "form": 1, "legality": 5, "list": 5, "naming": 3, "approval": 3, "publishing": 0},
    "change_basis": {"draft": 10, "form": 1, "legality": 5, "list": 5, "approval": 3, "publishing": 0},
    "change_guide": {"draft": 5, "form": 1, "approval": 2, "publishing": 0},
    "cancel": {"draft": 10, "form": 1, "legality": 5, "list": 5, "approval": 10, "publishing": 0},
    "add": {
        "draft": 10,
        "form": 1,
        "legality": 5,
        "list": 5,
        "naming": 3,
        "approval": 10,
        "coding": 0,
        "publishing": 0,
    },
}
APPROVER = {
    "rename": ("coordinator", "office"),
    "change_basis": ("approver", "department"),
    "change_guide": ("approver", "department"),
    "cancel": ("approver", "government"),
    "add": ("approver", "government"),
}
SEATS = {
    "draft": "drafter",
    "form": "coordinator",
    "legality": "legality_reviewer",
    "list": "list_reviewer",
    "naming": "naming_reviewer",
    "coding": "engine",
    "publishing": "engine",
}
OUTCOMES = sorted(DAYS)
SEVERAL = st.sets(st.sampled_from(OUTCOMES), min_size=1)


def stage(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "name": code, "role": "approver", "days": 5, **more}


def approval_of(outcomes: frozenset[str]) -> StageRule:
    return next(rule for rule in procedure_for(outcomes).stages if rule.code == "approval")


def test_every_procedure_of_the_table_is_shipped_and_no_other() -> None:
    assert sorted(shipped()) == OUTCOMES


def test_on_the_short_road_nobody_drafts_and_one_person_confirms() -> None:
    road = short_road()
    assert ([(rule.code, rule.days) for rule in road.stages], road.drafted) == (
        [("legality", 3), ("publishing", 0)],
        False,
    )
    assert road.stages[0].rule == "any"
    assert all(procedure.drafted for procedure in shipped().values())


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_shipped_procedure_has_the_stages_and_days_of_the_table(outcome: str) -> None:
    assert {rule.code: rule.days for rule in shipped()[outcome].stages} == DAYS[outcome]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_stages_of_a_shipped_procedure_stand_in_order(outcome: str) -> None:
    codes = [rule.code for rule in shipped()[outcome].stages]
    assert codes == [code for code in ORDER if code in codes]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_right_person_decides_a_shipped_procedure(outcome: str) -> None:
    rule = approval_of(frozenset({outcome}))
    assert (rule.role, rule.scope) == APPROVER[outcome]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_other_stage_has_its_seat(outcome: str) -> None:
    rules = [rule for rule in shipped()[outcome].stages if rule.code != "approval"]
    assert {rule.code: rule.role for rule in rules} == {rule.code: SEATS[rule.code] for rule in rules}


def test_the_drafters_are_those_of_the_department() -> None:
    assert {rule.scope for p in shipped().values() for rule in p.stages if rule.code == "draft"} == {"department"}


def test_naming_needs_both_offices() -> None:
    rules = [rule for p in shipped().values() for rule in p.stages if rule.code == "naming"]
    assert {(rule.rule, rule.seats) for rule in rules} == {("all", ("naming:list", "naming:service"))}


@pytest.mark.parametrize("outcome", ["rename", "change_basis", "cancel", "add"])
def test_legality_and_list_are_reviewed_side_by_side(outcome: str) -> None:
    together = [tuple(rule.code for rule in position) for position in shipped()[outcome].positions()]
    assert ("legality", "list") in together
    assert [len(codes) for codes in together].count(1) == len(together) - 1


def test_every_shipped_procedure_names_its_source() -> None:
    assert all(procedure.basis for procedure in shipped().values())


def test_at_no_shipped_stage_is_silence_consent() -> None:
    assert "consent" not in {rule.on_silence for p in shipped().values() for rule in p.stages}


def test_an_outcome_without_procedure_is_refused_by_name() -> None:
    with pytest.raises(Unknown) as refused:
        procedure_for(frozenset({"rename", "merge"}))
    assert refused.value.code == "procedure_unknown"
    assert "merge" in refused.value.message and "rename" not in refused.value.message


def test_no_outcome_has_no_procedure() -> None:
    with pytest.raises(Unknown):
        procedure_for(frozenset())


def test_the_procedure_of_two_outcomes_has_both_names_in_its_key() -> None:
    assert procedure_for(frozenset({"rename", "change_basis"})).key == "change_basis+rename"


@pytest.mark.parametrize(
    ("outcomes", "approver", "days"),
    [
        ({"rename", "change_basis"}, ("coordinator", "office"), 3),
        ({"rename", "cancel"}, ("approver", "government"), 10),
        ({"change_guide", "change_basis"}, ("approver", "department"), 3),
        ({"change_guide", "rename"}, ("coordinator", "office"), 3),
        ({"change_guide", "change_basis", "rename", "add"}, ("approver", "government"), 10),
    ],
)
def test_the_highest_approver_of_several_outcomes_decides(
    outcomes: set[str], approver: tuple[str, str], days: int
) -> None:
    rule = approval_of(frozenset(outcomes))
    assert ((rule.role, rule.scope), rule.days) == (approver, days)


@given(SEVERAL)
def test_several_outcomes_have_every_review_of_each_once(outcomes: set[str]) -> None:
    codes = [rule.code for rule in procedure_for(frozenset(outcomes)).stages]
    assert len(codes) == len(set(codes))
    assert set(codes) == {code for outcome in outcomes for code in DAYS[outcome]}
    assert codes == sorted(codes, key=ORDER.index)


@given(SEVERAL)
def test_a_review_of_several_outcomes_has_the_longest_time_of_any(outcomes: set[str]) -> None:
    for rule in procedure_for(frozenset(outcomes)).stages:
        if rule.code != "approval":
            assert rule.days == max(DAYS[outcome].get(rule.code, 0) for outcome in outcomes)


@given(SEVERAL)
def test_nobody_lower_than_any_outcome_asks_for_decides(outcomes: set[str]) -> None:
    def height(role: str, scope: str) -> int:
        return APPROVERS.index("coordinator" if role == "coordinator" else scope)

    rule = approval_of(frozenset(outcomes))
    assert height(rule.role, rule.scope) == max(height(*APPROVER[outcome]) for outcome in outcomes)


@given(st.permutations(OUTCOMES))
def test_the_order_of_outcomes_does_not_matter(order: list[str]) -> None:
    assert merge_procedures(shipped()[o] for o in order) == merge_procedures(shipped()[o] for o in OUTCOMES)


def test_the_parallel_reviews_stay_side_by_side_with_any_two_outcomes() -> None:
    for pair in combinations(OUTCOMES, 2):
        together = [[rule.code for rule in position] for position in procedure_for(frozenset(pair)).positions()]
        assert ["legality", "list"] in together, pair


@pytest.mark.parametrize("code", ["legality", "list", "naming", "approval"])
def test_a_procedure_where_silence_is_consent_at_a_review_is_refused(code: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_procedure("own", "地方规定", [stage("draft"), stage(code, on_silence="consent")])
    assert refused.value.code == "procedure_refused"
    assert STAGE_NAMES[code] in refused.value.message


@pytest.mark.parametrize("code", ["draft", "form", "coding", "publishing", "connecting"])
def test_a_procedure_where_silence_is_consent_outside_countersigning_is_refused(code: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_procedure("own", "地方规定", [stage(code, on_silence="consent")])
    assert refused.value.code == "procedure_refused"


def test_silence_may_be_consent_at_countersigning_with_a_source() -> None:
    procedure = read_procedure("own", "地方规定第三条", [stage("draft"), stage("countersign", on_silence="consent")])
    assert [rule.on_silence for rule in procedure.stages] == ["remind", "consent"]


@pytest.mark.parametrize("basis", ["", " "])
def test_silence_is_not_consent_at_countersigning_without_a_source(basis: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_procedure("own", basis, [stage("countersign", on_silence="consent")])
    assert refused.value.code == "procedure_refused"


@pytest.mark.parametrize("on_silence", ["remind", "escalate", "reassign"])
def test_any_other_way_of_meeting_silence_is_taken(on_silence: str) -> None:
    procedure = read_procedure("own", "地方规定", [stage("legality", on_silence=on_silence)])
    assert procedure.stages[0].on_silence == on_silence


def test_stages_are_put_in_order_when_read() -> None:
    procedure = read_procedure("own", "地方规定", [stage("approval"), stage("draft"), stage("naming")])
    assert [rule.code for rule in procedure.stages] == ["draft", "naming", "approval"]


def test_a_stage_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        read_procedure("own", "地方规定", [stage("draft", tacit=True)])


def test_stages_of_one_group_are_one_position_and_ungrouped_ones_are_not() -> None:
    procedure = read_procedure(
        "own",
        "地方规定",
        [stage("form"), stage("legality", group="review"), stage("list", group="review"), stage("naming")],
    )
    assert [[rule.code for rule in position] for position in procedure.positions()] == [
        ["form"],
        ["legality", "list"],
        ["naming"],
    ]
