"""The reach of a trigger: which items are concerned, and what is proposed for each. Pure.

An agency request names its items; the reach of a law change stands in `law_reach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from models.domain.content import ItemContent, apply_set, content_hash
from models.domain.errors import BadInput
from models.domain.requests import ItemRequest

#: Outcomes this release carries from the request to publication.
CARRIED = frozenset({"rename", "change_basis", "change_guide", "cancel", "add"})
CHANGE_WORDS = {
    "unchanged": "未改",
    "amended": "修改",
    "moved": "移条",
    "moved_and_amended": "移条并修改",
    "removed": "删除",
    "added": "新增条文",
    "repealed": "废止",
}


class Version(Protocol):
    """A current version."""

    @property
    def id(self) -> str: ...

    @property
    def item_id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def code(self) -> str | None: ...

    @property
    def department_id(self) -> str | None: ...

    @property
    def department_text(self) -> str: ...

    @property
    def content(self) -> dict[str, Any]: ...


#: `short`: the one confirmation of a change of words or numbers; `none`: pre-selected as "no adjustment needed"; None: the
#: procedure of the outcomes.
Road = Literal["short", "none"] | None


@dataclass(frozen=True)
class ReachRow:
    """One item concerned: the proposal and why. `road` is the way proposed for it."""

    item_id: str | None
    base_version_id: str | None
    kind: str
    code: str | None
    name: str
    department_id: str | None
    department_text: str
    outcomes: tuple[str, ...]
    content: dict[str, Any] | None
    revision: str
    certain: bool
    article: str
    change: str
    reason: str
    hint: dict[str, Any] = field(default_factory=dict)
    road: Road = None


@dataclass(frozen=True)
class Hidden:
    """What a rule that is switched off would have found: how many cited articles of how many items."""

    rule: str
    rows: int
    items: int


@dataclass(frozen=True)
class Reach:
    """What is to be adjusted, and what is pre-selected as "no adjustment needed" (`left`): every row wants an outcome."""

    rows: tuple[ReachRow, ...]
    left: tuple[ReachRow, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    #: What was to be taken out and is not in the reach.
    not_found: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[ReachRow, ...]:
        """All rows, those to be adjusted first."""
        return self.rows + self.left


class SheetKey(NamedTuple):
    """What the adjustments of one sheet share. The short road is one sheet for all departments: nobody of them drafts."""

    department_id: str | None
    outcomes: str
    short: bool


def grouped(lines: Iterable[Mapping[str, Any]]) -> list[tuple[SheetKey, list[Mapping[str, Any]]]]:
    """Adjustments (`department_id`, `outcomes` joined by +, `road`) by the sheet they go into, in the order of the sheets."""
    groups: dict[SheetKey, list[Mapping[str, Any]]] = {}
    for line in lines:
        short = line["road"] == "short"
        key = SheetKey(None if short else line["department_id"], line["outcomes"], short)
        groups.setdefault(key, []).append(line)
    return sorted(groups.items(), key=lambda pair: (pair[0].short, str(pair[0])))


def proposal_hash(content: Mapping[str, Any] | None, outcomes: Sequence[str]) -> str:
    """The revision of a proposal: what a decision points at."""
    body = "" if content is None else content_hash(ItemContent.model_validate(content))
    return content_hash_of("|".join([*sorted(outcomes), body]))


def content_hash_of(text: str) -> str:
    """A short opaque mark of a text."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:24]


# --- a department asks -------------------------------------------------------------------------------------------


def reach_of_request(
    wanted: Sequence[ItemRequest], targets: Sequence[Version | None], departments: frozenset[str] | set[str]
) -> Reach:
    """The rows of an agency request, each with its values set; unknown outcomes and fields are refused."""
    found = []
    seen: set[str] = set()
    for request, target in zip(wanted, targets, strict=True):
        _check_outcomes(request, target)
        if target is not None:
            if target.item_id in seen:
                raise BadInput("field_invalid", f"事项“{target.name}”在申请中出现两次，请合并为一项。", field="items")
            seen.add(target.item_id)
        found.append(_requested(request, target))
    return Reach(tuple(found))


def _check_outcomes(request: ItemRequest, target: Version | None) -> None:
    unknown = sorted(set(request.outcomes) - CARRIED)
    if unknown:
        raise BadInput(
            "field_invalid", f"本版本不办理调整类型 {'、'.join(unknown)}，可用：{'、'.join(sorted(CARRIED))}。"
        )
    if ("add" in request.outcomes) != (target is None):
        raise BadInput("field_invalid", "新增事项不写编码；其他调整须写明事项编码。", field="target")
    if len(request.outcomes) > 1 and {"add", "cancel"} & set(request.outcomes):
        raise BadInput("field_invalid", "新增、取消不能与其他调整类型合并办理。", field="outcomes")


def _requested(request: ItemRequest, target: Version | None) -> ReachRow:
    outcomes = tuple(sorted(set(request.outcomes)))
    if target is None:
        content = apply_set(None, dict(request.set))
    else:
        content = apply_set(ItemContent.model_validate(target.content), dict(request.set))
    body = content.model_dump(mode="json")
    return ReachRow(
        item_id=None if target is None else target.item_id,
        base_version_id=None if target is None else target.id,
        kind="item" if target is None else target.kind,
        code=None if target is None else target.code,
        name=content.name if target is None else target.name,
        department_id=content.department or None if target is None else target.department_id,
        department_text="" if target is None else target.department_text,
        outcomes=outcomes,
        content=body,
        revision=proposal_hash(body, outcomes),
        certain=True,
        article="",
        change="",
        reason="部门申请",
    )
