"""Which law of the library a cited title means.

Exact in the form for matching (no 中华人民共和国, no white space, no edition in brackets); else the most similar titles are
named as candidates, never taken: a wrong law costs a department weeks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz, process

from models.domain.citation import local_prefix
from models.domain.law_text import canonical_title

SIMILAR: Final = 80.0
"""Titles above this similarity (rapidfuzz ratio, 0 to 100) are candidates: one wrong character in six is 83."""

MAX_LONGER: Final = 1
"""A title longer by more characters is another law (海洋环境保护法 is not 环境保护法 with a wrong character)."""

MAX_CANDIDATES: Final = 5
_EDITION: Final = re.compile(r"（[^（）]*\d{4}[^（）]*(?:修正|修订|修改|版|文本|本)?[^（）]*）$")
_KINDS: Final = (
    *("实施条例", "实施细则", "实施办法", "实施规定", "暂行条例", "条例", "暂行办法", "办法", "暂行规定", "规定"),
    *("细则", "决定", "规则", "解释", "通知", "意见", "公告", "法"),
)


class Resolution(BaseModel):
    """The law of the library a title means for certain, else the titles it may mean, the most similar first.

    `renamed`: the title is a former one of that law, as the law's own history says.
    """

    model_config = ConfigDict(frozen=True)

    law: str | None = None
    renamed: bool = False
    candidates: tuple[str, ...] = ()


class Library:
    """The titles of the laws at hand, ready to be asked many times; `formerly` names by title those a law had before."""

    def __init__(self, titles: Iterable[str], formerly: Mapping[str, Iterable[str]] | None = None) -> None:
        self._exact: dict[str, str] = {}
        for title in titles:
            self._exact.setdefault(canonical_title(title), title)
        self._renamed: dict[str, set[str]] = {}
        for title, before in (formerly or {}).items():
            for one in before:
                self._renamed.setdefault(canonical_title(one), set()).add(title)
        self._alike: dict[tuple[str, str, bool], list[str]] = {}
        for canonical in self._exact:
            self._alike.setdefault(_kind(canonical), []).append(canonical)
        self._asked: dict[str, Resolution] = {}

    def resolve(self, title: str) -> Resolution:
        """The law of this title. An implementing rule is never taken for its law, nor a province's law for a national one."""
        canonical = canonical_title(title)
        found = self._asked.get(canonical)
        if found is None:
            found = self._asked[canonical] = self._resolved(canonical)
        return found

    def _resolved(self, canonical: str) -> Resolution:
        for form in (canonical, _EDITION.sub("", canonical)):
            if (title := self._exact.get(form)) is not None:
                return Resolution(law=title)
        if len(now := sorted(self._renamed.get(canonical, ()))) == 1:
            return Resolution(law=now[0], renamed=True)
        alike = self._alike.get(_kind(canonical), [])
        nearest = process.extract(canonical, alike, scorer=fuzz.ratio, score_cutoff=SIMILAR, limit=None)
        near = now + [
            self._exact[name] for name, _, _ in nearest if abs(len(_bare(name)) - len(_bare(canonical))) <= MAX_LONGER
        ]
        return Resolution(candidates=tuple(dict.fromkeys(near))[:MAX_CANDIDATES])


def _kind(canonical: str) -> tuple[str, str, bool]:
    """What two titles must share to be candidates for each other: kind of document, place, and whether it implements a law."""
    bare = _bare(canonical)
    kind = next((ending for ending in _KINDS if bare.endswith(ending)), "")
    return kind, local_prefix(bare), "实施" in bare


def _bare(canonical: str) -> str:
    """A title without a bracket at its end, （试行） or an edition."""
    return re.sub(r"（[^（）]*）$", "", canonical)
