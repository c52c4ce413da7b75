"""What may follow what: the tables of states, the ends nothing leaves, and the page drawn from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import Conflict
from models.domain.states import MACHINES, OWNERS, check_transition, document, mermaid, terminal
from models.domain.vocabulary import STATE_NAMES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"

#: State to the states that may follow it, as the office's table of states has them.
FOLLOWS: dict[str, dict[str, set[str]]] = {
    "change": {
        "registered": {"assessing", "withdrawn"},
        "assessing": {"scoping", "closed"},
        "scoping": {"running", "assessing", "closed", "withdrawn"},
        "running": {"running", "closing", "closed", "withdrawn"},
        "closing": {"closed"},
    },
    "adjustment": {
        "proposed": {"drafting", "in_review", "declined", "removed"},
        "drafting": {"in_review", "removed", "drafting"},
        "in_review": {"drafting", "approved", "declined", "rejected", "removed"},
        "approved": {"scheduled", "blocked", "removed"},
        "scheduled": {"published", "blocked", "approved", "removed"},
        "blocked": {"drafting", "in_review", "removed"},
    },
    "sheet": {"open": {"waiting", "open", "done", "dissolved"}, "waiting": {"done", "open"}},
    "step": {
        "open": {"passed", "returned", "stopped", "superseded", "withdrawn", "passed_by_silence"},
        "stopped": {"open", "withdrawn"},
    },
    "assignment": {
        "queued": {"open"},
        "open": {"decided", "moved", "released", "dropped", "superseded", "withdrawn"},
        "decided": {"open"},
    },
    "notice": {
        "queued": {"held", "sending", "cancelled"},
        "held": {"queued", "cancelled"},
        "sending": {"sent", "retrying", "undeliverable", "doubtful"},
        "retrying": {"sending", "undeliverable"},
        "doubtful": {"sending", "undeliverable"},
    },
    "link": {"active": {"expired", "revoked", "spent"}},
    "publication": {
        "planned": {"due", "recalled"},
        "due": {"published", "empty", "due"},
        "published": {"issued"},
        "issued": {"linked"},
    },
}
ENDS: dict[str, set[str]] = {
    "change": {"closed", "withdrawn"},
    "adjustment": {"published", "declined", "rejected", "removed"},
    "sheet": {"done", "dissolved"},
    "step": {"passed", "returned", "superseded", "withdrawn", "passed_by_silence"},
    "assignment": {"moved", "released", "dropped", "superseded", "withdrawn"},
    "notice": {"sent", "undeliverable", "cancelled"},
    "link": {"expired", "revoked", "spent"},
    "publication": {"empty", "linked", "recalled"},
}
ALL_VERBS = sorted({verb for table in MACHINES.values() for verbs in table.values() for verb in verbs})
PLACES = [(machine, state) for machine, table in MACHINES.items() for state in table]


@pytest.mark.parametrize("machine", MACHINES)
def test_what_follows_a_state_is_what_the_table_says(machine: str) -> None:
    found = {state: set(verbs.values()) for state, verbs in MACHINES[machine].items() if verbs}
    assert found == FOLLOWS[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_ends_are_those_of_the_table(machine: str) -> None:
    assert terminal(machine) == ENDS[machine]


@pytest.mark.parametrize(
    ("machine", "state", "verb", "target"),
    [
        ("change", "scoping", "close_no_item", "closed"),
        ("change", "running", "finish_unpublished", "closed"),
        ("adjustment", "in_review", "approve_changed", "drafting"),
        ("adjustment", "scheduled", "recall", "approved"),
        ("adjustment", "blocked", "rebase_clean", "in_review"),
        ("sheet", "open", "return", "open"),
        ("step", "open", "pass_by_silence", "passed_by_silence"),
        ("step", "stopped", "restart_clock", "open"),
        ("assignment", "decided", "undo", "open"),
        ("notice", "sending", "lapse", "doubtful"),
        ("link", "active", "spend", "spent"),
        ("publication", "due", "block_all", "empty"),
    ],
)
def test_a_verb_leads_where_the_table_says(machine: str, state: str, verb: str, target: str) -> None:
    assert check_transition(machine, state, verb) == target


@pytest.mark.parametrize(
    ("machine", "state", "verb"),
    [
        ("change", "closing", "withdraw"),
        ("adjustment", "published", "recall"),
        ("adjustment", "drafting", "pass_last"),
        ("adjustment", "approved", "publish"),
        ("step", "stopped", "pass"),
        ("step", "passed", "return"),
        ("assignment", "queued", "decide"),
        ("notice", "sending", "cancel"),
        ("publication", "published", "recall"),
    ],
)
def test_a_verb_the_state_does_not_allow_is_refused(machine: str, state: str, verb: str) -> None:
    with pytest.raises(Conflict) as refused:
        check_transition(machine, state, verb)
    assert refused.value.code == "transition_refused"
    assert STATE_NAMES[machine][state].short in refused.value.message


@given(st.sampled_from([(m, s) for m, s in PLACES if s in ENDS[m]]), st.sampled_from(ALL_VERBS))
def test_no_verb_leaves_an_end(place: tuple[str, str], verb: str) -> None:
    with pytest.raises(Conflict):
        check_transition(*place, verb)


@given(st.sampled_from(PLACES), st.sampled_from(ALL_VERBS))
def test_a_verb_leads_to_a_state_of_the_same_object_or_is_refused(place: tuple[str, str], verb: str) -> None:
    machine, state = place
    try:
        target = check_transition(machine, state, verb)
    except Conflict:
        assert verb not in MACHINES[machine][state]
    else:
        assert target in FOLLOWS[machine][state]


def test_a_state_nobody_knows_is_refused_and_a_machine_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(Conflict):
        check_transition("step", "lost", "pass")
    with pytest.raises(KeyError):
        check_transition("lost", "open", "pass")


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_can_be_reached(machine: str) -> None:
    table = MACHINES[machine]
    reached = {next(iter(table))}
    while more := {target for state in reached for target in table[state].values()} - reached:
        reached |= more
    assert reached == set(table)


@pytest.mark.parametrize("machine", MACHINES)
def test_from_every_state_an_end_can_be_reached(machine: str) -> None:
    table = MACHINES[machine]
    ending = set(terminal(machine))
    while more := {state for state, verbs in table.items() if set(verbs.values()) & ending} - ending:
        ending |= more
    assert ending == set(table)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_has_a_label_and_every_label_a_state(machine: str) -> None:
    assert set(STATE_NAMES[machine]) == set(MACHINES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_verb_has_an_owner_and_every_owner_a_verb(machine: str) -> None:
    assert set(OWNERS[machine]) == {verb for verbs in MACHINES[machine].values() for verb in verbs}


def test_silence_passes_a_step_by_the_clock_alone() -> None:
    assert OWNERS["step"]["pass_by_silence"] == ("watch",)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_diagram_shows_every_state_and_every_verb(machine: str) -> None:
    drawn = mermaid(machine).splitlines()
    assert drawn[:2] == ["stateDiagram-v2", f"    [*] --> {next(iter(MACHINES[machine]))}"]
    for state, verbs in MACHINES[machine].items():
        if not verbs:
            assert f"    {state} --> [*]" in drawn
        for verb, target in verbs.items():
            arrow = next(line for line in drawn if line.startswith(f"    {state} --> {target}: "))
            assert f"{verb} (" in arrow


def test_the_page_on_states_is_drawn_from_the_tables() -> None:
    if os.environ.get("SHIXIANG_WRITE_DOCS") == "1":
        PAGE.write_text(document(), encoding="utf-8")
    assert PAGE.is_file(), "missing: run this test with SHIXIANG_WRITE_DOCS=1"
    assert PAGE.read_text(encoding="utf-8") == document(), "out of date: run this test with SHIXIANG_WRITE_DOCS=1"
    assert all(f"```mermaid\n{mermaid(machine)}\n```" in document() for machine in MACHINES)
