"""Where a basis leads in a law's new text: its number, paragraph and item there, and the words quoted from it. Pure.

A basis keeps the form it has: one without a quotation gets none, a quotation that stands in the new text word for word
stays as it is, a quoted paragraph is followed to the paragraph with the same words, whatever its number there. What an
article was split into is named too. `exact` says that nothing had to be guessed: only then may it go the short road.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rapidfuzz import fuzz

from models.domain.law_compare import normal_form
from models.domain.law_text import Article, canonical_title, paragraphs

SAME_FROM: Final = 60.0
"""How alike, 0 to 100, a paragraph or item of the same article must be to be its new form."""

EXACT_FROM: Final = 90.0
"""From here the new form of a paragraph or item is beyond doubt."""

ELSEWHERE_FROM: Final = 85.0
"""How alike a paragraph of another article must be to say that this one was split off."""

_ELSEWHERE_LENGTH: Final = 12  # characters in normal form; shorter paragraphs stand in many articles

Basis = Mapping[str, Any]


@dataclass(frozen=True)
class Followed:
    """What takes the place of a basis: usually one, several where its article was split."""

    bases: tuple[dict[str, Any], ...]
    exact: bool


@dataclass(frozen=True)
class _Found:
    index: int
    score: float


def kept_ranges(bases: Sequence[Basis], ranges: Sequence[tuple[str, int, int, int]]) -> tuple[tuple[int, int], ...]:
    """The ranges of a version (law in its form for matching, first article, sub, last article) that the bases of the next
    one still begin: (number of the basis from 1, last article). A content holds their first articles only; a range that
    was written out, article by article, is none any more.
    """
    if not ranges:
        return ()
    cited = [
        (canonical_title(str(basis.get("law") or "")), basis.get("article") or 0, basis.get("sub") or 0)
        for basis in bases
    ]
    return tuple(
        (cited.index((law, first, sub)) + 1, last)
        for law, first, sub, last in ranges
        if (law, first, sub) in cited and not any(one[0] == law and first < one[1] <= last for one in cited)
    )


class NewText:
    """The articles of the new text, their paragraphs in normal form prepared once."""

    def __init__(self, articles: Sequence[Article], edition: str) -> None:
        self.edition = edition
        self.by_key = {article.key: article for article in articles}
        self._forms: list[tuple[Article, int, str]] | None = None
        self._followed: dict[tuple[Any, ...], Followed] = {}

    def remains(self, basis: Basis, old: Article) -> Followed:
        """What a basis leads to whose article `old` is none of the new ones any more, though its words may live on in some;
        no bases where they do not.
        """
        parts, number = paragraphs(old), basis.get("paragraph")
        wanted = [parts[int(number) - 1]] if number and 1 <= int(number) <= len(parts) else parts
        form = normal_form(str(basis.get("quoted") or ""))
        inside = [part for part in wanted if form and form in normal_form(part)]
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for part in inside if len(inside) == 1 else wanted:
            moved = self.elsewhere(normal_form(part))
            if moved is None:
                continue
            article, index, _ = moved
            texts = paragraphs(article)
            named = {"paragraph": index + 1 if number and len(texts) > 1 else None, "item": None, "subitem": None}
            quoted = texts[index] if number or inside else article.text
            found.setdefault(article.key, {**self._at(basis, article), **named, "quoted": quoted if form else None})
        return Followed(tuple(found.values()), exact=False)

    def elsewhere(self, form: str, but: Article | None = None) -> tuple[Article, int, float] | None:
        """The article and paragraph (from 0) of another article that holds these words, and how alike they are."""
        if len(form) < _ELSEWHERE_LENGTH:
            return None
        if self._forms is None:
            self._forms = [
                (article, number, normal_form(part))
                for article in self.by_key.values()
                for number, part in enumerate(paragraphs(article))
            ]
        others = [entry for entry in self._forms if entry[0] != but]
        best = max(others, key=lambda entry: fuzz.ratio(form, entry[2]), default=None)
        if best is None or (score := fuzz.ratio(form, best[2])) < ELSEWHERE_FROM:
            return None
        return best[0], best[1], score

    def follow(self, basis: Basis, old: Article, new: Article) -> Followed:
        """`basis` cites `old`, whose words stand in `new` now. Many items cite an article in the same words."""
        key = (old.no, old.sub, new.no, new.sub, *basis.items())
        if key not in self._followed:
            self._followed[key] = self._follow(basis, old, new)
        return self._followed[key]

    def _follow(self, basis: Basis, old: Article, new: Article) -> Followed:
        quoted = str(basis.get("quoted") or "")
        verbatim = not quoted or normal_form(quoted) in normal_form(old.text)
        olds, news = paragraphs(old), paragraphs(new)
        number = basis.get("paragraph")
        if not number or not 1 <= int(number) <= len(olds):
            return self._whole(basis, old, new, quoted, verbatim and not number)
        part = olds[int(number) - 1]
        found = _best(part, news, int(number) - 1)
        target, exact = new, verbatim
        if found.score < SAME_FROM:
            moved = self.elsewhere(normal_form(part), new)
            if moved is None:
                # The paragraph is gone: the article is named as it is, and a person looks at it.
                left = {**self._at(basis, new), "paragraph": None, "item": None, "subitem": None}
                return Followed(({**left, "quoted": _quote(quoted, new.text, new)},), exact=False)
            target, news, found = moved[0], paragraphs(moved[0]), _Found(moved[1], moved[2])
        exact = exact and found.score >= EXACT_FROM
        text = news[found.index]
        here = {**self._at(basis, target), "paragraph": found.index + 1 if len(news) > 1 else None}
        if basis.get("item"):
            here["item"], text, sure = _item(part, text, int(basis["item"]), quoted)
            exact = exact and sure
        return Followed(({**here, "quoted": _quote(quoted, text, target)},), exact)

    def _whole(self, basis: Basis, old: Article, new: Article, quoted: str, exact: bool) -> Followed:
        """A basis that names no paragraph (or one the old text does not have): the article, and what was split off it."""
        olds, news = paragraphs(old), paragraphs(new)
        text, target = new.text, new
        split: list[Article] = []
        form = normal_form(quoted)
        for number, part in enumerate(olds):
            found = _best(part, news, number)
            inside = bool(form) and len(olds) > 1 and form in normal_form(part)
            if inside and found.score >= SAME_FROM:
                text = news[found.index]
            if found.score >= SAME_FROM or len(olds) == 1:
                continue
            moved = self.elsewhere(normal_form(part), new)
            if moved is None:
                continue
            if inside:
                target, text = moved[0], paragraphs(moved[0])[moved[1]]
            elif moved[0] not in split:
                split.append(moved[0])
        item = basis.get("item") if target is new else None
        if item and len(olds) == len(news) == 1:
            item, line, sure = _item(olds[0], news[0], int(item), quoted)
            text, exact = (line if quoted else text), exact and sure
        first = {**self._at(basis, target), "item": item, "quoted": _quote(quoted, text, target)}
        whole = form and form == normal_form(old.text)
        more = [
            {**self._at(basis, article), "paragraph": None, "item": None, "subitem": None,
             "quoted": article.text if whole else None}
            for article in split
            if article is not target and (whole or not quoted)
        ]  # fmt: skip
        return Followed((first, *more), exact and not split and target is new)

    def _at(self, basis: Basis, article: Article) -> dict[str, Any]:
        return {**basis, "article": article.no, "sub": article.sub or None, "edition": self.edition}


def _best(part: str, among: Sequence[str], here: int) -> _Found:
    """The most similar text, that at the same place among equals."""
    form = normal_form(part)
    scores = [(fuzz.ratio(form, normal_form(text)), index == here, -index) for index, text in enumerate(among)]
    score, _, index = max(scores, default=(0.0, False, 0))
    return _Found(-index, score)


def _item(old: str, new: str, number: int, quoted: str) -> tuple[int | None, str, bool]:
    """The number of an item (项) in the new paragraph, the text to quote, and whether it is beyond doubt."""
    olds, news = old.split("\n")[1:], new.split("\n")[1:]
    if not (1 <= number <= len(olds) and news):
        return number, new, False
    found = _best(olds[number - 1], news, number - 1)
    if found.score < SAME_FROM:
        return None, new, False
    alone = bool(quoted) and normal_form(quoted) in normal_form(olds[number - 1])
    return found.index + 1, news[found.index] if alone else new, found.score >= EXACT_FROM


def _quote(quoted: str, text: str, article: Article) -> str | None:
    """The words to quote: what was quoted where it still stands there, else the new words; nothing where nothing was."""
    if not quoted:
        return None
    return quoted if normal_form(quoted) in normal_form(article.text) else text
