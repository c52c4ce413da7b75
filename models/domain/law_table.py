"""修改前后对照表: two texts of a law side by side, row by row, with the items that cite each article. Pure.

It depends on the comparison and on what is given of the items alone; how it is written is `models.actions.law_table`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.domain.change_kinds import KINDS
from models.domain.comparison import Comparison
from models.domain.differences import Part, word_diff
from models.domain.law_text import Article
from models.domain.reach import CHANGE_WORDS
from models.domain.vocabulary import OUTCOME_NAMES, STATE_NAMES

WORDS: Final = {**CHANGE_WORDS, "added": "增加"}
NO_ADJUSTMENT: Final = "不作调整"
_SETTLED: Final = {"declined": NO_ADJUSTMENT, "removed": "移出", "rejected": "不予批准"}

Key = tuple[int, int]


@dataclass(frozen=True)
class Side:
    """One article as it stands in a table: 第十条, the headings above it, and its text in parts (`differences.Part`)."""

    number: str
    division: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Concerned:
    """An item that cites an article: 名称（编码）, and what becomes of it."""

    item: str
    outcome: str


@dataclass(frozen=True)
class TableRow:
    """One article before and after (None where there is none), what changed in a word, and who is concerned."""

    old: Side | None
    new: Side | None
    word: str
    concerned: tuple[Concerned, ...] = ()


@dataclass(frozen=True)
class LawTable:
    """What stands in the document. `beside` are items that cite no article of the old text: what they cite, and the item.

    `left_out` articles are in neither; `concerns_items`: it belongs to a change and has columns for items; not `amended`:
    the law is repealed.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    left_out: int
    beside: tuple[tuple[str, Concerned], ...] = ()
    concerns_items: bool = False
    amended: bool = True


def table_rows(
    comparison: Comparison, concerned: Mapping[Key, Sequence[Concerned]] | None = None, *, whole: bool = False
) -> tuple[tuple[TableRow, ...], int]:
    """The rows in the order of the new text, and how many unchanged articles are left out (none with `whole`).

    An unchanged article stands in the table where an item is concerned by it.
    """
    concerned = concerned or {}
    found: list[TableRow] = []
    left_out = 0
    for match in comparison.matches:
        items = tuple(concerned.get(match.old.key, ())) if match.old is not None else ()
        if match.change == "unchanged" and not (items or whole):
            left_out += 1
            continue
        kind = comparison.kind(match)
        word = WORDS[match.change] + ("" if kind is None else f"：{KINDS[kind.kind]}")
        if not match.certain:
            word += "（待人工核对）"
        before, after = _parts(match.old, match.new)
        found.append(TableRow(_side(match.old, before), _side(match.new, after), word, items))
    return tuple(found), left_out


def repealed_rows(
    articles: Iterable[Article], concerned: Mapping[Key, Sequence[Concerned]]
) -> tuple[tuple[TableRow, ...], int]:
    """As `table_rows` for a law without a new text: the articles that items cite; how many others there are."""
    found: list[TableRow] = []
    left_out = 0
    for article in articles:
        items = tuple(concerned.get(article.key, ()))
        if items:
            found.append(TableRow(_side(article, (("delete", article.text),)), None, WORDS["repealed"], items))
        else:
            left_out += 1
    return tuple(found), left_out


def _side(article: Article | None, parts: tuple[Part, ...]) -> Side | None:
    if article is None:
        return None
    return Side(article.name, " ".join(article.division), parts)


def _parts(old: Article | None, new: Article | None) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Both texts with what was removed and what was added; an article without a partner is all removed or all added."""
    if old is None or new is None:
        gone: tuple[Part, ...] = () if old is None else (("delete", old.text),)
        came: tuple[Part, ...] = () if new is None else (("insert", new.text),)
        return gone, came
    parts = word_diff(old.text, new.text)
    return tuple(part for part in parts if part[0] != "insert"), tuple(part for part in parts if part[0] != "delete")


def concerned_by(adjustment: Mapping[str, Any]) -> Concerned:
    """An adjustment as a table names it."""
    code = adjustment["code"]
    return Concerned(f"{adjustment['name']}（{code}）" if code else str(adjustment["name"]), outcome_words(adjustment))


def outcome_words(adjustment: Mapping[str, Any]) -> str:
    """What becomes of an adjustment, or is proposed as long as nobody decided: 依据变更（审核中）, 不作调整, 移出."""
    state = str(adjustment["state"])
    if state in _SETTLED:
        return _SETTLED[state]
    standing = STATE_NAMES["adjustment"][state].short
    if state == "proposed" and (adjustment["hint"] or {}).get("taken_out"):
        return f"移出（{standing}）"
    if state == "proposed" and adjustment["road"] == "none":
        return f"{NO_ADJUSTMENT}（{standing}）"
    names = "、".join(OUTCOME_NAMES[name].short for name in str(adjustment["outcomes"]).split("+"))
    return f"{names}（{standing}）"
