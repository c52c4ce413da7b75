"""Which article of an old text became which of the new one: a first, simple matching. Pure.

Same words first, in order; then the same number above one half of similarity, unless another article is clearly
nearer; then the best assignment of the rest above one half. Below four fifths a match is marked uncertain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import lap
import numpy as np
from rapidfuzz import fuzz, process

from models.domain.law_text import Article

ArticleChange = Literal["unchanged", "amended", "moved", "moved_and_amended", "removed", "added"]
FLOOR = 0.5
CERTAIN = 0.8
#: How much nearer another article must be before the same number is no argument.
CLEARLY = 0.2

_ODD = re.compile(r"[\s\u200b\u200c\u200d\ufeff]+")
_SIGNS = str.maketrans({"(": "（", ")": "）", ":": "：", ";": "；", ",": "，", "[": "〔", "]": "〕"})


@dataclass(frozen=True)
class ArticleMatch:
    """One row of the comparison; `similarity` in [0, 1], null where one side is missing."""

    old: Article | None
    new: Article | None
    change: ArticleChange
    similarity: float | None
    certain: bool


def normal_form(text: str) -> str:
    """The form texts are compared in: NFKC, one kind of brackets and colons, no white or invisible space."""
    return _ODD.sub("", unicodedata.normalize("NFKC", text)).translate(_SIGNS)


def match_articles(old: Sequence[Article], new: Sequence[Article]) -> list[ArticleMatch]:
    """Every article of both texts in exactly one row, one to one; in the order of the new text, the removed last."""
    old_texts, new_texts = [normal_form(a.text) for a in old], [normal_form(a.text) for a in new]
    pairs = _same_words(old_texts, new_texts)
    if len(pairs) < min(len(old), len(new)):
        pairs |= _similar(old, new, old_texts, new_texts, pairs)
    found = [_row(old[i], new[j], similarity) for (i, j), similarity in pairs.items()]
    left = {i for i, _ in pairs}
    right = {j for _, j in pairs}
    found += [ArticleMatch(None, a, "added", None, True) for j, a in enumerate(new) if j not in right]
    found += [ArticleMatch(a, None, "removed", None, True) for i, a in enumerate(old) if i not in left]
    return sorted(found, key=_order)


def where_now(matches: Iterable[ArticleMatch]) -> dict[tuple[int, int], ArticleMatch]:
    """The rows by the number of the old article."""
    return {(match.old.no, match.old.sub): match for match in matches if match.old is not None}


def _order(match: ArticleMatch) -> tuple[int, int, int]:
    article = match.new or match.old
    assert article is not None
    return (0 if match.new else 1, article.no, article.sub)


def _row(old: Article, new: Article, similarity: float) -> ArticleMatch:
    stays = (old.no, old.sub) == (new.no, new.sub)
    same = similarity >= 1.0
    change: ArticleChange = ("unchanged" if stays else "moved") if same else ("amended" if stays else "moved_and_amended")
    return ArticleMatch(old, new, change, round(similarity, 3), similarity >= CERTAIN)


def _same_words(old: Sequence[str], new: Sequence[str]) -> dict[tuple[int, int], float]:
    """Articles with the same words; where several have, those in the same order go together."""
    places: dict[str, list[int]] = {}
    for j, text in enumerate(new):
        places.setdefault(text, []).append(j)
    pairs: dict[tuple[int, int], float] = {}
    for i, text in enumerate(old):
        if places.get(text):
            pairs[(i, places[text].pop(0))] = 1.0
    return pairs


def _similar(
    old: Sequence[Article],
    new: Sequence[Article],
    old_texts: Sequence[str],
    new_texts: Sequence[str],
    taken: dict[tuple[int, int], float],
) -> dict[tuple[int, int], float]:
    rows = [i for i in range(len(old)) if i not in {a for a, _ in taken}]
    columns = [j for j in range(len(new)) if j not in {b for _, b in taken}]
    if not rows or not columns:
        return {}
    ratio = process.cdist([old_texts[i] for i in rows], [new_texts[j] for j in columns], scorer=fuzz.ratio) / 100.0
    pairs: dict[tuple[int, int], float] = {}
    free_rows, free_columns = set(range(len(rows))), set(range(len(columns)))
    number = {(new[j].no, new[j].sub): c for c, j in enumerate(columns)}
    for r, i in enumerate(rows):
        c = number.get((old[i].no, old[i].sub))
        if c is not None and ratio[r, c] > FLOOR and ratio[r].max() < ratio[r, c] + CLEARLY:
            if ratio[:, c].max() < ratio[r, c] + CLEARLY:
                pairs[(i, columns[c])] = min(float(ratio[r, c]), 0.999)
                free_rows.discard(r)
                free_columns.discard(c)
    pairs |= _assign(rows, columns, ratio, sorted(free_rows), sorted(free_columns))
    return pairs


def _assign(
    rows: Sequence[int], columns: Sequence[int], ratio: np.ndarray, free_rows: list[int], free_columns: list[int]
) -> dict[tuple[int, int], float]:
    """The assignment of what is left with the greatest sum of similarities; pairs at or below the floor fall away."""
    if not free_rows or not free_columns:
        return {}
    part = ratio[np.ix_(free_rows, free_columns)]
    gain = np.where(part > FLOOR, part, 0.0)
    _, chosen, _ = lap.lapjv(1.0 - gain, extend_cost=True)
    return {
        (rows[free_rows[r]], columns[free_columns[c]]): min(float(part[r, c]), 0.999)
        for r, c in enumerate(chosen)
        if c >= 0 and part[r, c] > FLOOR
    }
