"""The names of the trade in the language of the page: what `models.domain.vocabulary` keeps side by side."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from models.domain.change_kinds import KINDS
from models.domain.law_reach import LISTS, RULES
from models.domain.vocabulary import (
    OUTCOME_NAMES,
    PROCEDURE_NAMES,
    PROOF_NAMES,
    ROLE_NAMES,
    STAGE_NAMES,
    STATE_NAMES,
    TRIGGER_NAMES,
    VERDICT_BUTTON,
    VERDICT_EN,
    VERDICT_RECORD,
    VERDICT_RECORD_EN,
    Label,
)
from models.words import N_, _, _p, spoken

PARTS = {
    "data": N_("数据库"),
    "prefect": "Prefect",
    "engine": N_("流程引擎"),
    "deployments": N_("部署"),
    "mailbox": N_("邮箱"),
    "deliverer": N_("发送"),
    "watch": N_("巡检"),
}


def labels() -> Mapping[str, Any]:
    """The tables a template names, in the language spoken now."""
    return _labels(spoken())


@cache
def _labels(code: str) -> dict[str, Any]:
    english = code == "en"
    return {
        "OUTCOMES": _named({**OUTCOME_NAMES, **PROCEDURE_NAMES}, english),
        "TRIGGERS": _named(TRIGGER_NAMES, english),
        "PROOFS": _named(PROOF_NAMES, english),
        "ROLES": _named(ROLE_NAMES, english),
        "STATES": {thing: _named(names, english) for thing, names in STATE_NAMES.items()},
        "STAGES": {stage: _(name) for stage, name in STAGE_NAMES.items()},
        "VERDICTS": {verdict: _button(verdict) for verdict in VERDICT_BUTTON} if english else VERDICT_BUTTON,
        "RULES": {rule: _p("rule", name) for rule, name in RULES.items()},
        "LISTS": {part: _p("list", name) for part, name in LISTS.items()},
        "KINDS": {kind: _p("kind", name) for kind, name in KINDS.items()},
        "RECORD": VERDICT_RECORD_EN if english else VERDICT_RECORD,
    }


def _named(names: Mapping[str, Label], english: bool) -> dict[str, Label]:
    if not english:
        return dict(names)
    return {code: Label(_begun(name.en), _begun(name.en), name.en) for code, name in names.items()}


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]


def _button(verdict: str) -> str:
    return _begun(VERDICT_EN[verdict]) + ("…" if VERDICT_BUTTON[verdict].endswith("…") else "")


def button(stage: str, verdict: str) -> str:
    """What a verdict's button says at a stage: who countersigns agrees, he does not let pass."""
    if stage == "countersign" and verdict == "pass":
        return _p("countersign", "同意")
    return str(labels()["VERDICTS"][verdict])


def part(code: str) -> str:
    """What a part of the system is called."""
    return _(PARTS.get(code, code))


def meaning_of(code: str) -> str:
    """What a refusal's code means, in the language spoken now; empty where the catalogue does not say it."""
    meaning = _p("refusal", code)
    return "" if meaning == code else meaning
