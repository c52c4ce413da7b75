"""The reach of a trigger: which items are concerned, and what is proposed for each. Pure.

A law change follows the citations of the catalogue; an agency request names its items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from models.domain.content import ItemContent, apply_set, content_hash
from models.domain.errors import BadInput
from models.domain.law_compare import ArticleMatch, match_articles
from models.domain.law_text import Article, canonical_title, paragraphs
from models.domain.numerals import int_to_chinese
from models.domain.requests import ItemRequest

#: Outcomes this release carries from the request to publication.
CARRIED = frozenset({"rename", "change_basis", "change_guide", "cancel", "add"})
CHANGE_WORDS = {
    "unchanged": "未改",
    "amended": "修改",
    "moved": "移条",
    "moved_and_amended": "移条并修改",
    "removed": "删除",
    "repealed": "废止",
}


class Citing(Protocol):
    """One citation of a current version."""

    @property
    def item_id(self) -> str: ...

    @property
    def ord(self) -> int: ...

    @property
    def edition_on(self) -> date | None: ...

    @property
    def article(self) -> int | None: ...


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


@dataclass(frozen=True)
class ReachRow:
    """One item concerned: the proposal and why."""

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


@dataclass(frozen=True)
class Reach:
    """All rows, and the items that cite the law as a whole and are left to a person's judgement."""

    rows: tuple[ReachRow, ...]
    whole_law: tuple[ReachRow, ...] = ()


def proposal_hash(content: Mapping[str, Any] | None, outcomes: Sequence[str]) -> str:
    """The revision of a proposal: what a decision points at."""
    body = "" if content is None else content_hash(ItemContent.model_validate(content))
    return content_hash_of("|".join([*sorted(outcomes), body]))


def content_hash_of(text: str) -> str:
    """A short opaque mark of a text."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:24]


# --- a law changed -----------------------------------------------------------------------------------------------


def reach_of_law(
    *,
    canonical: str,
    title: str,
    to_edition: date | None,
    old: Sequence[Article],
    new: Sequence[Article] | None,
    citing: Sequence[Citing],
    versions: Mapping[str, Version],
) -> Reach:
    """Follow the citations: amended or moved articles change the basis, a basis that is all gone cancels the item."""
    where = None if new is None else _where(match_articles(old, new))
    by_item: dict[str, list[Citing]] = {}
    for row in citing:
        by_item.setdefault(row.item_id, []).append(row)
    found: list[ReachRow] = []
    whole: list[ReachRow] = []
    for item_id, cited in by_item.items():
        version = versions.get(item_id)
        if version is None:
            continue
        judged = _judge_item(canonical, title, to_edition, where, cited, version)
        if judged is not None:
            (whole if judged.change == "whole_law" else found).append(judged)
    found.sort(key=lambda row: (row.department_id or "", row.code or "", row.name))
    return Reach(tuple(found), tuple(whole))


def _where(matches: Sequence[ArticleMatch]) -> dict[tuple[int, int], ArticleMatch]:
    return {(match.old.no, match.old.sub): match for match in matches if match.old is not None}


def _judge_item(
    canonical: str,
    title: str,
    to_edition: date | None,
    where: Mapping[tuple[int, int], ArticleMatch] | None,
    cited: Sequence[Citing],
    version: Version,
) -> ReachRow | None:
    bases: list[dict[str, Any]] = list(version.content.get("bases", []))
    kept: list[dict[str, Any]] = []
    notes: list[tuple[str, str]] = []
    certain = True
    whole = False
    for basis in bases:
        if canonical_title(str(basis.get("law", ""))) != canonical:
            kept.append(basis)
            continue
        if where is None:
            notes.append((_article_name(basis), "repealed"))
            continue
        if to_edition is not None and str(basis.get("edition") or "") >= to_edition.isoformat():
            kept.append(basis)
            continue
        if basis.get("article") is None:
            whole = True
            kept.append(basis)
            continue
        followed = _follow(basis, where, to_edition)
        kept.extend(followed.bases)
        notes.extend(followed.notes)
        certain = certain and followed.certain
    if not notes:
        return _whole_law_row(title, version) if whole else None
    outcome = "change_basis" if kept else "cancel"
    content = dict(version.content) if outcome == "cancel" else {**version.content, "bases": kept}
    words = sorted({word for _, word in notes})
    return ReachRow(
        item_id=version.item_id,
        base_version_id=version.id,
        kind=version.kind,
        code=version.code,
        name=version.name,
        department_id=version.department_id,
        department_text=version.department_text,
        outcomes=(outcome,),
        content=content,
        revision=proposal_hash(content, (outcome,)),
        certain=certain,
        article="、".join(name for name, _ in notes),
        change="、".join(CHANGE_WORDS[word] for word in words),
        reason=f"《{title}》" + "；".join(f"{name}{CHANGE_WORDS[word]}" for name, word in notes),
        hint={"law": canonical, "articles": [name for name, _ in notes]},
    )


def _whole_law_row(title: str, version: Version) -> ReachRow:
    return ReachRow(
        item_id=version.item_id,
        base_version_id=version.id,
        kind=version.kind,
        code=version.code,
        name=version.name,
        department_id=version.department_id,
        department_text=version.department_text,
        outcomes=(),
        content=None,
        revision="",
        certain=False,
        article="",
        change="whole_law",
        reason=f"引用整部《{title}》，没有写明条款，请人工核对",
    )


@dataclass(frozen=True)
class _Followed:
    bases: list[dict[str, Any]]
    notes: list[tuple[str, str]]
    certain: bool


def _follow(basis: dict[str, Any], where: Mapping[tuple[int, int], ArticleMatch], to_edition: date | None) -> _Followed:
    """Where one citation leads in the new text."""
    match = where.get((int(basis["article"]), int(basis.get("sub") or 0)))
    if match is None:
        return _Followed([basis], [], True)
    if match.new is None:
        return _Followed([], [(_article_name(basis), "removed")], match.certain)
    if match.change == "unchanged":
        return _Followed([basis], [], True)
    new = match.new
    moved = {
        **basis,
        "article": new.no,
        "sub": new.sub or None,
        "edition": None if to_edition is None else to_edition.isoformat(),
        "quoted": _quote(basis, new) if basis.get("quoted") else basis.get("quoted"),
    }
    return _Followed([moved], [(_article_name(basis), match.change)], match.certain)


def _quote(basis: Mapping[str, Any], article: Article) -> str:
    """The new words of what was quoted: the same paragraph where there is one, else the whole article."""
    parts = paragraphs(article)
    number = basis.get("paragraph")
    if number and 1 <= int(number) <= len(parts):
        return parts[int(number) - 1]
    return article.text


def _article_name(basis: Mapping[str, Any]) -> str:
    if basis.get("article") is None:
        return "全文"
    name = f"第{int_to_chinese(int(basis['article']))}条"
    if basis.get("sub"):
        name += f"之{int_to_chinese(int(basis['sub']))}"
    return name


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
