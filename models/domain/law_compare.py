"""Which article of the old text is which article of the new one.

Similarity decides only which article belongs to which, never how much a change matters. Texts are compared in one
normal form (NFKC, brackets, quotation marks, white space, zero-width characters); what is stored stays as imported.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Literal

import lap
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz
from rapidfuzz.process import cdist

from models.domain.law_text import Article

FLOOR: Final = 0.45
"""Pairs up to this similarity are no pairs: two articles on different matters share about 0.2 to 0.4."""

CERTAIN_FROM: Final = 0.8
"""A pair with different numbers below this similarity is to be checked by a person."""

ALONE_FROM: Final = 0.7
"""Unless no other article comes near to it: then from here on. Of the moved articles of the published texts 4 in 1,552 that
pass for certain are others in article_changes_derived.csv, and 8 in 386 of the doubtful ones."""

_NEAR: Final = 0.15

_EXTENDED_FROM: Final = 10  # characters; a shorter text stands within another by chance
_IN_ORDER: Final = 0.4
"""How much of the similarity is that of the texts in their order; the rest is that of their three-character pieces wherever
they stand, which finds an article again whose sentences changed places or that got paragraphs more."""

_PIECE: Final = 3
_BUCKETS: Final = 4096
_SAME_NUMBER_BONUS: Final = 0.05
_ORDER_BONUS: Final = 0.03
_IGNORED: Final = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_FOLD: Final = str.maketrans(
    {
        "〔": "(",
        "〕": ")",
        "【": "(",
        "】": ")",
        "[": "(",
        "]": ")",
        "〈": "<",
        "〉": ">",
        "《": "<",
        "》": ">",
        "“": '"',
        "”": '"',
        "„": '"',
        "「": '"',
        "」": '"',
        "‘": "'",
        "’": "'",
        "—": "-",
        "–": "-",
        "─": "-",
        "〇": "零",
        "、": ",",
        "。": ".",
        "·": "・",
    }
)

Change = Literal["unchanged", "amended", "moved", "moved_and_amended", "removed", "added"]
Matrix = NDArray[np.float64]


class ArticleMatch(BaseModel):
    """One row of a comparison. `similarity` runs from 0 to 1 and is None where one side is missing."""

    model_config = ConfigDict(frozen=True)

    old: Article | None
    new: Article | None
    change: Change
    similarity: float | None
    certain: bool


def normal_form(text: str) -> str:
    """The text as it is compared: NFKC, one kind of brackets, quotation marks, commas and stops, nothing invisible."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text)).translate(_FOLD)


def match_articles(old: Sequence[Article], new: Sequence[Article]) -> list[ArticleMatch]:
    """Every article of both texts in exactly one row, one to one, in the order of the new text.

    First equal texts (in order), then the assignment with the greatest total of what is above FLOOR, so that no good pair
    is given up for two poor ones; an equal number and a place between the same neighbours tip the balance but never beat
    a clearly more similar article. What is left
    belongs together where number and most of the shorter text are the same: an article extended by paragraphs.
    """
    old_forms, new_forms = [normal_form(a.text) for a in old], [normal_form(a.text) for a in new]
    equal = _equal_texts(old, new, old_forms, new_forms)
    similar = _similar_texts(old, new, old_forms, new_forms, equal)
    old_to_new = equal | {i: j for i, (j, _, _) in similar.items()}
    matched_new = set(old_to_new.values())
    placed: list[tuple[tuple[int, int, int], ArticleMatch]] = []
    last = -1
    for i, article in enumerate(old):
        if i in equal:
            placed.append(((equal[i], 0, 0), _row(article, new[equal[i]], 1.0, True, True)))
        elif i in similar:
            j, similarity, certain = similar[i]
            placed.append(((j, 0, 0), _row(article, new[j], similarity, certain, False)))
        else:
            # What was removed stands after the new place of the article that went before it.
            placed.append(((last, 1, i), _single(article, None, "removed")))
        last = old_to_new.get(i, last)
    placed += [((j, 0, 0), _single(None, new[j], "added")) for j in range(len(new)) if j not in matched_new]
    return [row for _, row in sorted(placed, key=lambda entry: entry[0])]


