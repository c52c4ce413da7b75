"""What an amending decision (修改决定) says it does to each article, as a second witness beside the comparison. Pure.

A decision names its articles: 将第三条改为第四条, 增加一条，作为第五条, 删去第七条, 将第八条第二款修改为. The words in “” are the new
text and are left out of the reading. What was not understood is said, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from models.domain.comparison import Comparison
from models.domain.law_compare import ArticleMatch
from models.domain.numerals import NUMERAL_CHARS, article_name, chinese_to_int

Key = tuple[int, int]
Act = Literal["amended", "renumbered", "added", "removed"]

_N: Final = f"[{NUMERAL_CHARS}]"
_ARTICLE: Final = re.compile(rf"第(?P<no>{_N}{{1,12}})条(?:之(?P<sub>{_N}{{1,3}}))?")
_ONE: Final = rf"第{_N}{{1,12}}条(?:之{_N}{{1,3}})?"
_WITHIN: Final = rf"(?:第{_N}{{1,6}}[款项目](?:、第{_N}{{1,6}}[款项目])*)*"
_LIST: Final = rf"{_ONE}(?:[、和至与]{_ONE})*+"
_LIST_WITHIN: Final = rf"{_ONE}{_WITHIN}(?:[、和至与]{_ONE}{_WITHIN})*+"
_FIRST: Final = "(?<![、和至与])"  # a list is looked at from its first article only: the time stays that of one reading
_ADDED: Final = re.compile(rf"增加{_N}{{1,3}}条[，,]?(?:分别)?作为(?P<new>{_LIST})")
_RENUMBERED: Final = re.compile(
    rf"{_FIRST}(?P<old>{_LIST_WITHIN})(?:合并[，,]?(?:作为|改为)|(?:分别|相应)?改为)(?:{_N}{{1,3}}条[，,]?)?(?:分别)?(?:作为)?(?P<new>{_LIST})"
)
_REMOVED: Final = re.compile(
    rf"(?:删去|删除)(?P<old>{_LIST})(?!第{_N}{{1,6}}[款项目]|中|的)|将(?P<whole>{_LIST})(?:删去|删除)"
)
_AMENDED: Final = re.compile(
    rf"{_FIRST}(?P<old>{_LIST_WITHIN})(?=[^第。；]{{0,40}}?(?:修改|改为|增加|增写|删去|删除|中的?))"
)
_INSIDE: Final = re.compile(rf"(?:删去|删除)(?P<old>{_LIST_WITHIN})")
_QUOTED: Final = "“…”"
_SEGMENT: Final = re.compile(rf"[。；;\n]+|(?<={_QUOTED})(?=[一二三四五六七八九十百]{{1,4}}、)")
_ITEM: Final = re.compile(rf"^\s*(?:[一二三四五六七八九十百]{{1,4}}、|（{_N}{{1,3}}）)\s*(?:本法|该条例|条例|法律)?")
_BEGINS: Final = re.compile(r"作(?:如|以)下修(?:改|正)|(?:修改|修正)如下|作如下(?:修改|修正)")
_DOES: Final = re.compile(r"修改为|改为|增加|增写|删去|删除|合并")


class Instruction(NamedTuple):
    """One act of a decision: articles by their old and their new numbers, and the words that say it (without quotations)."""

    act: Act
    old: tuple[Key, ...]
    new: tuple[Key, ...]
    words: str


class Decision(NamedTuple):
    """What a decision does, in its order, and the sentences that change something and were not understood."""

    instructions: tuple[Instruction, ...]
    rest: tuple[str, ...]


@dataclass(frozen=True)
class Testimony:
    """Instructions the comparison agrees with, and sentences on each point where both differ."""

    agreed: list[Instruction] = field(default_factory=list)
    differ: list[Difference] = field(default_factory=list)


class Difference(NamedTuple):
    """One point on which decision and comparison differ; `said` is None where the decision does not name the article."""

    said: str | None
    old_article: int | None
    new_article: int | None
    compared: str
    detail: str


def read_decision(text: str) -> Decision:
    """The instructions of an amending decision; several decisions in one text are read as one."""
    plain = _without_quotations(text)
    begins = _BEGINS.search(plain)
    found: list[Instruction] = []
    rest: list[str] = []
    for segment in _SEGMENT.split(plain[begins.end() :] if begins else plain):
        words = _ITEM.sub("", segment).strip(" \t\u3000，,").lstrip("：:")
        if not words or not _DOES.search(words):
            continue
        here = list(_instructions(words))
        found += here
        if not here:
            rest.append(words)
    return Decision(tuple(found), tuple(rest))


def _instructions(words: str) -> Iterator[Instruction]:
    """The acts of one sentence; each part of it is understood once."""
    left = words
    for pattern, act in ((_ADDED, "added"), (_RENUMBERED, "renumbered"), (_REMOVED, "removed")):
        marks = list(pattern.finditer(left))
        ends = [*(mark.start() for mark in marks[1:]), len(left)]
        for mark, end in zip(marks, ends, strict=False):
            named = mark.groupdict()
            old, new = _keys(named.get("old") or named.get("whole")), _keys(named.get("new"))
            if act == "added":
                yield Instruction("added", (), new, words)
            elif act == "removed":
                yield Instruction("removed", old, (), words)
            else:
                yield Instruction("renumbered", old, new, words)
                if (
                    re.search(r"修改为|中的|增加|删去|合并", left[mark.end() : end])
                    or "合并" in mark[0]
                    or len(new) != len(old)
                ):
                    yield Instruction("amended", old, new, words)
        left = pattern.sub(lambda mark: "\0" * len(mark[0]), left)
    inside = [_keys(mark["old"]) for mark in _INSIDE.finditer(left)]
    left = _INSIDE.sub(lambda mark: "\0" * len(mark[0]), left)
    named_in = [_keys(mark["old"]) for mark in _AMENDED.finditer(left)]
    old = tuple(dict.fromkeys(key for keys in [*inside, *named_in] for key in keys))
    if old:
        yield Instruction("amended", old, (), words)


def _keys(written: str | None) -> tuple[Key, ...]:
    """The articles of a list; a range (第六条至第八条) written out."""
    found: list[Key] = []
    at = 0
    for mark in _ARTICLE.finditer(written or ""):
        try:
            key = chinese_to_int(mark["no"]), chinese_to_int(mark["sub"]) if mark["sub"] else 0
        except ValueError:
            continue
        between = (written or "")[at : mark.start()]
        if "至" in between and found and found[-1][0] < key[0] <= found[-1][0] + 500:
            found += [(number, 0) for number in range(found[-1][0] + 1, key[0])]
        found.append(key)
        at = mark.end()
    return tuple(found)


def _without_quotations(text: str) -> str:
    """The text with “…” for what is quoted; a quotation of several paragraphs opens each anew and closes once."""
    parts, at = [], 0
    while (begin := text.find("“", at)) >= 0:
        end = text.find("”", begin)
        parts += [text[at:begin], _QUOTED]
        if end < 0:
            return "".join(parts)
        at = end + 1
    return "".join([*parts, text[at:]])


def weigh(decision: Decision, compared: Comparison) -> Testimony:
    """Agreement and every disagreement of a decision with the comparison of the two texts it lies between.

    Articles that only moved, or that changed in the numbers they refer to alone, need not be named: decisions end with
    条文顺序作相应调整.
    """
    by_old = {match.old.key: match for match in compared.matches if match.old is not None}
    by_new = {match.new.key: match for match in compared.matches if match.new is not None}
    told = Testimony()
    named: set[int] = set()
    for instruction in decision.instructions:
        differ = list(_against(instruction, by_old, by_new, named))
        told.differ.extend(differ)
        if not differ:
            told.agreed.append(instruction)
    for match in compared.matches:
        kind = compared.kind(match)
        silent = match.change in {"unchanged", "moved"} or (kind is not None and kind.kind == "editorial")
        if not silent and id(match) not in named:
            told.differ.append(_difference(None, match, "决定没有提到该条"))
    return told


def _against(
    instruction: Instruction, by_old: dict[Key, ArticleMatch], by_new: dict[Key, ArticleMatch], named: set[int]
) -> Iterator[Difference]:
    if instruction.act == "added":
        for key in instruction.new:
            match = by_new.get(key)
            named.add(id(match))
            if match is None:
                yield Difference(instruction.words, None, key[0], "missing", f"新文本没有{article_name(*key)}")
            elif match.old is not None:
                yield _difference(
                    instruction.words, match, f"决定说{article_name(*key)}是新增，对照为原{match.old.name}"
                )
        return
    rows = [(key, by_old.get(key)) for key in instruction.old]
    named.update(id(match) for _, match in rows)
    for key, match in rows:
        if match is None:
            yield Difference(instruction.words, key[0], None, "missing", f"旧文本没有{article_name(*key)}")
    there = [(key, match) for key, match in rows if match is not None]
    if instruction.act == "removed":
        for key, match in there:
            if match.new is not None:
                detail = f"决定说{article_name(*key)}已删去，对照为现{match.new.name}"
                yield _difference(instruction.words, match, detail)
    elif instruction.act == "renumbered":
        yield from _renumbered(instruction, there, by_new, named)
    else:
        for key, match in there:
            if match.change in {"unchanged", "moved"}:
                yield _difference(instruction.words, match, f"决定说{article_name(*key)}有修改，对照为文字未改")
            elif match.new is None and not instruction.new:
                yield _difference(instruction.words, match, f"决定说{article_name(*key)}有修改，对照为删去")


def _renumbered(
    instruction: Instruction,
    there: list[tuple[Key, ArticleMatch]],
    by_new: dict[Key, ArticleMatch],
    named: set[int],
) -> Iterator[Difference]:
    """One to one in their order; of several that become one, or one that becomes several, one pair must agree."""
    named.update(id(by_new[key]) for key in instruction.new if key in by_new)
    if len(instruction.old) == len(instruction.new):
        wanted = dict(zip(instruction.old, instruction.new, strict=True))
        for key, match in there:
            if match.new is None or match.new.key != wanted[key]:
                now = "删去" if match.new is None else f"现{match.new.name}"
                yield _difference(
                    instruction.words, match, f"决定说{article_name(*key)}改为{article_name(*wanted[key])}，对照为{now}"
                )
    elif there and not any(match.new is not None and match.new.key in instruction.new for _, match in there):
        news = "、".join(article_name(*key) for key in instruction.new)
        yield _difference(instruction.words, there[0][1], f"决定说改为{news}，对照中没有一条移到该处")


def _difference(said: str | None, match: ArticleMatch, detail: str) -> Difference:
    return Difference(
        said,
        None if match.old is None else match.old.no,
        None if match.new is None else match.new.no,
        match.change,
        detail,
    )


def as_json(decision: Decision, told: Testimony) -> dict[str, list[Any]]:
    """What other programs read."""

    def numbers(keys: Iterable[Key]) -> list[int]:
        return [number for number, _ in keys]

    return {
        "agreed": [
            {"act": one.act, "old_articles": numbers(one.old), "new_articles": numbers(one.new), "said": one.words}
            for one in told.agreed
        ],
        "differ": [one._asdict() for one in told.differ],
        "rest": list(decision.rest),
    }
