"""From a law's new text to exactly the items it touches: every citation of the old text is followed and judged. Pure.

A citation of an unchanged article that keeps its number is no alarm; one of a renumbered, amended or removed article
always is a row. What is proposed comes with its reason in a sentence; where nothing is known, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, Final

from rapidfuzz import fuzz

from models.domain.change_kinds import KINDS, ChangeKind, kind_of_change
from models.domain.citation import Annex, Citation, Place, format_citation
from models.domain.comparison import Comparison, compare
from models.domain.law_compare import ArticleMatch, Change, normal_form, where_now
from models.domain.law_text import Article, LawText, missing_editions
from models.domain.numerals import NUMERAL_CHARS, article_name, article_written, chinese_to_int, int_to_chinese
from models.domain.reach import CHANGE_WORDS

OUTCOME_OF_KIND: Final = {"approval_to_filing": "retype", "approval_dropped": "check", "authority": "change_organ"}
"""What an amended article of this kind proposes for an item; every other kind proposes `change_basis`."""

LISTS: Final = ("rows", "whole_law", "editorial", "indirect", "already_new", "uncertain")
"""The lists of an impact: each judged citation stands in one of them."""

NOT_YET: Final = "尚未生效"
"""How a gap ends that is none of the library: the new text is only not in force yet."""

_OWN: Final = re.compile(
    rf"本(?:法|条例|规定|办法|细则|决定)第([{NUMERAL_CHARS}]{{1,12}})条(?:之([{NUMERAL_CHARS}]{{1,3}}))?"
)
_MENTIONED: Final = 0.5  # how sure it is that an article that is only mentioned matters
_QUOTE_FROM: Final = 8  # characters; a shorter quotation stands in many articles
_QUOTE_LEADS_FROM: Final = 20  # characters of a quotation that may lead to another article than the whole text does
_QUOTE_LEADS_AT: Final = 70.0  # how much of it must stand there, 0 to 100
_QUOTE_LEADS_BY: Final = 5.0  # and by how much more than in the article assigned

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CitedBasis:
    """A basis of a current version as it stands in the catalogue. `title` is as written there."""

    item_id: str
    code: str | None
    name: str
    ord: int
    title: str
    edition_on: date | None = None
    article: int | None = None
    to_article: int | None = None
    sub: int | None = None
    paragraph: int | None = None
    item: int | None = None
    annex: str | None = None
    quoted: str | None = None


@dataclass(frozen=True, slots=True)
class ImpactRow:
    """One cited article and what becomes of it. `confidence` runs from 0 to 1; `gap` says what the library lacks."""

    item: str
    item_name: str
    basis: str
    old_article: int | None
    new_article: int | None
    change: str | None
    kind: str | None
    outcome: str
    preselected: bool
    reason: str
    confidence: float
    gap: str | None = None
    item_id: str = ""
    ord: int = 0
    old_sub: int | None = None
    new_sub: int | None = None
    #: The last article of the range that the basis names, if it names one.
    to_article: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The twelve keys that clients depend on."""
        return {
            "item": self.item,
            "item_name": self.item_name,
            "basis": self.basis,
            "old_article": article_written(self.old_article, self.old_sub),
            "new_article": article_written(self.new_article, self.new_sub),
            "change": self.change,
            "kind": self.kind,
            "outcome": self.outcome,
            "preselected": self.preselected,
            "reason": self.reason,
            "confidence": self.confidence,
            "gap": self.gap,
        }


@dataclass(frozen=True, slots=True)
class Impact:
    """The judged citations of one law, each in exactly one list; unchanged ones stand in none."""

    rows: list[ImpactRow] = field(default_factory=list)
    whole_law: list[ImpactRow] = field(default_factory=list)
    editorial: list[ImpactRow] = field(default_factory=list)
    indirect: list[ImpactRow] = field(default_factory=list)
    already_new: list[ImpactRow] = field(default_factory=list)
    uncertain: list[ImpactRow] = field(default_factory=list)
    #: What became of the old text's articles that did not stay as they were, in a word, by number and sub-number.
    affected: dict[Key, str] = field(default_factory=dict)
    #: What the library lacks between both texts.
    gap: str | None = None

    def as_json(self, *, full: bool = False) -> dict[str, list[dict[str, Any]]]:
        """The lists as other programs read them; `full` with what tells one basis from another of the same item."""
        return {name: [asdict(row) if full else row.as_json() for row in getattr(self, name)] for name in LISTS}


