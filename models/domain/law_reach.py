"""What a law's new text, or its repeal, asks for: one adjustment for each item from the judged citations of the law. Pure.

Every item that `impact` names is a row of the reach. An item with a changed article is to be adjusted: the bases with new
number and text filled in, or cancelled where the only valid basis is gone. An item of which only the whole law, an
editorial change, a reference or a citation that is new already was found is pre-selected as "no adjustment needed".

The short road (one confirmation, nobody drafts) is for changes of words or numbers alone, and only where nothing had to be
guessed: an uncertain match, a gap in the library, a quotation that never stood in the old text go the full way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from models.domain.basis_follow import NewText
from models.domain.change_kinds import kind_of_change
from models.domain.deadlines import SHANGHAI
from models.domain.impact import NOT_YET, Impact, ImpactRow
from models.domain.law_text import Article, canonical_title
from models.domain.numerals import article_name
from models.domain.reach import CARRIED, CHANGE_WORDS, Hidden, Reach, ReachRow, Road, Version, proposal_hash
from models.domain.vocabulary import OUTCOME_NAMES

RULES: Final = {
    "repealed": "法规废止",
    "removed": "所引条文删除",
    "amended": "所引条文修改",
    "moved": "所引条文移条",
    "editorial": "所引条文文字性修改",
    "annex": "引用附件",
    "not_in_old": "旧文本没有所引条文",
    "similar_title": "所引法规名称相近",
    "whole_law": "引用整部法规",
    "mentioned": "所引条文提到该法规",
    "refers": "所引条文提到变动的条文",
    "implementing": "所引下位法条文依照变动的条文",
    "already_new": "所引已是新文本",
}
"""The rules by which a citation becomes a row, the weightiest first. A coordinator may switch one off."""

LISTS: Final = {
    "rows": "须处理",
    "uncertain": "须核对",
    "editorial": "文字性修改",
    "whole_law": "引用整部法规",
    "indirect": "间接相关",
    "already_new": "已是新文本",
}
"""The lists of an impact and what they are called."""

_SHOWN_WORDS: Final = 40  # changed places of an article kept for the page
_SHOWN_REASONS: Final = 8
_SHOWN_EARLIER: Final = 5

Key = tuple[int, int]


@dataclass(frozen=True)
class LawFacts:
    """The law of a change with its two texts; `new` and `to_edition` are None for a repeal."""

    canonical: str
    title: str
    from_edition: date
    to_edition: date | None
    old: Sequence[Article]
    new: Sequence[Article] | None


def rule_of(part: str, row: ImpactRow, *, repeal: bool) -> str:
    """The rule by which a row of one list of an impact was found."""
    if part == "rows":
        if row.change == "removed":
            return "repealed" if repeal else "removed"
        return "moved" if row.change == "moved" else "amended"
    if part == "whole_law":
        if row.outcome == "check":
            return "annex"
        return "whole_law" if row.confidence == 1.0 else "mentioned"
    if part == "indirect":
        return "refers" if row.change == "unchanged" else "implementing"
    if part == "uncertain":
        return "not_in_old" if row.confidence == 0.0 else "similar_title"
    return part


def reach_of_law(found: Impact, law: LawFacts, versions: Mapping[str, Version], *, off: Collection[str] = ()) -> Reach:
    """The rows of a law change by department, code and name; `off` are the rules that find nothing."""
    repeal = law.new is None
    by_item: dict[str, list[_Judged]] = {}
    hidden: dict[str, list[str]] = {}
    for part in LISTS:
        for row in getattr(found, part):
            rule = rule_of(part, row, repeal=repeal)
            if rule in off:
                hidden.setdefault(rule, []).append(row.item_id)
            else:
                by_item.setdefault(row.item_id, []).append(_Judged(part, rule, row))
    filler = _Filler(law)
    rows: list[ReachRow] = []
    for item_id, judged in by_item.items():
        version = versions.get(item_id)
        if version is not None:
            rows.append(_row_of(version, judged, filler))
    rows.sort(key=lambda row: (row.department_id or "", row.code or "", row.name))
    return Reach(
        rows=tuple(row for row in rows if row.road != "none"),
        left=tuple(row for row in rows if row.road == "none"),
        hidden=tuple(Hidden(rule, len(items), len(set(items))) for rule, items in sorted(hidden.items())),
    )


@dataclass(frozen=True)
class _Judged:
    """A judged citation: the list of the impact it stands in, and the rule that found it."""

    part: str
    rule: str
    row: ImpactRow

    @property
    def changed(self) -> bool:
        """Whether the basis takes another number or text."""
        return self.part in {"rows", "editorial"}

    @property
    def to_be_seen(self) -> bool:
        """Whether somebody has to look at it: the item is not pre-selected as "no adjustment needed"."""
        return self.part in {"rows", "uncertain"} or self.rule == "annex"

    @property
    def sure(self) -> bool:
        return self.row.confidence == 1.0 and not self.doubtful_gap

    @property
    def doubtful_gap(self) -> bool:
        return self.row.gap is not None and not self.row.gap.endswith(NOT_YET)

    @property
    def words_or_number(self) -> bool:
        """A change of words or numbers alone, by its kind and never by how sure it is."""
        return (
            self.part == "editorial"
            or self.rule == "moved"
            or (self.rule == "amended" and self.row.kind == "editorial")
        )


def take_out_of(reach: Reach, wanted: Mapping[str, str]) -> Reach:
    """The reach with the rows marked that are to be taken out (item code or id → reason); the scope step confirms it."""
    found = set()
    for row in reach.every:
        for name in (row.code, row.item_id):
            if name in wanted:
                row.hint["taken_out"] = wanted[str(name)]
                found.add(name)
    return replace(reach, not_found=tuple(sorted(set(wanted) - found)))


def earlier_of(articles: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of what was said of an item before (as `left_before` has it) that which concerned one of these articles.

    An article is the same by the number it has now, be it that the item still cites it by its older number.
    """
    now = {(detail["law"], detail["old_article"], detail["old_sub"] or 0) for detail in articles}
    found = []
    for entry in before:
        if any(
            (law, old, sub) in now or (law, new, new_sub) in now for law, old, sub, new, new_sub in entry["articles"]
        ):
            told = {name: entry[name] for name in ("change_id", "number", "title", "verdict", "person", "reason")}
            found.append({**told, "at": entry["at"].astimezone(SHANGHAI).isoformat(timespec="seconds")})
    return found[:_SHOWN_EARLIER]


