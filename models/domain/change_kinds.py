"""What kind of change an amended article brings, read from the words that changed. Pure.

Similarity says which article belongs to which; how much a change matters is said by its words alone: 六个月 and 三个月 differ
in one character. Each place that differs has a kind; the article has the weightiest of its places (the order of `KINDS`).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from models.domain.differences import word_diff
from models.domain.law_compare import normal_form
from models.domain.numerals import NUMERAL_CHARS

KINDS: Final = {
    "approval_to_filing": "批准改为备案",
    "approval_dropped": "不再审批",
    "approval_added": "增设审批",
    "commitment_added": "实行告知承诺",
    "authority": "主管机关变更",
    "time_limit": "时限变更",
    "amount": "金额、数量变更",
    "duty": "义务强度变更",
    "condition": "条件变更",
    "material": "材料变更",
    "scope": "适用范围变更",
    "content": "内容变更",
    "editorial": "文字性修改",
}
"""Codes and names, the weightiest first (our own order: what decides whether an item stays comes before how it is done)."""

_N: Final = f"[{NUMERAL_CHARS}]"
_APPROVAL: Final = re.compile(r"(?:审批|批准|许可|核准)(?!机关|部门|单位|人)|审核同意|审查同意|认可|认定|核发")
_FILING: Final = re.compile(r"备案|登记备案|报备")
_COMMITMENT: Final = re.compile(r"告知承诺|承诺制")
_SHORT: Final = 40
"""Words (old and new together, in characters) that may name an authority; longer ones say more than who is competent."""

_BRIEF: Final = 12
"""Words that may be no more than a duty put in other terms: 必须 for 应当."""

_SENTENCE: Final = re.compile(r"[,.;:]")
_AUTHORITY: Final = re.compile(
    r"部门|机关|机构|主管(?!人员)|行政(?!法|处[罚分]|复议|诉讼|强制|区)|委员会|监督管理|人民政府|国务院|公安|海关|法院|检察院|[省市区县]级|厅|局"
)
_AUTHORITY_FOLLOWS: Final = re.compile(r"[^，。；：,.;:、向]{0,9}?(?:主管部门|管理部门|行政部门|部门|机关|机构)")
_TIME: Final = re.compile(rf"{_N}+\s*(?:个?工作日|个月|周年|小时|日|天|月|年|周)(?!\S*日通过)")
_AMOUNT: Final = re.compile(rf"{_N}+\s*(?:元|万元|亿元|倍|%|平方米|公里|米|人|名|份|吨|千克)|百分之{_N}+")
_LAST_FIGURE: Final = re.compile(rf"{_N}+$")
_DUTY: Final = re.compile(r"必须|应当|可以|不得|禁止|有权|有义务|不予|不再")
_MATERIAL: Final = re.compile(r"材料|证明|文件|申请书|报告书|证书|复印件|复制件|资料|表格|证件")
_CONDITION: Final = re.compile(r"条件|资格|资质|具备|符合|要求|标准|年龄|以上|以下|不超过|经历|经验")
_SCOPE: Final = re.compile(r"其他|以及|包括|范围|适用|任何|所有|全部|除外|等")
_REFERENCE: Final = re.compile(rf"[第条款项目之至和或及者、,(){NUMERAL_CHARS}]+")
_MARKS: Final = re.compile(r"[^\w]+|_")
_RELATIONS: Final = str.maketrans("", "", "须应当经报向由送交而其可以,")
_VARIANTS: Final = str.maketrans({"帐": "账", "做": "作", "它": "他", "份": "分", "像": "象", "唯": "惟", "帖": "贴"})
_SAME_SENSE: Final = (
    ("相关", "有关"),
    ("依照", "按照"),
    ("以内", "内"),
    ("抚育费", "抚养费"),
    ("并且", "并"),
    ("中华人民共和国", "中国"),
    ("的", ""),
)


class ChangedPlace(NamedTuple):
    """One place that differs: the words of the old and of the new text ("" where there are none) and the kind they tell."""

    old: str
    new: str
    kind: str


class ChangeKind(NamedTuple):
    """The kind of a whole article, and the places that told so."""

    kind: str
    places: tuple[ChangedPlace, ...]

    @property
    def telling(self) -> tuple[ChangedPlace, ...]:
        """The places of the article's own kind."""
        return tuple(place for place in self.places if place.kind == self.kind)


