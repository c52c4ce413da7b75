"""The words people read are those of the wording table, and six words are kept for one meaning each."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

TABLE = Path(__file__).resolve().parents[3] / "shared" / "WORDING.md"
#: Machines of the wording table under the names the code has for them.
MACHINES = {
    "Change.phase": "change",
    "Adjustment": "adjustment",
    "Sheet": "sheet",
    "Step": "step",
    "Assignment": "assignment",
    "Notice": "notice",
    "Link": "link",
    "Publication": "publication",
}
CODED = re.compile(r"`(?P<code>[^`]+)`\s*(?P<rest>.+)")
STATE = re.compile(r"(?P<short>[^\s(]+)(?: \((?P<long>[^)]*)\))? (?P<en>.+)")


@pytest.fixture(scope="module")
def wording() -> str:
    """The wording table; tests that compare with it are skipped where it is missing."""
    if not TABLE.is_file():
        pytest.skip("real data not found: no wording table beside the project")
    return TABLE.read_text(encoding="utf-8")


def section(text: str, number: str) -> str:
    """The part of the table under a heading such as `### 1.2`."""
    return text.split(f"\n### {number} ", 1)[1].split("\n##", 1)[0]


def cells(text: str) -> Iterator[list[str]]:
    """The rows of the table of a part, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def coded(text: str, separator: str) -> dict[str, list[str]]:
    """`code` a · b · c, several of them after one another: code to its words."""
    parts = [found for part in re.split(separator, text) if (found := CODED.search(part))]
    return {found["code"]: [word.strip(" |") for word in found["rest"].split(" · ")] for found in parts}


def states_of(cell: str) -> dict[str, Label]:
    """The states in one row of 1.2."""
    found = {}
    for part in cell.split(" · "):
        head = CODED.match(part.removeprefix("mark "))
        label = STATE.match(head["rest"]) if head else None
        if head and label:
            found[head["code"]] = Label(label["short"], label["long"] or label["short"], label["en"])
    return found


def stages_of(text: str) -> dict[str, tuple[str, str, str, str]]:
    """Stage to name, word in run names, verb and role; a row may hold two stages."""
    found = {}
    for code, name, short, verb, role, *_ in cells(section(text, "1.3")):
        names, shorts = name.split(", "), short.split(", ")
        for number, one in enumerate(code.split(", ")):
            found[one] = (names[number], shorts[number], verb, re.sub(r" \(.*\)", "", role))
    return found


def verdicts_of(text: str) -> dict[str, tuple[str, str, str]]:
    """Verdict to button, words of the record and English."""
    found = {}
    for code, button, record, english in cells(section(text, "1.5")):
        codes = code.split(" / ")
        if set(codes) <= set(Verdict):
            columns = [[re.sub(r" \(.*?\)", "", w) for w in c.split(" / ")] for c in (button, record, english)]
            found.update(dict(zip(codes, zip(*columns, strict=True), strict=True)))
    return found


@pytest.mark.parametrize(("row", "machine"), MACHINES.items())
def test_the_states_read_as_in_the_wording_table(wording: str, row: str, machine: str) -> None:
    table = {name: states_of(cell) for name, cell in cells(section(wording, "1.2"))}[row]
    table.pop("stuck", None)
    assert STATE_NAMES[machine] == table


def test_the_mark_of_a_stuck_sheet_reads_as_in_the_wording_table(wording: str) -> None:
    table = {name: states_of(cell) for name, cell in cells(section(wording, "1.2"))}
    assert table["Sheet"]["stuck"] == STUCK_NAME


def test_the_stages_read_as_in_the_wording_table(wording: str) -> None:
    table = stages_of(wording)
    assert {code: row[0] for code, row in table.items()} == STAGE_NAMES
    assert {code: row[1] for code, row in table.items()} == STAGE_SHORT
    assert {code: row[2] for code, row in table.items() if row[2] != "–"} == STAGE_VERB


def test_the_roles_read_as_in_the_wording_table(wording: str) -> None:
    table = {
        re.sub(r" \(.*\)", "", role): Label(*words.split(" · "))
        for _, _, _, _, role, words in cells(section(wording, "1.3"))
        if words != "as above"
    }
    assert {role: ROLE_NAMES[role] for role in table} == table
    others = section(wording, "1.3").split("Others: ")[1]
    assert {role for role in ROLE_NAMES if role not in table} == {"operator", "evaluator"}
    assert all(f"{role} {ROLE_NAMES[role].long}" in others for role in ("operator", "evaluator"))


def test_the_triggers_read_as_in_the_wording_table(wording: str) -> None:
    line = next(line for line in section(wording, "1.4").splitlines() if line.startswith("Triggers:"))
    assert {code: Label(*words) for code, words in coded(line, r" \| ").items()} == TRIGGER_NAMES


def test_the_outcomes_read_as_in_the_wording_table(wording: str) -> None:
    text = section(wording, "1.4").split("Outcomes:")[1].replace("\n", " ")
    assert {code: Label(*words) for code, words in coded(text, r" \| ").items()} == OUTCOME_NAMES


def test_the_verdicts_read_as_in_the_wording_table(wording: str) -> None:
    table = verdicts_of(wording)
    assert table == {code: (VERDICT_BUTTON[code], VERDICT_RECORD[code], VERDICT_EN[code]) for code in VERDICT_BUTTON}


def test_the_rungs_read_as_in_the_wording_table(wording: str) -> None:
    row = next(row for row in cells(section(wording, "1.5")) if row[0].startswith("T-2"))
    words = dict(zip(row[0].split(" / "), zip(row[2].split(" / "), row[3].split(" / "), strict=True), strict=True))
    assert {rung: (RUNG_NAMES[rung].long, RUNG_NAMES[rung].en) for rung in words} == words


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