def articles_touched(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The cited articles of some adjustments (`id`, `hint`), each once, in the order of their new places: what the hints keep
    of them (old and new number, change, kind, rule, words), `title`, `from` and `to` of the law, and `lines`, the adjustments.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        hint = line["hint"]
        for detail in followed(hint):
            names = ("old_article", "old_sub", "new_article", "new_sub", "change", "kind", "rule")
            key = (hint["title"], hint["from"], hint["to"], *(detail[name] for name in names))
            held = found.setdefault(
                key, {**detail, "title": hint["title"], "from": hint["from"], "to": hint["to"], "lines": []}
            )
            if line["id"] not in held["lines"]:
                held["lines"].append(line["id"])
    return sorted(found.values(), key=article_key)


def followed(hint: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The cited articles of the changed law that an adjustment follows from the old text; not those that are new already."""
    return [
        detail
        for detail in hint.get("articles") or ()
        if detail["old_article"] and detail["change"] and detail["law"] == hint["law"]
    ]


def article_key(detail: Mapping[str, Any]) -> tuple[int, ...]:
    """Where a cited article stands now and where it stood; one that was removed stands where it stood."""
    old = (detail["old_article"] or 0, detail["old_sub"] or 0)
    new = (detail["new_article"], detail["new_sub"] or 0) if detail["new_article"] else old
    return (*new, *old)


def _row_of(version: Version, judged: Sequence[_Judged], filler: _Filler) -> ReachRow:
    filled = filler.fill(version.content, judged)
    cancelled = any(one.row.outcome == "cancel" for one in judged) and not filled.remains
    outcomes = ("cancel",) if cancelled else ("change_basis",)
    content = dict(version.content) if cancelled else {**version.content, "bases": filled.bases}
    changed = [one for one in judged if one.changed]
    sure = all(one.sure for one in judged if one.to_be_seen or one.changed) and not filled.remains
    # `already_new` and whole-law citations beside it change nothing; whatever wants a look sends the item the full way.
    may_be_short = (
        bool(changed)
        and not cancelled
        and filled.exact
        and all(one.words_or_number and one.sure for one in judged if one.changed)
        and all(one.changed for one in judged if one.to_be_seen)
    )
    road: Road = "none"
    if any(one.to_be_seen for one in judged):
        road = "short" if may_be_short else None
    seen = [one for one in judged if one.to_be_seen] or [one for one in judged if one.changed] or list(judged)
    names = list(dict.fromkeys(_provision(one.row) for one in seen))
    words = sorted({CHANGE_WORDS[change] for one in seen if (change := _change(one)) is not None})
    advised = sorted({one.row.outcome for one in judged if one.row.outcome in OUTCOME_NAMES.keys() - CARRIED})
    return ReachRow(
        item_id=version.item_id,
        base_version_id=version.id,
        kind=version.kind,
        code=version.code,
        name=version.name,
        department_id=version.department_id,
        department_text=version.department_text,
        outcomes=outcomes,
        content=content,
        revision=proposal_hash(content, outcomes),
        certain=sure,
        article="、".join(names),
        change="、".join(words) or ("whole_law" if judged[0].part == "whole_law" else ""),
        reason=_reason(seen, advised, filled.remains),
        hint={
            "law": filler.law.canonical,
            "title": filler.law.title,
            "from": filler.law.from_edition.isoformat(),
            "to": None if filler.law.to_edition is None else filler.law.to_edition.isoformat(),
            "list": min((one.part for one in judged), key=list(LISTS).index),
            "rules": sorted({one.rule for one in judged}, key=list(RULES).index),
            "kinds": sorted({one.row.kind for one in judged if one.row.kind}),
            "confidence": min(one.row.confidence for one in seen),
            "gap": next((one.row.gap for one in judged if one.row.gap), None),
            "advised": advised,
            "road": road,
            "when_taken_in": "short" if may_be_short else None,
            "articles": [filler.detail(one, version.content) for one in judged],
        },
        road=road,
    )


def _change(one: _Judged) -> str | None:
    return "repealed" if one.rule == "repealed" else one.row.change


def _provision(row: ImpactRow) -> str:
    return article_name(row.old_article, row.old_sub) or "全文"


def _reason(seen: Sequence[_Judged], advised: Sequence[str], remains: Sequence[str]) -> str:
    """Every reason once, in the order of the bases; what this release does not carry by itself is advised."""
    said = list(dict.fromkeys(one.row.reason for one in seen))
    text = "；".join(said[:_SHOWN_REASONS]) + (f"；等 {len(said)} 处" if len(said) > _SHOWN_REASONS else "")
    if remains:
        text += f"；其内容见于新文本{'、'.join(remains)}，请核对"
    if advised:
        names = "、".join(OUTCOME_NAMES[name].long for name in advised)
        text += f"。可能还须办理{names}，请起草人核对后另行申请"
    return text


@dataclass(frozen=True)
class _Filled:
    """The bases of an item with the new numbers and texts, and whether nothing had to be guessed."""

    bases: list[dict[str, Any]]
    exact: bool
    #: Where the words of removed articles live on, by the names of these articles.
    remains: list[str]


@dataclass
class _Filler:
    """Fills the new text into bases; what two articles differ in is looked at once."""

    law: LawFacts
    old: dict[Key, Article] = field(init=False)
    new: NewText | None = field(init=False)
    _words: dict[tuple[Key, Key], list[list[str]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.old = {article.key: article for article in self.law.old}
        to = self.law.to_edition
        self.new = None if self.law.new is None or to is None else NewText(self.law.new, to.isoformat())

    def fill(self, content: Mapping[str, Any], judged: Sequence[_Judged]) -> _Filled:
        """The bases of a version; a range is written out, what two bases became the same is one."""
        by_basis: dict[int, list[ImpactRow]] = {}
        for one in judged:
            if one.changed:
                by_basis.setdefault(one.row.ord, []).append(one.row)
        found: list[dict[str, Any]] = []
        remains: list[str] = []
        exact = True
        for number, basis in enumerate(content.get("bases") or [], start=1):
            rows = by_basis.get(number)
            parts = [self._kept(basis, by_basis)] if rows is None else []
            if rows is not None and rows[0].to_article is not None:
                parts, sure = self._range(basis, rows)
                exact = exact and sure
            elif rows is not None:
                parts, sure = self._followed(basis, rows[0])
                exact = exact and sure
                if rows[0].change == "removed":
                    remains.extend(article_name(part["article"], part["sub"]) for part in parts)
            found.extend(part for part in parts if part not in found or part in content["bases"])
        return _Filled(found, exact, list(dict.fromkeys(remains)))

    def _kept(self, basis: Mapping[str, Any], changed: Mapping[int, Any]) -> dict[str, Any]:
        """A basis nothing changed in; beside one that moves to the new text it names the new text too."""
        edition = basis.get("edition")
        mine = canonical_title(str(basis.get("law") or "")) == self.law.canonical
        if not (changed and mine and edition and self.new is not None) or str(edition) >= self.new.edition:
            return dict(basis)
        key = (int(basis.get("article") or 0), int(basis.get("sub") or 0))
        if key[0] and key not in self.new.by_key:
            return dict(basis)
        return {**basis, "edition": self.new.edition}

    def _followed(self, basis: Mapping[str, Any], row: ImpactRow) -> tuple[list[dict[str, Any]], bool]:
        old = self.old.get((row.old_article or 0, row.old_sub or 0))
        new = self._target(row)
        if old is None or self.new is None:
            return [], False
        followed = self.new.remains(basis, old) if new is None else self.new.follow(basis, old, new)
        return list(followed.bases), followed.exact

    def _range(self, basis: Mapping[str, Any], rows: Sequence[ImpactRow]) -> tuple[list[dict[str, Any]], bool]:
        """Each article of a range by itself: what stood in a row may stand apart in the new text."""
        if self.new is None:
            return [], False
        judged = {(row.old_article or 0, row.old_sub or 0): row for row in rows}
        first, last = int(basis["article"]), rows[0].to_article or 0
        found: list[dict[str, Any]] = []
        exact = True
        for key, article in self.old.items():
            if not first <= key[0] <= last:
                continue
            one = {**basis, "article": key[0], "sub": key[1] or None, "paragraph": None, "item": None, "subitem": None}
            one["quoted"] = article.text if basis.get("quoted") else None
            if key in judged:
                parts, sure = self._followed(one, judged[key])
                found.extend(parts)
                exact = exact and sure
            elif key in self.new.by_key:
                found.append({**one, "edition": self.new.edition})
        return found, exact

    def _target(self, row: ImpactRow) -> Article | None:
        if self.new is None or row.new_article is None:
            return None
        return self.new.by_key.get((row.new_article, row.new_sub or 0))

    def detail(self, one: _Judged, content: Mapping[str, Any]) -> dict[str, Any]:
        """What the adjustment keeps of one cited article, for pages and figures; `law` is the one that the basis names."""
        row = one.row
        bases = content.get("bases") or []
        named = bases[row.ord - 1] if 0 < row.ord <= len(bases) else {}
        return {
            "law": canonical_title(str(named.get("law") or "")),
            "ord": row.ord,
            "old_article": row.old_article,
            "old_sub": row.old_sub,
            "new_article": row.new_article,
            "new_sub": row.new_sub,
            "change": _change(one),
            "kind": row.kind,
            "list": one.part,
            "rule": one.rule,
            "outcome": row.outcome,
            "confidence": row.confidence,
            "reason": row.reason,
            "gap": row.gap,
            "words": self._differing(row) if one.changed else [],
        }

    def _differing(self, row: ImpactRow) -> list[list[str]]:
        """The places in which the article differs: old words, new words, kind."""
        old, new = self.old.get((row.old_article or 0, row.old_sub or 0)), self._target(row)
        if old is None or new is None:
            return []
        key = (old.key, new.key)
        if key not in self._words:
            places = kind_of_change(old.text, new.text).places if row.change != "moved" else ()
            self._words[key] = [[place.old, place.new, place.kind] for place in places[:_SHOWN_WORDS]]
        return self._words[key]
