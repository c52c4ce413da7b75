"""The comparison of two texts of a law as one thing: which article is which, and the kind of each change. Pure.

It depends on both texts and the rules alone, so it can be kept and read again: `packed` gives what is kept, numbers in
place of texts; `unpacked` puts the texts back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.domain.change_kinds import ChangedPlace, ChangeKind, kind_of_change
from models.domain.law_compare import ArticleMatch, match_articles
from models.domain.law_text import Article

Key = tuple[int, int]
Pair = tuple[int, int, int, int]


@dataclass(frozen=True)
class Comparison:
    """Every article of both texts in exactly one row; the kind of each amended pair by the numbers of both articles."""

    matches: Sequence[ArticleMatch]
    kinds: Mapping[Pair, ChangeKind]

    def kind(self, match: ArticleMatch) -> ChangeKind | None:
        """The kind of a row of this comparison; None where no words were changed."""
        return self.kinds.get(_pair(match)) if match.old is not None and match.new is not None else None


def compare(old: Sequence[Article], new: Sequence[Article]) -> Comparison:
    """Compare two texts article by article, and tell the kind of each amended pair."""
    matches = match_articles(old, new)
    kinds = {
        _pair(match): kind_of_change(match.old.text, match.new.text)
        for match in matches
        if match.old is not None and match.new is not None and match.change in {"amended", "moved_and_amended"}
    }
    return Comparison(matches, kinds)


def packed(comparison: Comparison) -> list[list[Any]]:
    """What is kept: for each row both keys, change, similarity, certainty, and kind with its places, as JSON can hold it."""
    found: list[list[Any]] = []
    for match in comparison.matches:
        kind = comparison.kind(match)
        told = None if kind is None else [kind.kind, [list(place) for place in kind.places]]
        before, after = (None if one is None else list(one.key) for one in (match.old, match.new))
        found.append([before, after, match.change, match.similarity, match.certain, told])
    return found


def unpacked(rows: Iterable[Sequence[Any]], old: Iterable[Article], new: Iterable[Article]) -> Comparison:
    """The comparison of these two texts from what was kept. Raises KeyError where the texts are others."""
    olds = {article.key: article for article in old}
    news = {article.key: article for article in new}
    matches: list[ArticleMatch] = []
    kinds: dict[Pair, ChangeKind] = {}
    for before, after, change, similarity, certain, told in rows:
        match = ArticleMatch.model_construct(
            old=None if before is None else olds[before[0], before[1]],
            new=None if after is None else news[after[0], after[1]],
            change=change,
            similarity=similarity,
            certain=certain,
        )
        matches.append(match)
        if told is not None:
            kinds[_pair(match)] = ChangeKind(told[0], tuple(ChangedPlace(*place) for place in told[1]))
    return Comparison(matches, kinds)


def _pair(match: ArticleMatch) -> Pair:
    assert match.old is not None and match.new is not None
    return *match.old.key, *match.new.key
