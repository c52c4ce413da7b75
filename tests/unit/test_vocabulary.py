"""The words people read are those of the wording table, and six words are kept for one meaning each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from models.domain.vocabulary import (
    OUTCOME_NAMES,
    ROLE_NAMES,
    RUNG_NAMES,
    STAGE_NAMES,
    STAGE_NAMES_EN,
    STAGE_SHORT,
    STAGE_VERB,
    STANDARD_OUTCOMES,
    STATE_NAMES,
    STUCK_NAME,
    TRIGGER_NAMES,
    VERDICT_BUTTON,
    VERDICT_EN,
    VERDICT_RECORD,
    Label,
    Outcome,
    Role,
    Rung,
    Stage,
    Trigger,
    Verdict,
)

WORDING = tomllib.loads((Path(__file__).resolve().parents[1] / "wording.toml").read_text(encoding="utf-8"))


def labels(table: Mapping[str, Sequence[str]]) -> dict[str, Label]:
    """A table of the wording as labels."""
    return {code: Label(*words) for code, words in table.items()}


@pytest.mark.parametrize("machine", STATE_NAMES)
def test_the_states_read_as_in_the_wording_table(machine: str) -> None:
    table = labels(WORDING["states"][machine])
    table.pop("stuck", None)
    assert STATE_NAMES[machine] == table


def test_the_mark_of_a_stuck_sheet_reads_as_in_the_wording_table() -> None:
    assert labels(WORDING["states"]["sheet"])["stuck"] == STUCK_NAME


def test_the_stages_read_as_in_the_wording_table() -> None:
    table = WORDING["stages"]
    assert {code: row[0] for code, row in table.items()} == STAGE_NAMES
    assert {code: row[1] for code, row in table.items()} == STAGE_SHORT
    assert {code: row[2] for code, row in table.items() if row[2]} == STAGE_VERB


def test_roles_triggers_and_outcomes_read_as_in_the_wording_table() -> None:
    table = labels(WORDING["roles"])
    assert {role: ROLE_NAMES[role] for role in table} == table
    assert set(ROLE_NAMES) - set(table) == {"operator", "evaluator"}
    assert labels(WORDING["triggers"]) == TRIGGER_NAMES
    assert labels(WORDING["outcomes"]) == OUTCOME_NAMES


def test_the_verdicts_read_as_in_the_wording_table() -> None:
    ours = {code: [VERDICT_BUTTON[code], VERDICT_RECORD[code], VERDICT_EN[code]] for code in VERDICT_BUTTON}
    assert ours == WORDING["verdicts"]


def test_the_rungs_read_as_in_the_wording_table() -> None:
    table = WORDING["rungs"]
    assert {rung: [RUNG_NAMES[rung].long, RUNG_NAMES[rung].en] for rung in table} == table


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (Trigger, TRIGGER_NAMES),
        (Outcome, OUTCOME_NAMES),
        (Stage, STAGE_NAMES),
        (Stage, STAGE_NAMES_EN),
        (Stage, STAGE_SHORT),
        (Role, ROLE_NAMES),
        (Verdict, VERDICT_BUTTON),
        (Verdict, VERDICT_RECORD),
        (Verdict, VERDICT_EN),
        (Rung, RUNG_NAMES),
    ],
)
def test_every_code_has_its_name(codes: type[str], names: dict[str, object]) -> None:
    assert list(names) == [str(code) for code in codes]  # type: ignore[attr-defined]


def test_the_standards_kinds_of_adjustment_lead_to_outcomes_we_have_each_to_its_own() -> None:
    ours = [outcome for outcomes in STANDARD_OUTCOMES.values() for outcome in outcomes]
    assert len(STANDARD_OUTCOMES) == 8
    assert len(ours) == len(set(ours))
    assert set(OUTCOME_NAMES) - set(ours) == {"change_guide", "recode"}


def chinese() -> dict[str, str]:
    """Every Chinese label with where it stands."""
    found = {f"trigger {code}": label.short + "|" + label.long for code, label in TRIGGER_NAMES.items()}
    found |= {f"outcome {code}": label.short + "|" + label.long for code, label in OUTCOME_NAMES.items()}
    found |= {f"role {code}": label.short + "|" + label.long for code, label in ROLE_NAMES.items()}
    found |= {f"rung {code}": label.short + "|" + label.long for code, label in RUNG_NAMES.items()}
    for code in STAGE_NAMES:
        found[f"stage {code}"] = "|".join((STAGE_NAMES[code], STAGE_SHORT[code], STAGE_VERB.get(code, "")))
    for code in VERDICT_BUTTON:
        found[f"verdict {code}"] = VERDICT_BUTTON[code] + "|" + VERDICT_RECORD[code]
    for machine, states in STATE_NAMES.items():
        found |= {f"{machine} {state}": label.short + "|" + label.long for state, label in states.items()}
    return found | {"mark stuck": STUCK_NAME.short + "|" + STUCK_NAME.long}


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("取消", {"outcome cancel"}),
        ("暂停", {"outcome suspend"}),
        ("恢复", {"outcome resume"}),
        ("认领", set()),
        ("公布", set()),
        ("施行", set()),
    ],
)
def test_a_reserved_word_stands_only_where_it_belongs(word: str, allowed: set[str]) -> None:
    assert {where for where, label in chinese().items() if word in label} == allowed


def test_supplementing_is_said_only_of_a_return() -> None:
    labels = {where: label for where, label in chinese().items() if "补正" in label}
    assert set(labels) == {"verdict return", "step returned"}
    assert all("补正" not in label.replace("退回补正", "") for label in labels.values())


def test_a_short_label_is_at_most_four_characters_long() -> None:
    tables = [TRIGGER_NAMES, OUTCOME_NAMES, ROLE_NAMES, RUNG_NAMES, *STATE_NAMES.values()]
    long = [label.short for table in tables for label in table.values() if len(label.short) > 4]
    assert long == []
