"""Procedures: ordered stages with a role, a rule and working days. Data that an official can check; pure.

A parallel group (legality ∥ list) is one position: all its stages open together. With several outcomes every review
of each applies once and the highest approver of any decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.domain.errors import BadInput
from models.domain.proof import Kind, stronger
from models.domain.vocabulary import STAGE_NAMES

#: The order of stages in every procedure.
ORDER = ("draft", "form", "countersign", "legality", "list", "naming", "approval", "coding", "publishing", "connecting")
#: The only stage at which silence may be consent, and only with a 依据.
MAY_BE_SILENT = frozenset({"countersign"})
#: Who decides, from low to high: department head, coordinator, government.
APPROVERS = ("department", "coordinator", "government")
RETURNING_STAGES = frozenset({"form", "legality", "list", "naming", "approval"})


class StageRule(BaseModel):
    """One stage: who (role, scope), how many of them (rule), how long (working days)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str
    role: str
    scope: Literal["department", "office", "government"] = "office"
    rule: Literal["any", "all"] = "any"
    days: int = Field(ge=0, le=250)
    group: str | None = None
    seats: tuple[str, ...] = ()
    on_return: Literal["collect", "at_once"] = "collect"
    on_silence: Literal["remind", "escalate", "reassign", "consent"] = "remind"
    #: What the stage asks for before it takes a decision; None leaves it to the office's setting.
    proof: Kind | None = None


def one_is_enough(rule: StageRule | None) -> bool:
    """Whether one decision settles the stage for everybody asked; None is the scope, which no procedure holds: it does."""
    return rule is None or rule.rule == "any"


class ProcedureVersion(BaseModel):
    """One edition of a procedure with the source of its figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    basis: str
    stages: tuple[StageRule, ...]

    @property
    def drafted(self) -> bool:
        """Whether somebody drafts; on the short road nobody does."""
        return any(stage.code == "draft" for stage in self.stages)

    def rule(self, stage: str) -> StageRule | None:
        """What holds for a stage; None where this procedure has no such stage."""
        return next((rule for rule in self.stages if rule.code == stage), None)

    def positions(self) -> tuple[tuple[StageRule, ...], ...]:
        """The stages in their order, those of one parallel group together."""
        found: list[list[StageRule]] = []
        for stage in self.stages:
            if found and stage.group is not None and found[-1][0].group == stage.group:
                found[-1].append(stage)
            else:
                found.append([stage])
        return tuple(tuple(stages) for stages in found)


def read_procedure(key: str, basis: str, stages: Iterable[Mapping[str, Any]]) -> ProcedureVersion:
    """A procedure from its data. Raises `BadInput procedure_refused` where silence would be consent and may not be, or a proof is
    asked for that nobody can give yet.
    """
    rules = tuple(StageRule.model_validate(stage) for stage in stages)
    for rule in rules:
        if rule.on_silence == "consent" and (rule.code not in MAY_BE_SILENT or not basis.strip()):
            name = STAGE_NAMES.get(rule.code, rule.code)
            raise BadInput("procedure_refused", f"流程“{key}”未载入：{name}不得设为逾期视为同意。")
        if rule.proof == "oidc":
            name = STAGE_NAMES.get(rule.code, rule.code)
            message = f"流程“{key}”未载入：{name}的核验方式“统一认证”（oidc）尚未支持，请改用 session 或者 code。"
            raise BadInput("procedure_refused", message)
    return ProcedureVersion(key=key, basis=basis, stages=tuple(sorted(rules, key=lambda rule: ORDER.index(rule.code))))


def merge_procedures(procedures: Iterable[ProcedureVersion]) -> ProcedureVersion:
    """One procedure for several outcomes: each review once with the longest time, the highest approver decides."""
    parts = sorted(procedures, key=lambda procedure: procedure.key)
    if len(parts) == 1:
        return parts[0]
    chosen: dict[str, StageRule] = {}
    for part in parts:
        for stage in part.stages:
            standing = chosen.get(stage.code)
            chosen[stage.code] = stage if standing is None else _stronger(standing, stage)
    stages = tuple(sorted(chosen.values(), key=lambda rule: ORDER.index(rule.code)))
    return ProcedureVersion(
        key="+".join(part.key for part in parts), basis="；".join(p.basis for p in parts), stages=stages
    )


def _stronger(one: StageRule, other: StageRule) -> StageRule:
    proof = stronger(one.proof, other.proof)
    if one.code == "approval" and _height(one) != _height(other):
        return max(one, other, key=_height).model_copy(update={"proof": proof})
    return one.model_copy(update={"days": max(one.days, other.days), "proof": proof})


def _height(stage: StageRule) -> int:
    """How high an approver stands."""
    name = "coordinator" if stage.role == "coordinator" else stage.scope
    return APPROVERS.index(name)