def where_now(matches: Sequence[ArticleMatch]) -> dict[tuple[int, int], ArticleMatch]:
    """By the number of the old article, (35, 0) or (120, 1) for 第一百二十条之一, the row that says where it is now."""
    found: dict[tuple[int, int], ArticleMatch] = {}
    for match in matches:
        if match.old is not None:
            found.setdefault(match.old.key, match)
    return found


def _equal_texts(
    old: Sequence[Article], new: Sequence[Article], old_forms: list[str], new_forms: list[str]
) -> dict[int, int]:
    """Pairs of places whose texts are equal; of several equal ones the same number first, then in order."""
    places: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for i, form in enumerate(old_forms):
        places[form][0].append(i)
    for j, form in enumerate(new_forms):
        places[form][1].append(j)
    pairs: dict[int, int] = {}
    for olds, news in places.values():
        by_number = {new[j].key: j for j in news}
        same = {i: by_number.pop(old[i].key) for i in olds if old[i].key in by_number}
        taken = set(same.values())
        rest = zip((i for i in olds if i not in same), (j for j in news if j not in taken), strict=False)
        pairs |= same | dict(rest)
    return pairs


def _similar_texts(
    old: Sequence[Article],
    new: Sequence[Article],
    old_forms: list[str],
    new_forms: list[str],
    pairs: dict[int, int],
) -> dict[int, tuple[int, float, bool]]:
    """The globally optimal assignment of what is left: old place to new place, similarity and certainty."""
    taken = set(pairs.values())
    olds = [i for i in range(len(old)) if i not in pairs]
    news = [j for j in range(len(new)) if j not in taken]
    if not olds or not news:
        return {}
    similarity = _similarity([old_forms[i] for i in olds], [new_forms[j] for j in news])
    new_keys = [new[j].key for j in news]
    same_number = np.array([[key == new_key for new_key in new_keys] for key in (old[i].key for i in olds)])
    score = similarity + _SAME_NUMBER_BONUS * same_number + _ORDER_BONUS * _closeness(olds, news, pairs, len(new))
    cost = np.where(similarity > FLOOR, 2.0 - score, 10.0)
    _, partner, _ = lap.lapjv(cost, extend_cost=True, cost_limit=2.0 - FLOOR)
    found: dict[int, tuple[int, float, bool]] = {}
    for row, column in enumerate(int(c) for c in partner):
        if column >= 0 and similarity[row, column] > FLOOR:
            value = float(similarity[row, column])
            certain = (
                value >= CERTAIN_FROM
                or (bool(same_number[row, column]) and _no_rival(similarity, row, column))
                or (value >= ALONE_FROM and _no_rival(similarity, row, column, by=_NEAR))
            )
            found[olds[row]] = (news[column], round(value, 4), certain)
    return found | _extended_texts(old, new, old_forms, new_forms, set(olds) - set(found), set(news) - _places(found))


def _similarity(olds: Sequence[str], news: Sequence[str]) -> Matrix:
    """How alike each old text and each new one are, from 0 to 1."""
    in_order = np.asarray(cdist(olds, news, scorer=fuzz.ratio, dtype=np.float64)) / 100
    pieces = np.zeros((len(olds), len(news)))
    by_piece = np.ascontiguousarray(_pieces(news).T)
    # Row by row over the pieces that an old text has: a product of both tables would wait for the other core when it is busy.
    for row, old in enumerate(_pieces(olds)):
        has = np.flatnonzero(old)
        pieces[row] = (by_piece[has] * old[has, None]).sum(axis=0)
    return np.asarray(_IN_ORDER * in_order + (1 - _IN_ORDER) * np.minimum(pieces, 1.0))