@dataclass(frozen=True, slots=True)
class Amendment:
    """A law's old and new text with the days that name them; `held` are the days of all texts the library has.

    `compared` is the comparison of both texts where it was worked out before.
    """

    title: str
    from_edition: date
    to: LawText
    old: Sequence[Article]
    held: frozenset[date] = frozenset()
    compared: Comparison | None = None


def impact_of_amendment(
    change: Amendment, cited: Iterable[CitedBasis], *, bases_of: Mapping[str, int], today: date
) -> Impact:
    """What the new text does to each citation. `bases_of` counts the bases of each item (its id) that name another law."""
    return _Judge(change, bases_of, today).all(list(cited))


def impact_of_repeal(
    title: str,
    cited: Iterable[CitedBasis],
    *,
    bases_of: Mapping[str, int],
    by: str | None = None,
    gap: str | None = None,
) -> Impact:
    """A repealed law leaves its citations void: the basis is dropped, and the item cancelled where it was the only one.

    `bases_of` counts the bases of each item that stay; `gap` says what is not known of the repeal.
    """
    found = Impact()
    by_words = f"，由《{by}》取代" if by else ""
    for basis in cited:
        gone = not bases_of.get(basis.item_id)
        for place in _written_out(basis, None):
            found.rows.append(
                _row(
                    basis,
                    place,
                    None,
                    "removed",
                    outcome="cancel" if gone else "change_basis",
                    reason=f"《{title}》已废止{by_words}"
                    + ("，事项没有其他依据" if gone else "，须更换或者删去该依据"),
                    confidence=1.0,
                    gap=gap,
                )
            )
    return found


def together(impacts: Iterable[Impact]) -> Impact:
    """The impacts of several laws as one."""
    found = Impact()
    for one in impacts:
        for name in LISTS:
            getattr(found, name).extend(getattr(one, name))
    return found


def candidates_of(cited: Iterable[CitedBasis], title: str, *, renamed: bool = False) -> list[ImpactRow]:
    """Citations under a title that is only similar, or that the law had before: a person says what is to be done."""
    return [
        _row(
            basis,
            place,
            None,
            None,
            outcome="check",
            reason=f"所引《{basis.title}》现名《{title}》，请核对条款并改用现名"
            if renamed
            else f"所引《{basis.title}》与《{title}》名称相近，请核对是否同一部",
            confidence=0.9 if renamed else 0.5,
        )
        for basis in cited
        for place in _written_out(basis, None)
    ]


def implementing(
    cited: Iterable[CitedBasis],
    by_article: Mapping[Key, Sequence[int]],
    regulation: str,
    title: str,
    affected: Mapping[Key, str],
    gap: str | None = None,
) -> list[ImpactRow]:
    """Items that stand on an article of a regulation which itself cites an affected article of the law: one step.

    `by_article` names, for each article of the regulation, the articles of the law it cites.
    """
    found = []
    for basis in cited:
        for place in _written_out(basis, None):
            for number in by_article.get((place.article or 0, place.sub or 0), ()):
                if (number, 0) in affected:
                    reason = f"所引《{regulation}》该条依照《{title}》第{int_to_chinese(number)}条，后者{affected[number, 0]}"
                    found.append(
                        _row(basis, place, None, None, outcome="check", reason=reason, confidence=0.5, gap=gap)
                    )
                    break
    return found


