"""Word differences between two texts, and the fields that differ between two contents. Pure.

Words come from a dictionary (rjieba), so a mark never cuts a word; a figure with its unit is one word, so 二十日 becomes
十二个工作日 as a whole. Marks less than two characters apart are joined: a reader takes in one change, not crumbs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from rapidfuzz.distance import Indel

from models.domain.content import FIELDS, ITEM_TYPES
from models.domain.numerals import article_name, int_to_chinese

Tag = Literal["equal", "delete", "insert"]
Part = tuple[Tag, str]

#: Marks closer than this are joined (shared/screens: "join marks less than two characters apart").
JOIN_BELOW = 2
_NUMERAL = "〇零一二三四五六七八九十百千万亿两"
_UNIT = "个?工作日|个?自然日|个月|周年|小时|分钟|日|天|周|月|年|万元|元|倍|平方米|平方公里|人|名|份"
# A whole date, a figure (Arabic, or Chinese of two and more numerals, or one numeral where a unit or 第 makes it one),
# and a unit right behind a figure. A single 一 is left to the dictionary: 一般, 统一.
_FIGURE = re.compile(
    rf"(?P<date>\d{{4}}年\d{{1,2}}月\d{{1,2}}日)"
    rf"|(?P<figure>\d+(?:[.．,，]\d+)*[%％‰]?|[{_NUMERAL}]{{2,}}|(?<=第)[{_NUMERAL}]|[{_NUMERAL}](?={_UNIT}))"
    rf"(?P<unit>{_UNIT})?"
)


@dataclass(frozen=True)
class FieldDifference:
    """One field that differs, with both values as a person reads them ("" where there is none)."""

    field: str
    label: str
    before_text: str
    after_text: str

    @property
    def parts(self) -> list[Part]:
        """The word difference of the two texts."""
        return word_diff(self.before_text, self.after_text)


def words(text: str) -> list[str]:
    """The text cut into words; figures, units behind them and whole dates stay whole. Joined they give the text."""
    found: list[str] = []
    end = 0
    for match in _FIGURE.finditer(text):
        found.extend(_cut(text[end : match.start()]))
        found.extend(part for part in (match["date"], match["figure"], match["unit"]) if part)
        end = match.end()
    found.extend(_cut(text[end:]))
    return found


def _cut(text: str) -> list[str]:
    import rjieba  # its dictionary takes a tenth of a second, which only those who compare texts should pay

    return list(rjieba.cut(text)) if text else []


def word_diff(old: str, new: str, *, join: bool = True) -> list[Part]:
    """The parts of both texts in order; a deletion stands before the insertion that replaces it.

    equal + delete parts give `old`, equal + insert parts give `new`. Without `join` every mark stays by itself.
    """
    if old == new:
        return [("equal", old)] if old else []
    groups = _groups(words(old), words(new))
    return _parts(_join(groups) if join else groups)


@dataclass
class _Group:
    """A run that stayed (`deleted` is None) or a run that was replaced."""

    kept: str = ""
    deleted: str = ""
    inserted: str = ""

    @property
    def marked(self) -> bool:
        return not self.kept


def _groups(old: Sequence[str], new: Sequence[str]) -> list[_Group]:
    groups: list[_Group] = []
    for code in Indel.opcodes(old, new):
        if code.tag == "equal":
            groups.append(_Group(kept="".join(old[code.src_start : code.src_end])))
            continue
        if not groups or not groups[-1].marked:
            groups.append(_Group())
        groups[-1].deleted += "".join(old[code.src_start : code.src_end])
        groups[-1].inserted += "".join(new[code.dest_start : code.dest_end])
    return groups


def _join(groups: Sequence[_Group]) -> list[_Group]:
    joined: list[_Group] = []
    for group in groups:
        if group.marked and len(joined) > 1 and _close(joined[-2], joined[-1], group):
            kept = joined.pop().kept
            joined[-1].deleted += kept + group.deleted
            joined[-1].inserted += kept + group.inserted
        else:
            joined.append(_Group(group.kept, group.deleted, group.inserted))
    return joined


def _parts(groups: Sequence[_Group]) -> list[Part]:
    parts: list[Part] = []
    for group in groups:
        candidates: tuple[Part, ...] = (("equal", group.kept), ("delete", group.deleted), ("insert", group.inserted))
        parts.extend(part for part in candidates if part[1])
    return parts


def _close(left: _Group, kept: _Group, right: _Group) -> bool:
    """Whether two marks become one. Two pure insertions stay apart: joining them would invent a deletion."""
    if len(kept.kept) >= JOIN_BELOW or "\n" in kept.kept:
        return False
    return bool(left.deleted + right.deleted) and bool(left.inserted + right.inserted)


# --- contents ----------------------------------------------------------------------------------------------------

_PAIRED = {"statutory_days": "statutory_unit", "promised_days": "promised_unit"}


def field_differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, names: Mapping[str, str] | None = None
) -> list[FieldDifference]:
    """The fields that differ, in the order of the guide. None stands for: there is (or will be) no such item.

    `names` gives department names by id. A number of days and its unit are one line.
    """
    units = set(_PAIRED.values())
    found = []
    for info in FIELDS:
        if info.name in units:
            continue
        old, new = field_text(info.name, before, names), field_text(info.name, after, names)
        if old != new:
            found.append(FieldDifference(info.name, info.label_zh, old, new))
    return found


def field_text(name: str, content: Mapping[str, Any] | None, names: Mapping[str, str] | None = None) -> str:
    """The value of a field as a person reads it; several values stand on lines of their own."""
    if content is None:
        return ""
    value = content.get(name)
    if value is None or value == "":
        return ""
    if name == "bases":
        return "\n".join(basis_text(basis) for basis in value)
    if name in _PAIRED:
        return f"{value}{_unit(content.get(_PAIRED[name]))}"
    if name == "type":
        return ITEM_TYPES.get(str(value), str(value))
    if name == "department":
        return (names or {}).get(str(value), str(value))
    if isinstance(value, Mapping):
        return "\n".join(f"{key}：{text}" for key, text in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return "\n".join(str(entry) for entry in value)
    return str(value)


def _unit(unit: Any) -> str:
    if unit == "工作日":
        return "个工作日"
    return "日" if unit in (None, "", "自然日") else str(unit)


def basis_text(basis: Mapping[str, Any]) -> str:
    """A basis as 《法规》（2024年2月27日文本）第三十条之一第二款第三项第4目，附件…：“…”."""
    text = f"《{basis.get('law') or ''}》"
    day = _day(basis.get("edition"))
    if day is not None:
        text += f"（{day.year}年{day.month}月{day.day}日文本）"
    text += provision_text(basis)
    if basis.get("annex"):
        text += f"附件{basis['annex']}" if not str(basis["annex"]).startswith("附件") else str(basis["annex"])
    if basis.get("quoted"):
        text += f"：“{basis['quoted']}”"
    return text


def provision_text(basis: Mapping[str, Any]) -> str:
    """第三十条之一第二款第三项第4目; "" where the law is cited as a whole (GB practice: 目 with Arabic numerals)."""
    text = article_name(int(basis.get("article") or 0), int(basis.get("sub") or 0))
    for key, unit in (("paragraph", "款"), ("item", "项")):
        if basis.get(key):
            text += f"第{int_to_chinese(int(basis[key]))}{unit}"
    if basis.get("subitem"):
        text += f"第{basis['subitem']}目"
    return text


def _day(value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