def kind_of_change(old: str, new: str) -> ChangeKind:
    """The kind of an amended article from its two texts; `editorial` where no place says more."""
    places = _without_moved_duties(_places(old, new))
    kinds = {place.kind for place in places}
    return ChangeKind(next((kind for kind in KINDS if kind in kinds), "editorial"), places)


def _without_moved_duties(places: list[ChangedPlace]) -> tuple[ChangedPlace, ...]:
    """A 可以 that only changed its place (可以由机关吊销, 机关可以吊销) changes no duty."""
    words = [Counter(_DUTY.findall("\n".join(normal_form(place[side]) for place in places))) for side in (0, 1)]
    if words[0] != words[1]:
        return tuple(places)
    alone = {place for place in places if place.kind == "duty" and not (place.old and place.new)}
    return tuple(place._replace(kind="editorial") if place in alone else place for place in places)


def _places(old: str, new: str) -> list[ChangedPlace]:
    parts = word_diff(old, new, join=False)
    found: list[ChangedPlace] = []
    at = 0
    while at < len(parts):
        if parts[at][0] == "equal":
            at += 1
            continue
        begin = at
        deleted = inserted = ""
        while at < len(parts) and parts[at][0] != "equal":
            tag, words = parts[at]
            deleted, inserted = (deleted + words, inserted) if tag == "delete" else (deleted, inserted + words)
            at += 1
        before = normal_form(parts[begin - 1][1])[-12:] if begin else ""
        after = normal_form(parts[at][1])[:12] if at < len(parts) else ""
        was, now = normal_form(deleted), normal_form(inserted)
        if was != now:
            found.append(ChangedPlace(deleted, inserted, _kind(was, now, before, after)))
    return found


def _kind(was: str, now: str, before: str, after: str) -> str:
    """The kind of one place, from its words and a few characters around them, all in normal form."""
    if _is_editorial(was, now, before, after):
        return "editorial"
    dropped, added = bool(_APPROVAL.search(was)), bool(_APPROVAL.search(now))
    if dropped and not added:
        return "approval_to_filing" if _FILING.search(now) else "approval_dropped"
    if added and not dropped:
        return "approval_added"
    if _COMMITMENT.search(now) and not _COMMITMENT.search(was):
        return "commitment_added"
    if _quantities(_TIME, was, now, before, after):
        return "time_limit"
    if _quantities(_AMOUNT, was, now, before, after):
        return "amount"
    brief = len(was + now)
    if was and now and _DUTY.fullmatch(was) and _DUTY.fullmatch(now):
        return "duty"
    # 报 for 经 before an authority changes what is done with it, not who it is.
    names_who = was.translate(_RELATIONS) != now.translate(_RELATIONS) and (
        _AUTHORITY.search(was + now) or _AUTHORITY_FOLLOWS.match(after)
    )
    if names_who and brief <= _SHORT and not _SENTENCE.search((was + now).replace(",", "", 2)):
        return "authority"
    if brief <= _BRIEF and set(_DUTY.findall(was)) != set(_DUTY.findall(now)):
        return "duty"
    for kind, pattern in (("condition", _CONDITION), ("material", _MATERIAL), ("scope", _SCOPE)):
        if pattern.search(was) or pattern.search(now):
            return kind
    return "content"


def _is_editorial(was: str, now: str, before: str, after: str) -> bool:
    """Punctuation, other characters for the same word, or the numbers of articles referred to."""
    if _plain(was) == _plain(now):
        return True
    refers = before.endswith("第") or after[:1] in "条款项目" or (was + now)[:1] in {"第", "("} or "条" in was + now
    return refers and _REFERENCE.fullmatch(was + now) is not None and after[:1] not in "元日年月个倍%人名"


def _plain(words: str) -> str:
    bare = _MARKS.sub("", words).translate(_VARIANTS)
    for one, other in _SAME_SENSE:
        bare = bare.replace(one, other)
    return bare


def _quantities(pattern: re.Pattern[str], was: str, now: str, before: str, after: str) -> bool:
    """Whether the sides name different quantities of this sort; figure or unit may stand beside the changed words."""
    figure = _LAST_FIGURE.search(before)
    lead = figure[0] if figure else ""
    old, new = pattern.findall(lead + was + after[:4]), pattern.findall(lead + now + after[:4])
    return bool(old or new) and old != new