def mentioned(
    quoting: Iterable[CitedBasis], canonical: str, title: str, found: Impact, citing: Collection[str]
) -> tuple[list[ImpactRow], list[ImpactRow]]:
    """Items whose quoted text names the law: those that name it as a whole, and those that name an affected article of it.

    `quoting` are citations of other laws, `found` what the amendment does to those of its own, `citing` the items that
    cite this one themselves and are judged by that.
    """
    pattern = re.compile(
        rf"《(?:中华人民共和国)?{re.escape(canonical)}》(?:第([{NUMERAL_CHARS}]{{1,12}})条(?:之([{NUMERAL_CHARS}]{{1,3}}))?)?"
    )
    whole: dict[str, ImpactRow] = {}
    indirect: dict[str, ImpactRow] = {}
    for basis in quoting:
        if basis.item_id in citing:
            continue
        place = Place(basis.article, basis.sub, basis.paragraph, basis.item)
        for number, sub in pattern.findall(basis.quoted or ""):
            if not number:
                reason = f"所引条文中提到《{title}》，没有写明条款"
                row = _row(
                    basis, place, None, None, outcome="none", reason=reason, confidence=_MENTIONED, gap=found.gap
                )
                whole.setdefault(basis.item_id, replace(row, old_article=None, old_sub=None))
            elif (key := _numbered(number, sub)) in found.affected:
                reason = f"所引条文中提到《{title}》{article_name(*key)}，后者{found.affected[key]}"
                row = _row(
                    basis, place, None, None, outcome="check", reason=reason, confidence=_MENTIONED, gap=found.gap
                )
                indirect.setdefault(basis.item_id, row)
    return [row for item, row in whole.items() if item not in indirect], list(indirect.values())


def _numbered(number: str, sub: str) -> Key:
    try:
        return chinese_to_int(number), chinese_to_int(sub) if sub else 0
    except ValueError:
        return 0, 0


