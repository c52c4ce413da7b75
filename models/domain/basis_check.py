"""The reverse question over the whole catalogue: which bases no longer stand as they are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Final, NamedTuple

from models.domain.citation import Citation, Place, format_citation, rank
from models.domain.impact import CitedBasis
from models.domain.law_compare import normal_form
from models.domain.law_text import Article, canonical_title
from models.domain.law_titles import Library

ORDER: Final = ("", "法律", "行政法规（含国务院决定）", "地方性法规", "部门规章", "省级政府规章", "其他文件")
"""The order of bases, high to low (立法法; the drafting note names it for the sixth element)."""

_PIECE_FROM: Final = 6  # characters; shorter pieces of a quotation between dots prove nothing
_GAPS: Final = re.compile(r"…+|\.{3,}|[（(](?:略|节选)[）)]")


class BasisProblem(NamedTuple):
    """One basis that does not stand: repealed, superseded, unknown, order or quote_differs, with a sentence."""

    item: str
    basis: str | None
    problem: str
    detail: str


@dataclass(frozen=True)
class KnownLaw:
    """A law of the library with the days of its texts, oldest first, the one in force today, if any, and its former titles."""

    title: str
    editions: tuple[date, ...]
    in_force: date | None
    formerly: tuple[str, ...] = ()


@dataclass
class LawLibrary:
    """What is known of the laws: `void` names, by title in its form for matching, the law that repealed it."""

    laws: Mapping[str, KnownLaw]
    void: Mapping[str, str]
    articles: Callable[[str, date], Sequence[Article]]
    titles: Library = field(init=False)
    _texts: dict[tuple[str, date], dict[tuple[int, int], str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        formerly = {law.title: law.formerly for law in self.laws.values()}
        self.titles = Library((law.title for law in self.laws.values()), formerly)

    def text(self, canonical: str, edition: date, article: int, sub: int) -> str | None:
        """An article of a text in normal form; None where the text has no such article."""
        key = (canonical, edition)
        if key not in self._texts:
            self._texts[key] = {a.key: normal_form(a.text) for a in self.articles(canonical, edition)}
        return self._texts[key].get((article, sub))


def check_bases(bases: Iterable[CitedBasis], library: LawLibrary) -> list[BasisProblem]:
    """Every problem of every item; the bases come in the order of items and, within one, of the catalogue."""
    found: list[BasisProblem] = []
    for _, group in groupby(bases, key=lambda basis: basis.item_id):
        of_item = list(group)
        for basis in of_item:
            if (problem := _problem(basis, library)) is not None:
                found.append(BasisProblem(basis.code or basis.name, _written(basis), *problem))
        if (order := _out_of_order(of_item)) is not None:
            found.append(BasisProblem(order.code or order.name, _written(order), "order", _order_words(order, of_item)))
    return found


def _problem(basis: CitedBasis, library: LawLibrary) -> tuple[str, str] | None:
    canonical = canonical_title(basis.title)
    if (by := library.void.get(canonical)) is not None:
        return "repealed", f"《{basis.title}》已由《{by}》废止"
    resolved = library.titles.resolve(basis.title)
    if resolved.law is None:
        near = "、".join(f"《{title}》" for title in resolved.candidates)
        return "unknown", f"法规库中没有《{basis.title}》" + (f"，名称相近的有{near}" if near else "")
    if resolved.renamed:
        return "superseded", f"《{basis.title}》现名《{resolved.law}》"
    law = library.laws[canonical_title(resolved.law)]
    if law.in_force is None:
        return None
    if basis.edition_on is not None and basis.edition_on < law.in_force:
        return "superseded", f"引用的是 {basis.edition_on} 的文本，现行文本为 {law.in_force}"
    return _text_problem(basis, canonical_title(resolved.law), law, library)


def _text_problem(basis: CitedBasis, canonical: str, law: KnownLaw, library: LawLibrary) -> tuple[str, str] | None:
    if basis.article is None or law.in_force is None:
        return None
    now = library.text(canonical, law.in_force, basis.article, basis.sub or 0)
    older = [
        day
        for day in law.editions
        if day < law.in_force and (was := library.text(canonical, day, basis.article, basis.sub or 0)) is not None
        and (not basis.quoted or _stands_in(basis.quoted, was))
    ]  # fmt: skip
    if now is None:
        words = f"（{older[-1]} 的文本有）" if older else ""
        return "superseded", f"现行文本（{law.in_force}）没有该条{words}"
    if not basis.quoted or _stands_in(basis.quoted, now):
        return None
    if older:
        return "superseded", f"所引条文是 {older[-1]} 的文本，现行文本（{law.in_force}）已不同"
    return "quote_differs", f"所引条文与现行文本（{law.in_force}）的该条不一致"


def _stands_in(quoted: str, text: str) -> bool:
    """Whether every piece of a quotation (between dots) stands in the article, both in normal form."""
    pieces = [normal_form(piece).strip(".,;:\"'") for piece in _GAPS.split(quoted)]
    return all(piece in text for piece in pieces if len(piece) >= _PIECE_FROM)


def _out_of_order(bases: Sequence[CitedBasis]) -> CitedBasis | None:
    """The first basis that stands after a lower one."""
    highest = 0
    for basis in bases:
        place = rank(basis.title)
        if place < highest:
            return basis
        highest = max(highest, place)
    return None


def _order_words(basis: CitedBasis, bases: Sequence[CitedBasis]) -> str:
    place = rank(basis.title)
    before = next(one for one in bases if rank(one.title) > place)
    return f"{ORDER[place]}《{basis.title}》应列在{ORDER[rank(before.title)]}《{before.title}》之前"


def _written(basis: CitedBasis) -> str:
    place = () if basis.article is None else (
        Place(basis.article, basis.sub, basis.paragraph, basis.item, None, basis.to_article),
    )  # fmt: skip
    return format_citation(Citation(title=basis.title, span=(0, 0), articles=place))
