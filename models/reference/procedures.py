"""The shipped procedures, read from their table."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from models.domain.errors import Unknown
from models.domain.procedure import ProcedureVersion, merge_procedures, read_procedure
from models.domain.vocabulary import STAGE_NAMES

_FILE = Path(__file__).with_name("procedures.toml")


#: The procedure of the short road.
SHORT = "editorial"


@cache
def shipped() -> dict[str, ProcedureVersion]:
    """The shipped procedure of every outcome."""
    return {key: procedure for key, procedure in _every().items() if key != SHORT}


def short_road() -> ProcedureVersion:
    """One confirmation, for bases of which only words or numbers changed."""
    return _every()[SHORT]


@cache
def _every() -> dict[str, ProcedureVersion]:
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {key: _read(key, body, data["stages"]) for key, body in data["procedures"].items()}


def _read(key: str, body: dict[str, Any], known: dict[str, dict[str, Any]]) -> ProcedureVersion:
    stages = []
    for code, days in body["days"].items():
        stage = {"code": code, "name": STAGE_NAMES[code], "days": days, **known[code]}
        if code == "approval":
            stage.update(_APPROVERS[body["approver"]])
        stages.append(stage)
    return read_procedure(key, body["basis"], stages)


_APPROVERS: dict[str, dict[str, str]] = {
    "department": {"role": "approver", "scope": "department"},
    "coordinator": {"role": "coordinator", "scope": "office"},
    "government": {"role": "approver", "scope": "government"},
}


def procedure_for(outcomes: frozenset[str]) -> ProcedureVersion:
    """The procedure of a set of outcomes; `Unknown procedure_unknown` where none is shipped."""
    missing = sorted(outcomes - shipped().keys())
    if missing or not outcomes:
        raise Unknown("procedure_unknown", f"没有为调整类型 {'、'.join(missing) or '（空）'} 配置流程。")
    return merge_procedures(shipped()[outcome] for outcome in outcomes)