class _Judge:
    """Judges the citations of one law against its new text; each article is compared once."""

    def __init__(self, change: Amendment, bases_of: Mapping[str, int], today: date) -> None:
        self.change, self.bases_of, self.today = change, bases_of, today
        self.compared = change.compared or compare(change.old, change.to.articles)
        self.where: Mapping[Key, ArticleMatch] = where_now(self.compared.matches)
        self.gap = _gap(change, today)
        self.affected: dict[Key, str] = {
            key: CHANGE_WORDS[match.change] for key, match in self.where.items() if match.change != "unchanged"
        }
        self.references = _references(change.old)
        self.gone: dict[str, bool] = {}

    def all(self, cited: Sequence[CitedBasis]) -> Impact:
        found = Impact(affected=self.affected, gap=self.gap)
        self._count_what_stays(cited)
        for basis in cited:
            for place in _written_out(basis, self.where):
                self._judge(found, basis, place)
        return found

    def _count_what_stays(self, cited: Sequence[CitedBasis]) -> None:
        """Whether an item is left without any valid basis when its removed articles are dropped."""
        for basis in cited:
            stays = any(
                place.article is None or (match := self.where.get(_key(place))) is None or match.new is not None
                for place in _written_out(basis, self.where)
            )
            self.gone[basis.item_id] = self.gone.get(basis.item_id, True) and not stays
        for item_id in self.gone:
            self.gone[item_id] = self.gone[item_id] and not self.bases_of.get(item_id)

    def _judge(self, found: Impact, basis: CitedBasis, place: Place) -> None:
        title, to_day = self.change.title, self.change.to.edition_on
        if basis.edition_on is not None and basis.edition_on >= to_day:
            reason = f"引用写明的文本（{basis.edition_on}）不早于新文本"
            found.already_new.append(self._row(basis, place, None, None, "none", reason, 1.0))
            return
        if basis.annex and place.article is None:
            found.whole_law.append(
                self._row(basis, place, None, None, "check", f"引用《{title}》附件，请核对新文本的附件", 0.5)
            )
            return
        if place.article is None:
            found.whole_law.append(
                self._row(basis, place, None, None, "none", f"引用整部《{title}》，没有写明条款", 1.0)
            )
            return
        match = self.where.get(_key(place))
        if self._quotes_the_new_text(basis, place, match):
            found.already_new.append(self._row(basis, place, _here(place), None, "none", "所引条文已是新文本", 1.0))
            return
        if match is None:
            reason = f"《{title}》{self.change.from_edition} 的文本没有{_name(place)}，请核对引用"
            found.uncertain.append(self._row(basis, place, None, None, "check", reason, 0.0))
        elif match.change == "unchanged":
            self._indirect(found, basis, place)
        else:
            self._changed(found, basis, place, self._where_the_quotation_went(basis, match))

    def _changed(self, found: Impact, basis: CitedBasis, place: Place, match: ArticleMatch) -> None:
        title, here = self.change.title, _name(place)
        if match.new is None:
            gone = self.gone[basis.item_id]
            reason = f"《{title}》{here}已删除" + ("，事项没有其他依据" if gone else "，须更换或者删去该依据")
            outcome = "cancel" if gone else "change_basis"
            found.rows.append(
                self._row(basis, place, None, match.change, outcome, reason, 1.0 if match.certain else 0.6)
            )
            return
        now = f"现第{int_to_chinese(match.new.no)}条" + (f"之{int_to_chinese(match.new.sub)}" if match.new.sub else "")
        confidence = 1.0 if match.change in {"amended", "moved"} or match.certain else round(match.similarity or 0.0, 2)
        if match.change == "moved":
            reason = f"《{title}》{here}移为{now[1:]}，内容未改"
            found.rows.append(self._row(basis, place, match.new, "moved", "change_basis", reason, confidence))
            return
        kind = self._kind(match)
        words = "；".join(
            f"{p.old or '（无）'}→{p.new or '（删去）'}" for p in kind.telling[:3] if len(p.old + p.new) <= 60
        )
        reason = f"《{title}》{here}" + (f"（{now}）" if match.change == "moved_and_amended" else "")
        reason += f"{KINDS[kind.kind]}" + (f"：{words}" if words else "")
        if kind.kind == "editorial" and match.change == "amended":
            found.editorial.append(
                self._row(basis, place, match.new, match.change, "none", reason, confidence, "editorial")
            )
            return
        outcome = OUTCOME_OF_KIND.get(kind.kind, "change_basis")
        found.rows.append(self._row(basis, place, match.new, match.change, outcome, reason, confidence, kind.kind))

    def _indirect(self, found: Impact, basis: CitedBasis, place: Place) -> None:
        """An unchanged article that says 依照本法第N条, where N is affected: named, never pre-selected."""
        for key in self.references.get(_key(place), ()):
            if key in self.affected:
                reason = f"{_name(place)}未改，但其中提到的第{int_to_chinese(key[0])}条{self.affected[key]}"
                found.indirect.append(self._row(basis, place, _here(place), "unchanged", "none", reason, 0.5))
                return

    def _quotes_the_new_text(self, basis: CitedBasis, place: Place, match: ArticleMatch | None) -> bool:
        """Whether the quotation stands in the new text and not in the old one: the catalogue is ahead of the change."""
        if not basis.quoted or match is None or match.change in {"unchanged", "moved"} or match.old is None:
            return False
        quoted = normal_form(basis.quoted)
        if len(quoted) < _QUOTE_FROM or quoted in normal_form(match.old.text):
            return False
        here = match.new or next((a for a in self.change.to.articles if a.key == _key(place)), None)
        return here is not None and quoted in normal_form(here.text)

    def _where_the_quotation_went(self, basis: CitedBasis, match: ArticleMatch) -> ArticleMatch:
        """An article that was split or dropped: the quoted words say which of its parts the item stands on."""
        if match.certain and match.new is not None:
            return match
        quoted = normal_form(basis.quoted or "")
        if len(quoted) < _QUOTE_LEADS_FROM:
            return match
        scores = [(fuzz.partial_ratio(quoted, form), -index) for index, form in enumerate(self.new_forms)]
        best, index = max(scores, default=(0.0, 0))
        new = self.change.to.articles[-index]
        here = 0.0 if match.new is None else fuzz.partial_ratio(quoted, normal_form(match.new.text))
        if best < _QUOTE_LEADS_AT or best < here + _QUOTE_LEADS_BY:
            return match
        assert match.old is not None
        change: Change = "amended" if new.key == match.old.key else "moved_and_amended"
        return ArticleMatch(old=match.old, new=new, change=change, similarity=round(best / 100, 4), certain=False)

    @cached_property
    def new_forms(self) -> list[str]:
        """The new articles as they are compared."""
        return [normal_form(article.text) for article in self.change.to.articles]

    def _kind(self, match: ArticleMatch) -> ChangeKind:
        assert match.old is not None and match.new is not None
        return self.compared.kind(match) or kind_of_change(match.old.text, match.new.text)

    def _row(
        self,
        basis: CitedBasis,
        place: Place,
        new: Article | None,
        change: str | None,
        outcome: str,
        reason: str,
        confidence: float,
        kind: str | None = None,
    ) -> ImpactRow:
        return _row(
            basis,
            place,
            new,
            change,
            outcome=outcome,
            reason=reason,
            confidence=confidence,
            kind=kind,
            gap=_outdated(basis, self.change) or self.gap,
        )


