"""Which laws a text repeals: 2011年7月29日通过的《…办法》同时废止. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from models.domain.law_text import Article, canonical_title

_SENTENCE: Final = re.compile(r"[^。；;\n]+")
_VOID: Final = re.compile(r"(?:同时|即行|予以|一并|相应)?废止")
#: Words of a sentence that speaks of repealing without doing it.
_SPEAKS_OF: Final = re.compile(
    r"(?:修改|制定|修订|解释|改变|撤销|清理)[、或者和及]+废止|废止(?:的|前|后|或者|、|和|该|其|程序|之日)|不得废止|应当废止"
)


class Repeal(NamedTuple):
    """A law that a text makes void. `namesake`: an older law of the repealing one's own title, which voids no citation."""

    title: str
    namesake: bool


def repeals(title: str, articles: Iterable[Article]) -> list[Repeal]:
    """The laws that the articles of a law repeal, in their order, each once."""
    found: dict[str, Repeal] = {}
    for article in articles:
        if "废止" not in article.text:
            continue
        for sentence in _SENTENCE.findall(article.text):
            for repealed in repealed_in(sentence):
                canonical = canonical_title(repealed)
                found.setdefault(canonical, Repeal(repealed, canonical == canonical_title(title)))
    return list(found.values())


def repealed_in(sentence: str) -> list[str]:
    """The titles one sentence repeals; empty where it repeals none."""
    end = _VOID.search(sentence)
    if end is None or _SPEAKS_OF.search(sentence):
        return []
    return [re.sub(r"\s+", "", title) for title in _outer_titles(sentence[: end.start()])]


def _outer_titles(text: str) -> list[str]:
    """What stands between 《 and its 》, titles inside titles left in place."""
    found: list[str] = []
    depth, begin = 0, 0
    for at, char in enumerate(text):
        if char == "《":
            depth += 1
            begin = at + 1 if depth == 1 else begin
        elif char == "》" and depth:
            depth -= 1
            if depth == 0:
                found.append(text[begin:at])
    return found