def _pieces(forms: Sequence[str]) -> NDArray[np.float32]:
    """For each text how often each three-character piece stands in it, as a direction (length 1)."""
    found = np.zeros((len(forms), _BUCKETS), dtype=np.float32)
    for row, form in enumerate(forms):
        points = np.frombuffer(form.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
        if len(points) >= _PIECE:
            marks = (points[:-2] * 961 + points[1:-1] * 31 + points[2:]) % _BUCKETS
            found[row] = np.bincount(marks, minlength=_BUCKETS)
    lengths = np.sqrt((found * found).sum(axis=1, keepdims=True))
    return np.asarray(found / np.where(lengths, lengths, 1), dtype=np.float32)


def _extended_texts(
    old: Sequence[Article],
    new: Sequence[Article],
    old_forms: list[str],
    new_forms: list[str],
    olds: set[int],
    news: set[int],
) -> dict[int, tuple[int, float, bool]]:
    """Articles that kept their number and stand, extended or cut, within what is left: how much of the shorter one."""
    by_number = {new[j].key: j for j in sorted(news, reverse=True)}
    found: dict[int, tuple[int, float, bool]] = {}
    for i in sorted(olds):
        j = by_number.get(old[i].key)
        if j is not None and min(len(old_forms[i]), len(new_forms[j])) >= _EXTENDED_FROM:
            value = fuzz.partial_ratio(old_forms[i], new_forms[j]) / 100
            if value >= CERTAIN_FROM:
                found[i] = (by_number.pop(old[i].key), round(value, 4), value == 1.0)
    return found


def _places(found: dict[int, tuple[int, float, bool]]) -> set[int]:
    return {j for j, _, _ in found.values()}


def _no_rival(similarity: Matrix, row: int, column: int, by: float = 0.0) -> bool:
    """No other article of either text is as similar as the assigned one, or comes as near to it as `by`."""
    value = similarity[row, column] - by
    return int((similarity[row] >= value).sum()) == 1 and int((similarity[:, column] >= value).sum()) == 1


def _closeness(olds: list[int], news: list[int], pairs: dict[int, int], new_length: int) -> Matrix:
    """1 where the new place is the one expected between equal neighbours, falling to 0 with the distance from it."""
    anchors = [(-1, -1), *_in_rising_order(sorted(pairs.items()))]
    anchors.append((max(olds[-1], anchors[-1][0]) + 1, new_length))
    expected = np.interp(np.array(olds, dtype=float), *np.array(anchors, dtype=float).T)
    distance: Any = np.abs(expected[:, None] - np.array(news, dtype=float)[None, :])
    return np.asarray(np.clip(1.0 - distance / max(new_length, 1), 0.0, 1.0))


def _in_rising_order(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs that keeps the order of both texts (patience sorting)."""
    tails: list[int] = []
    last_at: list[int] = []
    before: list[int] = []
    for index, (_, j) in enumerate(pairs):
        length = bisect_left(tails, j)
        before.append(last_at[length - 1] if length else -1)
        if length == len(tails):
            tails.append(j)
            last_at.append(index)
        else:
            tails[length], last_at[length] = j, index
    run: list[tuple[int, int]] = []
    index = last_at[-1] if last_at else -1
    while index >= 0:
        run.append(pairs[index])
        index = before[index]
    return run[::-1]


def _row(old: Article, new: Article, similarity: float, certain: bool, equal: bool) -> ArticleMatch:
    stays = old.key == new.key
    change: Change
    if equal:
        change = "unchanged" if stays else "moved"
    else:
        change = "amended" if stays else "moved_and_amended"
    return ArticleMatch(old=old, new=new, change=change, similarity=similarity, certain=certain)


def _single(old: Article | None, new: Article | None, change: Change) -> ArticleMatch:
    return ArticleMatch(old=old, new=new, change=change, similarity=None, certain=True)