def _row(
    basis: CitedBasis,
    place: Place,
    new: Article | None,
    change: str | None,
    *,
    outcome: str,
    reason: str,
    confidence: float,
    kind: str | None = None,
    gap: str | None = None,
) -> ImpactRow:
    annex = None if basis.annex is None else Annex(annex=basis.annex.removeprefix("附件"))
    named = () if place.article is None else (place,)
    return ImpactRow(
        item=basis.code or basis.name,
        item_name=basis.name,
        basis=format_citation(Citation(title=basis.title, span=(0, 0), articles=named, annex=annex)),
        old_article=place.article,
        new_article=None if new is None else new.no,
        change=change,
        kind=kind,
        outcome=outcome,
        preselected=outcome not in {"none", "check"},
        reason=reason,
        confidence=confidence,
        gap=gap,
        item_id=basis.item_id,
        ord=basis.ord,
        old_sub=place.sub,
        new_sub=None if new is None else new.sub or None,
        to_article=basis.to_article,
    )


def _written_out(basis: CitedBasis, known: Mapping[Key, Any] | None) -> list[Place]:
    """The places of a basis, a range as each of its articles (those the old text has, where that is known)."""
    if basis.article is None:
        return [Place()]
    if basis.to_article is None:
        return [Place(basis.article, basis.sub, basis.paragraph, basis.item)]
    numbers = range(basis.article, basis.to_article + 1)
    if known is None:
        return [Place(number) for number in numbers]
    return [Place(no, sub or None) for no, sub in sorted(known) if no in numbers] or [Place(basis.article)]


def _key(place: Place) -> Key:
    return place.article or 0, place.sub or 0


def _here(place: Place) -> Article | None:
    """The place itself, where the number stays."""
    return None if place.article is None else Article(no=place.article, sub=place.sub or 0, text="")


def _name(place: Place) -> str:
    return article_name(place.article, place.sub) or "全文"


def _references(articles: Sequence[Article]) -> dict[Key, list[Key]]:
    """Which articles of the same law an article refers to: 依照本法第二十条."""
    found: dict[Key, list[Key]] = {}
    for article in articles:
        for mark in _OWN.finditer(article.text):
            try:
                key = (chinese_to_int(mark[1]), chinese_to_int(mark[2]) if mark[2] else 0)
            except ValueError:
                continue
            found.setdefault(article.key, []).append(key)
    return found


def _gap(change: Amendment, today: date) -> str | None:
    """What the library lacks between both texts, or that the new text is not in force yet."""
    held = set(change.held) | {change.from_edition, change.to.edition_on}
    between = [
        day for day in missing_editions(change.to.header, held) if change.from_edition < day < change.to.edition_on
    ]
    if between:
        days = "、".join(day.isoformat() for day in between)
        return f"法规库缺少其间 {days} 修改的文本"
    if change.to.effective_on is not None and change.to.certainty == "certain" and change.to.effective_on > today:
        return f"新文本自 {change.to.effective_on} 起施行，{NOT_YET}"
    return None


def _outdated(basis: CitedBasis, change: Amendment) -> str | None:
    """The basis names a text older than the one compared: what lies between was not looked at."""
    if basis.edition_on is not None and basis.edition_on < change.from_edition:
        return f"引用的是 {basis.edition_on} 的文本，早于所比较的 {change.from_edition} 文本"
    return None
