"""Citations of laws in the text of a legal basis (设定依据): which law, which version, which articles.

Titles, brackets with document number and dates, articles with paragraph (款), item (项), subitem (目), lists and ranges,
annexes, the quoted text; short forms (《条例》, 同法) are traced to the full citation they can only mean. What was not
understood is returned as `rest`, never guessed. All scans are linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

from models.domain.law_text import header_events
from models.domain.numerals import NUMERAL_CHARS, chinese_to_int, int_to_chinese

MAX_WRITTEN_OUT: Final = 50
"""A range of paragraphs or items (第一项至第三项) is written out up to this length."""

MAX_WRITTEN_OUT_IN_ALL: Final = 20_000
"""So many places of ranges are written out in one text; a range after that stays in `rest`."""

MAX_TITLE: Final = 300
"""A pair of title marks further apart (in characters) names no law."""

MAX_BROKEN: Final = 80
"""So long may a title be that goes on in the next line."""

MAX_BRACKET: Final = 4000
"""A bracket after a title that is longer explains nothing about the law."""

_N: Final = f"[{NUMERAL_CHARS}]"
_WS: Final = r"[ \t\u3000\u00a0\u200b\ufeff\r]"
_TO: Final = "至到～~〜－–—-"
"""Between two numbers: from the one to the other."""
_SPACED: Final = rf"{_N}(?:[ \u3000]?{_N}){{0,11}}+"
"""A number as it may come out of a scan, a blank between its characters: 三 十五."""
_BRACKETED: Final = rf"[（(]{_WS}*+{_N}{{1,4}}+{_WS}*+[）)]"
_NUMBERS: Final = (
    rf"(?:{_SPACED}(?:(?:[、,，和及与或]|[{_TO}]{{1,4}}+)第?{_SPACED})*+"
    rf"|{_BRACKETED}(?:(?:[、,，和及与或]|[{_TO}]{{1,4}}+)?+第?+{_BRACKETED})*+)"
)
_BROKEN: Final = rf"{_WS}*+(?:\n{_WS}*+)?+"
"""Where a line may break within a place."""
_PLACE: Final = re.compile(
    rf"(?P<mark>第?){_BROKEN}(?P<numbers>{_NUMBERS}){_BROKEN}(?P<unit>条|款|项|目)"
    rf"(?:之(?P<sub>{_N}{{1,3}}+)(?!{_N}*[条款项目]))?"
)
_ABOVE: Final = re.compile(
    rf"(?:第{_WS}*+{_N}{{1,9}}+{_WS}*+(?:分编|编|章|节|点|部分){_WS}*+)++(?=第{_WS}*+{_N}{{1,12}}+{_WS}*+条)"
)
"""What an article stands under, named before it: 第三点第22条."""
_UNMARKED: Final = re.compile(
    r"[ \t\u3000]*+(?:[（(]?\d{1,3}+[）).、．])?+(?P<title>中华人民共和国[\u4e00-\u9fff]{1,40}?(?:法|条例))"
    rf"(?={_WS}*+第{_WS}*+{_N}{{1,12}}+{_WS}*+条)"
)
"""A law at the beginning of a line, named in full, without any marks: 中华人民共和国会计法第三十八条."""
_UNOPENED: Final = re.compile(
    r"[ \t\u3000]*+(?:[（(]?\d{1,3}+[）).、．])?+"
    r"(?!根据|依据|依照|按照|参照|违反|符合|适用|执行)(?P<title>[\u4e00-\u9fff]{2,60}+)(?<=法|例|定|则)》"
)
"""A title at the beginning of a line that lost its opening mark: 食品安全法》."""
_JOINT: Final = re.compile(
    rf"{_WS}*+(?P<word>、|，|,|；|;|以及|及|和|与|或者|或|至|到|—+|[{_TO}])(?:(?<=[、和及与或至到]){_BROKEN}|{_WS}*+)"
)
_RANGE_WORDS: Final = frozenset(_TO)
_LIST_WORDS: Final = frozenset("、和及与或以")
"""After these a place may leave out its 第: 第三十七条、三十八条."""
_ANNEX: Final = re.compile(
    rf"附(?:件|表|录){_WS}*+(?P<no>{_N}{{1,4}}+)?+(?:《[^《》\n]{{1,200}}+》)?+(?:中|的|所列)?+{_WS}*+"
    rf"(?:第{_WS}*+(?P<item>{_N}{{1,9}}+){_WS}*+(?:项|条|号))?"
)
_TAG: Final = re.compile(r"[【\[［](?P<tag>[^【】\[\]［］\n]{1,20})[】\]］][ \t\u3000]*$")
_NUMBERING: Final = rf"(?:[（(]?{_N}{{1,4}}+[）)]|{_N}{{1,4}}+[.．、]|[①-⑳⑴-⒇㈠-㈩])?+"
_LEVELS: Final = "法律|行政法规|地方性法规|部门规章|(?:地方|省级)?政府规章|规章|规范性文件"
_LEVEL_TAG: Final = (
    rf"(?:【[^【】\n]{{1,20}}+】|\[[^\[\]\n]{{1,20}}+\]|［[^［］\n]{{1,20}}+］|[（(](?:{_LEVELS})[）)]"
    rf"|(?:{_LEVELS}){_WS}*+[：:])"
)
"""What kind of law follows: 【法律】, [行政法规], 行政法规："""
_LINE_PLACE: Final = re.compile(rf"{_WS}*+第{_WS}*+{_N}{{1,12}}+{_WS}*+条")
_BLANKS: Final = re.compile(rf"{_WS}*+")
_LINE_GAP: Final = re.compile(r"[ \t\u3000]*+\r?+\n?+[ \t\u3000]*+")
_ONE_LINE_GAP: Final = re.compile(r"[ \t\u3000\u00a0\r]*+\n?+[ \t\u3000\u00a0\r]*+")
_SAYS: Final = re.compile(rf"(?:的?规定|明确|要求)?(?={_WS}*+[：:“])")
_COLON: Final = re.compile(rf"{_WS}*+[：:]?+{_WS}*+\n?+{_WS}*+(?=“)|{_WS}*+[：:]{_WS}*+")
_LAW_AT: Final = re.compile(rf"{_WS}*+{_NUMBERING}{_WS}*+(?:{_LEVEL_TAG})?+[ \t\u3000]*+(?=《)")
_NEXT_LAW: Final = re.compile(rf"{_NUMBERING}{_WS}*+(?:【[^【】\n]{{1,20}}】|(?:{_LEVEL_TAG})?+{_WS}*+《)")
_NEXT_PLACE: Final = re.compile(rf"[ \t\u3000\u00a0、，,；;。]{{0,8}}+(?=第{_WS}*+{_N}{{1,12}}+{_WS}*+条)")
_OPENS_QUOTATION: Final = re.compile(r"(?:的?规定)?[：:“]|[ \t\u3000\u00a0]")
_FURTHER_BRACKET: Final = re.compile(r"以下(?:简称|统称|称)|简称|下同|修正|修订|修改|公布|发布|号")
"""What a second bracket after a title says of the law."""
_OPENS_LINE: Final = re.compile(r"[\s\"“]*+(?:[（(]?\d+[）).、．])?+[\s\"“]*+")
_WHITE: Final = re.compile(r"[\s\u200b\ufeff]+")
_AFTER_TAG: Final = frozenset("】]］ \t\u3000")
_GAPS: Final = frozenset(("", *" \t\r\n\u3000\u00a0"))
_GENERIC: Final = ("条例", "办法", "规定", "细则", "决定", "规则", "意见", "通知", "法")
"""The words a short form may consist of: 《条例》, 同法, 该办法."""
_STOP: Final = re.compile(rf"[《（(\n]|[同该](?:{'|'.join(_GENERIC)})(?={_WS}*+第)")
_CALLED: Final = re.compile(r"以下(?:简称|统称|称)[：:]?[《“\"]?([^《》“”\"，,；;（）()]{1,40})")
_FILLER: Final = re.compile(
    r"(?:<br\s*+/?+>|国务院(?:办公厅)?+|[\u4e00-\u9fff]{1,12}?(?:部|委员会|总局|局|署|人民政府)(?=[《\W]|\Z)|根据|依据|依照|按照|参照|以及|及其|或者|同时|其中|主要|设定|法律|行政|地方性|法规|部门|政府|规章|规范性文件|该|之|现行|有关|相关|规定|办理|执行|实施|制定|等|的"
    r"|和|及|与|或|[一二三四五六七八九十]{1,3}(?:[、.．]|\Z)|[①-⑳⑴-⒇㈠-㈩]|[（(][一二三四五六七八九十\d]{1,3}[）)]|\d{1,3}[、.．)）]?|[^\w])*+"
)
_EDGES: Final = " \t\r\n\u3000\u00a0\u200b\ufeff，,。；;、：:"
_NAMES_EDITION: Final = re.compile(r"通过|公布|发布|颁布|批准|修正|修订|修改|令|公告")
_NAMES_AMENDMENT: Final = re.compile(r"修正|修订|修改")
_YEAR: Final = re.compile(
    r"(?<!\d)(\d{4})\s*年?\s*(?:\d{1,2}\s*月\s*)?(?:第[一二三四五六七八九十]次)?\s*(?:修正|修订|修改|文本|版)"
)
_Y4: Final = r"[0-9０-９〇零一二三四五六七八九]{4}"
_NUMBER_OF_ORDER: Final = re.compile(
    rf"(?:令|公告|通告)\s*+(?:{_Y4}\s*年\s*)?(?:第\s*)?{_N}{{1,8}}+\s*号|(?:{_Y4}\s*年\s*)?第\s*{_N}{{1,8}}+\s*号\s*(?:令|公告|通告)"
)
_NUMBER_OF_DOCUMENT: Final = re.compile(
    rf"[\u4e00-\u9fff]{{1,15}}+\s?[〔［\[(（【]\s*{_Y4}\s*[〕］\])）】]\s*(?:第\s*)?{_N}{{1,6}}+\s*号"
)
_BEFORE_ISSUER: Final = re.compile(
    r"[，,；;。：:》\n]|[\d０-９]\s*[年月日]|(?:通过|批准|发布|公布|颁布|修订|修正|修改|施行|同意)(?=\s)|根据|依据|依照"
)
_DOC_NO: Final = re.compile(
    rf"[\u4e00-\u9fff]{{1,15}}+[〔［\[【]\s*{_Y4}\s*[〕］\]】]\s*(?:第\s*)?{_N}{{1,6}}+\s*号"
    rf"|[\u4e00-\u9fff]{{1,20}}?(?:[ 、][\u4e00-\u9fff]{{2,20}}?){{0,6}}(?:令|公告)\s*(?:{_Y4}\s*年\s*)?第\s*{_N}{{1,8}}+\s*号"
)
_NOT_QUOTED: Final = (
    "的",
    "规定",
    "和",
    "及",
    "以及",
    "、",
    "，",
    ",",
    "；",
    ";",
    "。",
    "或",
    "与",
    "等",
    "所",
    "中",
    "之",
    "（",
    "(",
    "）",
    ")",
    "”",
    '"',
    "至",
    "到",
    "执行",
    "办理",
    "有关",
    "《",
    "【",
    "要求",
    "明确",
    "作出",
)
_ENDS: Final = frozenset(("", "\n"))
_NO_QUOTATION: Final = frozenset(("", *"，,、；;。《"))
_BRACKETS: Final = re.compile(r"[《》（()）“”\n]")
_NO_TITLE: Final = re.compile(r"[，。；：:;,]|条")
_FORM: Final = re.compile(
    r"(?:证|证书|证明|执照|凭证|登记表|申请表|报名表|审批表|序列表|表|目录|名录|记录|保险|申请书|报告书|通知书|承诺书)$"
)
_LEGAL_END: Final = re.compile(
    r"(?:法|法典|条例|办法|规定|决定|细则|规则|规程|规范|标准|通知|意见|公告|解释|批复|方案|命令|通告|制度|章程|公约|协定|修正案|要点|纲要|规划)"
    r"(?:[（(〔][^（）()]*[）)〕])*$"
)


class Place(NamedTuple):
    """One cited place of a law; `to_article` where it is a range of articles. `sub` is 1 for 第X条之一."""

    article: int | None = None
    sub: int | None = None
    paragraph: int | None = None
    item: int | None = None
    subitem: int | None = None
    to_article: int | None = None


class Annex(NamedTuple):
    """An annex as it is numbered (附件2 is "2"; "" where it has no number) with the item cited of it."""

    annex: str | None = None
    item: int | None = None


class Citation(NamedTuple):
    """One mention of a law with its places; a law cited as a whole has none.

    `title` is as written, without white space; `resolved_from` the full title that a short form (or a line that begins
    with 第八条) means, None where it means more than one. `doc_no` is the first document number of the bracket with all
    its issuers; `edition_on` the last day of passing or amending named there, `amended_on` that of amending, `edition_year`
    a year without a day. `span` are the character places in the text read, from the tag or title to the last place;
    `rest` the words after it that were not understood.
    """

    title: str
    span: tuple[int, int]
    is_legal_basis: bool = True
    level_tag: str | None = None
    paren: str | None = None
    doc_no: str | None = None
    edition_on: date | None = None
    amended_on: date | None = None
    edition_year: int | None = None
    articles: tuple[Place, ...] = ()
    annex: Annex | None = None
    quoted: str | None = None
    rest: str | None = None
    resolved_from: str | None = None

    @property
    def full_title(self) -> str:
        """The title it means: a short form's full one where that is known."""
        return self.resolved_from or self.title


class Reading(NamedTuple):
    """What a text cites, and the words before the first citation that were not understood."""

    citations: tuple[Citation, ...]
    rest: str | None = None


class _Head(NamedTuple):
    """A law named in the text: its title and bracket, from the tag or 《 to the end of the bracket or number."""

    title: str
    bracket: tuple[int, int] | None
    tag: str | None
    doc_no: str | None
    start: int
    end: int
    resolved_from: str | None = None
    more: str = ""  # what further brackets say


class _Pairs(NamedTuple):
    """For each opening bracket the place of its closing one; brackets are paired within a line, quotes across lines."""

    titles: dict[int, int]
    rounds: dict[int, int]
    quotes: dict[int, int]


def read_citations(text: str) -> Reading:
    """The citations in `text`, in their order. Titles inside quoted articles and inside brackets are none of their own.

    Never raises, whatever the text; time grows with its length.
    """
    return _Parser(text).read()


def rank(title: str) -> int:
    """The place of a law in the order of bases, high to low, told from its title alone.

    1 法律, 2 行政法规 (国务院决定 with it), 3 地方性法规, 4 部门规章, 5 省级政府规章, 6 other (立法法, DOMAIN 1).
    A local 规定 or 办法 may in truth be passed by a congress: the title does not tell, 5 is then too low.
    """
    bare = re.sub(r"[\s\u200b]+|[（(〔](?:试行|暂行|修订|草案|[^（）()]*年[^（）()]*)[）)〕]$", "", title).strip("《》")
    place = _LOCAL.match(bare) is not None
    if re.search(r"(?<!办)法$|法典$|宪法|修正案(?:[（(].*[）)])?$", bare) and not place:
        return 1
    if bare.startswith("全国人民代表大会") and bare.endswith(("决定", "解释", "规则")):
        return 1
    if bare.endswith("条例") or (place and re.search(r"实施[《〈<].+[》〉>](?:的)?(?:办法|规定|细则)$", bare)):
        return 3 if place else 2
    if bare.startswith("国务院") and not bare.startswith("国务院办公厅") and bare.endswith(("决定", "规定", "办法")):
        return 2
    if bare.startswith("中华人民共和国") and bare.endswith(("法实施细则", "法实施办法", "条例实施办法")):
        return 2
    if bare.endswith(("办法", "规定", "细则", "规则")):
        return 5 if place else 4
    return 6


_PROVINCES: Final = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|"
    "青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|深圳|厦门|珠海|汕头"
)
_LOCAL: Final = re.compile(
    rf"(?:{_PROVINCES})|[\u4e00-\u9fff]{{1,6}}?[\u4e00-\u9fff](?<![直辖城])(?:省|(?<!城)市(?![场政民容话区])|自治区|自治州|自治县)"
    r"(?!以下|级|际)"
)


def local_prefix(title: str) -> str:
    """The place a title begins with (上海市, 辽宁省), "" for a national one."""
    found = _LOCAL.match(title)
    return found[0] if found else ""


def citation_json(citation: Citation) -> dict[str, Any]:
    """A citation as other programs read it; every key is there, null (or empty) where there is none."""
    return {
        "is_legal_basis": citation.is_legal_basis,
        "level_tag": citation.level_tag,
        "title": citation.title,
        "paren": citation.paren,
        "doc_no": citation.doc_no,
        "amended_on": None if citation.amended_on is None else citation.amended_on.isoformat(),
        "edition_year": citation.edition_year,
        "articles": [place._asdict() for place in citation.articles],
        "annex": None if citation.annex is None else citation.annex._asdict(),
        "quoted": citation.quoted,
        "rest": citation.rest,
        "span": list(citation.span),
        "resolved_from": citation.resolved_from,
    }


def format_place(place: Place) -> str:
    """第三十五条第一款第三项, 第四十六条至第四十八条, 第一百二十条之一; 目 in Arabic digits."""
    if place.article is None:
        return ""
    words = [f"第{int_to_chinese(place.article)}条"]
    words.append(f"之{int_to_chinese(place.sub)}" if place.sub else "")
    words.append(f"第{int_to_chinese(place.paragraph)}款" if place.paragraph is not None else "")
    words.append(f"第{int_to_chinese(place.item)}项" if place.item is not None else "")
    words.append(f"第{place.subitem}目" if place.subitem is not None else "")
    words.append(f"至第{int_to_chinese(place.to_article)}条" if place.to_article is not None else "")
    return "".join(words)


def format_annex(annex: Annex) -> str:
    """附件2第37项, 附件第193项, 附件."""
    return f"附件{annex.annex or ''}" + ("" if annex.item is None else f"第{annex.item}项")


def format_citation(citation: Citation) -> str:
    """《…》第五条、第七条第二款, 《…》附件2第37项; a short form with the title it means."""
    inner = citation.full_title.replace("《", "〈").replace("》", "〉").replace("<", "〈").replace(">", "〉")
    annex = "" if citation.annex is None else format_annex(citation.annex)
    return f"《{inner}》" + "、".join(format_place(place) for place in citation.articles) + annex


class _Parser:
    """Goes through the text once; `law` is the law that a line beginning with 第八条 belongs to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pairs = _paired(text)
        self.law: _Head | None = None
        self.known: dict[str, str | None] = {}  # short forms that were introduced, None where two laws share one
        self.ending: dict[str, set[str]] = {}  # full titles by the generic word they end with
        self.last_title: str | None = None
        self.found: list[Citation] = []
        self.rest: str | None = None
        self.unclear = False  # something before was not understood: a short form might mean what stands there
        self.understood = 0  # everything before this place is accounted for
        self.written_out = 0  # places of ranges so far

    def read(self) -> Reading:
        at = self._unopened(0)
        while (mark := _STOP.search(self.text, at)) is not None:
            at = self._at(mark)
            while (here := self._goes_on(at)) is not None:
                at = self._same_law(here)
        self._leave(len(self.text))
        return Reading(citations=tuple(self.found), rest=self.rest)

    def _at(self, mark: re.Match[str]) -> int:
        """Read what begins here; where reading goes on."""
        here = mark.start()
        char = self.text[here]
        if char == "\n":
            if self.law is not None and self._is_line_place(here + 1):
                return self._same_law(here + 1)
            return self._unopened(here + 1)
        if char in "（(":
            # Titles inside a bracket that follows no title: not citations of their own.
            return self.pairs.rounds.get(here, here) + 1 if self._bracket_explains(here) else here + 1
        head = self._head(here) if char == "《" else self._pronoun(mark)
        if head is None:
            return here + 1
        self._leave(head.start)
        if char == "《" and (means := self._short_form(head.title)) is not None:
            head = head._replace(resolved_from=means)
        self.law = head
        return self._take(head, head.end)

    def _same_law(self, at: int) -> int:
        """Read the places that begin here as those of the law named before; where reading goes on."""
        assert self.law is not None
        return self._take(self.law._replace(resolved_from=self.law.resolved_from or self.law.title), at)

    def _goes_on(self, at: int) -> int | None:
        """Where, after a quotation, the next article of the same law begins in the same line; None where none does."""
        if self.text[at : at + 1] in _ENDS:
            return None
        last = self.found[-1] if self.found else None
        if self.law is None or last is None or not last.quoted or not last.articles or at != self.understood:
            return None
        return self._next_place(at, last.articles[-1])

    def _next_place(self, at: int, last: Place) -> int | None:
        """Where a later article than `last` begins with its own quotation: 第二十六条规定：“…”."""
        found = _NEXT_PLACE.match(self.text, at)
        if found is None:
            return None
        before = self.written_out
        places, end = self._places(found.end())
        self.written_out = before  # only looked at
        later = bool(places) and (places[0].article or 0) > (last.to_article or last.article or 0)
        return found.end() if later and _OPENS_QUOTATION.match(self.text, end) else None

    def _unopened(self, at: int) -> int:
        """Read the law at the beginning of a line whose opening mark was lost, or that has none; where reading goes on."""
        if (bare := _UNMARKED.match(self.text, at)) is not None:
            self._leave(bare.start("title"))
            self.law = _Head(bare["title"], None, None, None, *bare.span("title"))
            return self._take(self.law, self.law.end)
        found = _UNOPENED.match(self.text, at)
        if found is None or not _LEGAL_END.search(found["title"]):
            return at
        start, end = found.span("title")
        self._leave(start)
        self.law = self._bracketed(found["title"], None, start, end + 1)
        return self._take(self.law, self.law.end)

    def _leave(self, to: int) -> None:
        """What lies between the last citation and this place was not understood, if it says anything."""
        if to <= self.understood:
            return
        words = self.text[self.understood : to].strip(_EDGES)
        self.understood = to
        if not words or _FILLER.fullmatch(words):
            return
        self.unclear = True
        if self.found:
            self.found[-1] = self.found[-1]._replace(rest=words)
        else:
            self.rest = words

    def _bracket_explains(self, at: int) -> bool:
        """A bracket after words, not a numbering （一） and not one that opens a line and holds the citation itself."""
        close = self.pairs.rounds.get(at)
        before = self.text[at - 1] if at else "\n"
        return close is not None and before not in "\n \u3000。；;：:" and close - at > 5

    def _head(self, at: int) -> _Head | None:
        close = self.pairs.titles.get(at)
        if close is None or close - at > MAX_TITLE or not (title := _WHITE.sub("", self.text[at + 1 : close])):
            return None
        text = self.text
        tag = _TAG.search(text, max(0, at - 30), at) if at and text[at - 1] in _AFTER_TAG else None
        return self._bracketed(title, tag["tag"].strip() if tag else None, tag.start() if tag else at, close + 1)

    def _bracketed(self, title: str, tag: str | None, start: int, end: int) -> _Head:
        """The law with the bracket or document number that follows its title."""
        text, bracket, doc_no = self.text, None, None
        after = self._skip(end, _LINE_GAP) if text[end : end + 1] in _GAPS else end
        closing = self.pairs.rounds.get(after)
        if closing is not None and closing - after <= MAX_BRACKET:
            bracket, end = (after + 1, closing), closing + 1
            more, end = self._further_brackets(end)
            return _Head(title, bracket, tag, doc_no, start, end, None, more)
        elif "\u4e00" <= text[after : after + 1] <= "\u9fff" and (number := _DOC_NO.match(text, after)) is not None:
            doc_no, end = number[0], number.end()
        return _Head(title, bracket, tag, doc_no, start, end)

    def _further_brackets(self, end: int) -> tuple[str, int]:
        """What the brackets that follow the first one say of the law, and where they end: （2019年修正）（以下简称《条例》）."""
        said = ""
        for _ in range(3):
            here = self._skip(end, _BLANKS)
            close = self.pairs.rounds.get(here)
            if close is None or close - here > MAX_TITLE:
                break
            words = self.text[here + 1 : close]
            if not _FURTHER_BRACKET.search(words):
                break
            said, end = f"{said}；{words}", close + 1
        return said, end

    def _pronoun(self, mark: re.Match[str]) -> _Head | None:
        """同法, 该条例 before a place: the law named last, or the only one it can mean."""
        word = mark[0]
        ends = word[1:]
        means = None
        if not self.unclear:
            named_last = word[0] == "同" and self.last_title is not None and _core(self.last_title).endswith(ends)
            means = self.last_title if named_last else self._only(ends)
        return _Head(word, None, None, None, mark.start(), mark.end(), means)

    def _short_form(self, title: str) -> str | None:
        """The full title a short one means: the one it was introduced for (以下简称), or the only one that ends so."""
        if title in self.known:
            return self.known[title]
        return None if title not in _GENERIC or self.unclear else self._only(title)

    def _only(self, ends: str) -> str | None:
        """The single full title named so far that ends with these words."""
        fitting = self.ending.get(ends, set())
        return next(iter(fitting)) if len(fitting) == 1 else None

    def _take(self, head: _Head, at: int) -> int:
        """Record the citation whose places begin here, with the quotation that follows; where reading goes on."""
        further = at != head.end
        start = self._skip(at, _ONE_LINE_GAP) if self.text[at : at + 1] in _GAPS else at
        annex, end = self._annex(start)
        places: list[Place] = []
        if annex is None:
            places, end = self._places(start)
            if places:
                annex, end = self._annex_after(end)
        if not places and annex is None:
            end = at
        last = places[-1] if places else None
        quoted, after = self._quotation(head, end, bool(places or annex), further, last)
        if not places and annex is None and head.bracket is not None and not further:
            places = self._within(head.bracket)
        first = head.start if not further else start if places else at
        self._leave(first)
        paren = None if head.bracket is None or further else self.text[slice(*head.bracket)].strip()
        said = f"{paren or ''}{head.more}" if not further else ""
        events = header_events((said,)) if said else []
        title, means = head.title, head.resolved_from
        self.found.append(
            Citation(
                title,
                (first, end),
                _is_basis(means or title),
                None if further else head.tag,
                paren,
                document_number(said) if said else head.doc_no,
                _dated(events, _NAMES_EDITION) if events else None,
                _dated(events, _NAMES_AMENDMENT) if events else None,
                (_year(said) if said else None) or _year(title),
                tuple(places),
                annex,
                quoted,
                None,
                means,
            )
        )
        if means is None and title not in _GENERIC and not _is_pronoun(title):
            self._name(title, said)
        self.understood = max(after, end, at)
        return self.understood

    def _within(self, bracket: tuple[int, int]) -> list[Place]:
        """The places that a bracket holds and nothing else: 《…》（第七条、第八条）."""
        places, end = self._places(self._skip(bracket[0], _BLANKS))
        return places if self._skip(end, _BLANKS) == bracket[1] else []

    def _name(self, title: str, said: str) -> None:
        """A full title: what its short forms mean from here on, （以下简称《条例》） among them."""
        self.last_title = title
        for word in _endings(title):
            self.ending.setdefault(word, set()).add(title)
        for short in _CALLED.findall(said):
            name = _WHITE.sub("", short)
            # A short form given to two laws means neither for sure.
            self.known[name] = title if self.known.get(name, title) == title else None

    def _skip(self, at: int, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, at)
        return found.end() if found else at

    def _annex(self, at: int) -> tuple[Annex | None, int]:
        found = _ANNEX.match(self.text, at) if self.text[at : at + 1] == "附" else None
        if found is None:
            return None, at
        try:
            item = chinese_to_int(found["item"]) if found["item"] else None
        except ValueError:
            item = None
        return Annex(annex=found["no"], item=item), found.end()

    def _annex_after(self, at: int) -> tuple[Annex | None, int]:
        """An annex cited beside articles: 第三条、附件第35项."""
        if self.text.find("附", at, at + 8) < 0:
            return None, at
        joint = _JOINT.match(self.text, at)
        annex, end = self._annex(joint.end() if joint else at)
        return annex, end if annex else at

    def _is_line_place(self, at: int) -> bool:
        """第八条 at the beginning of a line, followed by a blank, a colon or the end of the line."""
        if _LINE_PLACE.match(self.text, at) is None:
            return False
        places, end = self._places(self._skip(at, _BLANKS))
        following = self.text[end : end + 1]
        return bool(places) and (following == "" or following in ' \t\u3000\u00a0\r\n：:“"')

    def _places(self, at: int) -> tuple[list[Place], int]:
        """The list of places that begins at `at` and where it ends; empty where none begins."""
        text = self.text
        if text[at : at + 1] != "第":
            return [], at
        reader = _PlaceReader(MAX_WRITTEN_OUT_IN_ALL - self.written_out)
        end, joint = at, ""
        if (above := _ABOVE.match(text, at)) is not None:
            at = above.end()
        while (found := _PLACE.match(text, at)) is not None:
            goes_on = found["mark"] or joint in _RANGE_WORDS or (joint and joint in _LIST_WORDS)
            # 第一款（一）、（二）项: an item in brackets needs no 第.
            goes_on = goes_on or (not joint and found["numbers"][0] in "（(" and found["unit"] == "项")
            if not goes_on or not reader.take(found, joint):
                break
            end = found.end()
            following = _JOINT.match(text, end)
            at, joint = (following.end(), following["word"][0]) if following else (self._skip(end, _BLANKS), "")
        self.written_out = MAX_WRITTEN_OUT_IN_ALL - reader.left
        return reader.places, end

    def _quotation(
        self, head: _Head, end: int, placed: bool, further: bool, last: Place | None
    ) -> tuple[str | None, int]:
        """The words quoted after the places (or after the title), and where reading goes on."""
        text = self.text
        if text[end : end + 1] in _NO_QUOTATION:
            return None, end
        here = self._skip(self._skip(end, _SAYS), _COLON)
        if here < len(text) and text[here] == "“" and (close := self.pairs.quotes.get(here)) is not None:
            return text[here + 1 : close].strip(), close + 1
        colon = here > end and text[end:here].strip()[-1:] in ("：", ":")
        blank = text[end : end + 1] in (" ", "\t", "\u3000", "\u00a0")
        here = self._skip(here, _BLANKS)
        if not (colon or (placed and self._runs_on(head, end, here, blank, further))):
            return None, end
        stop = self._boundary(here, last)
        quoted = text[here:stop].strip().strip('“”"')
        return (quoted if _WORD.search(quoted) else None), stop

    def _runs_on(self, head: _Head, end: int, here: int, blank: bool, further: bool) -> bool:
        """The article's text follows with no colon: 第十七条 因特殊情况…, or at once (第五十条从事本法规定的…)."""
        text = self.text
        if here >= len(text) or text[here] == "\n" or text.startswith(_NOT_QUOTED, here):
            return False
        if _PLACE.match(text, here) or _NEXT_LAW.match(text, here):
            return False
        if blank or further:
            return True
        before = max(text.rfind("\n", max(0, head.start - 30), head.start) + 1, head.start - 30)
        return _OPENS_LINE.fullmatch(text, max(0, before), head.start) is not None

    def _boundary(self, at: int, last: Place | None) -> int:
        """Where an open quotation ends: the next line or sentence that begins another citation, else the end.

        `last` is the article that is quoted: a later one of the same law may follow in the same line.
        """
        for found in _SENTENCE_END.finditer(self.text, at):
            if self.text[found.start()] == "\n":
                if self._is_line_place(found.start() + 1) or self._line_law(found.end()):
                    return found.start()
            elif self.text[found.end() : found.end() + 1] in _ENDS:
                continue
            elif self._sentence_law(found.end()) or (
                last is not None and self._next_place(found.end(), last) is not None
            ):
                return found.end()
        return len(self.text)

    def _law_at(self, at: int) -> _Head | None:
        found = _LAW_AT.match(self.text, at)
        head = self._head(found.end()) if found else None
        return head if head is not None and _is_basis(head.title) else None

    def _line_law(self, at: int) -> bool:
        """A new line that names a law: with tag, bracket, place or colon, or alone on its line."""
        head = self._law_at(at)
        if head is None:
            return False
        here = self._skip(head.end, _BLANKS)
        return bool(head.tag or head.bracket or head.doc_no) or self.text[here : here + 1] in ("", *"\n第：:附《")

    def _sentence_law(self, at: int) -> bool:
        """In the same line, after a full stop: a law with its place and then the quotation or the next law."""
        head = self._law_at(at)
        if head is None:
            return False
        places, end = self._places(self._skip(head.end, _BLANKS))
        if not places:
            return bool(head.tag)
        return self.text[end : end + 1] in ("", *"：:“ \u3000\n《。；")


_SENTENCE_END: Final = re.compile(r"[。”；;…]|\n")
_WORD: Final = re.compile(r"[\w…]")
_NUMBER: Final = re.compile(rf"(?P<to>[{_TO}]++第?[（(]?{_WS}*+)?+(?P<number>{_SPACED})")
_UNIT: Final = re.compile(r"[十百千廿卅]")
_CLOSING: Final = re.compile(r"(?:[（(〔][^（）()〔〕]*[）)〕])+$")


class _PlaceReader:
    """Puts 条, 款, 项, 目 together: 第四十七条第二款、第三款 are two places of one article."""

    def __init__(self, left: int) -> None:
        self.places: list[Place] = []
        self.left = left  # how many places of ranges may still be written out

    def take(self, found: re.Match[str], joint: str) -> bool:
        """False where the number cannot be read or does not belong here."""
        written, unit, after = found.group("numbers", "unit", "sub")
        try:
            numbers = _numbers(written)
            sub = chinese_to_int(after) if after else None
        except ValueError:
            return False
        places = self.places
        if joint in _RANGE_WORDS and places:
            return self._range(unit, numbers, sub)
        if unit == "条":
            places += _articles(numbers, sub)
            return True
        if not places or places[-1].to_article is not None:
            return False
        written_out = self._write_out(numbers)
        if written_out is None:
            return False
        last = places[-1]
        if not joint:
            places.pop()
        places += _narrowed(last, unit, written_out)
        return True

    def _range(self, unit: str, numbers: Sequence[_Span], sub: int | None) -> bool:
        last, (end, further) = self.places[-1], numbers[0]
        if further != end:
            return False
        if unit == "条":
            if last.article is None or last.to_article is not None or end <= last.article:
                return False
            self.places[-1] = last._replace(to_article=end)
            self.places += _articles(numbers[1:], sub)
            return True
        begin = {"款": last.paragraph, "项": last.item, "目": last.subitem}[unit]
        written_out = None if begin is None or end <= begin else self._write_out([(begin + 1, end), *numbers[1:]])
        if written_out is None:
            return False
        self.places += _narrowed(last, unit, written_out)
        return True

    def _write_out(self, numbers: Sequence[_Span]) -> list[int] | None:
        """Every paragraph or item of a list with ranges; None where that would be too many."""
        more = sum(last - first for first, last in numbers)
        if more > self.left or any(last - first >= MAX_WRITTEN_OUT for first, last in numbers):
            return None
        self.left -= more
        return [number for first, last in numbers for number in range(first, last + 1)]


_Span = tuple[int, int]


def _articles(numbers: Iterable[_Span], sub: int | None) -> list[Place]:
    return [Place(first, sub, None, None, None, last if last > first else None) for first, last in numbers]


@lru_cache(maxsize=4096)
def _numbers(written: str) -> tuple[_Span, ...]:
    """The numbers of a list, each with the last one it runs to: 三, 三、四, 三至五, （一）（二）. Raises ValueError."""
    found: list[_Span] = []
    for mark in _NUMBER.finditer(written):
        if re.search(r"\s", mark["number"]) and not _UNIT.search(mark["number"]):
            raise ValueError(f"one number or two: {written}")
        number = chinese_to_int(mark["number"])
        if not mark["to"]:
            found.append((number, number))
        elif found[-1][0] == found[-1][1] < number:
            found[-1] = (found[-1][0], number)
        else:
            raise ValueError(f"not a range: {written}")
    return tuple(found)


def _narrowed(place: Place, unit: str, numbers: Iterable[int]) -> list[Place]:
    """The places of the same article (and paragraph, item) with each of these paragraphs, items or subitems."""
    article, sub, paragraph, item, _, to_article = place
    if unit == "款":
        return [Place(article, sub, n, None, None, to_article) for n in numbers]
    if unit == "项":
        return [Place(article, sub, paragraph, n, None, to_article) for n in numbers]
    return [Place(article, sub, paragraph, item, n, to_article) for n in numbers]


def document_number(bracket: str) -> str | None:
    """The first document number of a bracket, with all joint issuers, as written and without the day before it.

    国务院令第412号, 商务部、海关总署公告第50号, 国家税务总局公告2012年第24号, 国发〔2010〕21号.
    """
    order, document = _NUMBER_OF_ORDER.search(bracket), _NUMBER_OF_DOCUMENT.search(bracket)
    if document is not None and (order is None or document.start() < order.start()):
        return document[0].strip()
    if order is None:
        return None
    begin = 0
    for stop in _BEFORE_ISSUER.finditer(bracket, 0, order.start()):
        begin = stop.end()
    return bracket[begin : order.end()].strip(_EDGES)


@lru_cache(maxsize=4096)
def _core(title: str) -> str:
    """A title without its closing brackets: 示例办法（试行） ends with 办法."""
    return _CLOSING.sub("", title)


@lru_cache(maxsize=4096)
def _endings(title: str) -> tuple[str, ...]:
    """The generic words a title ends with: what may be short for it."""
    core = _core(title)
    return tuple(word for word in _GENERIC if core.endswith(word))


def _is_pronoun(title: str) -> bool:
    return title[:1] in "同该" and title[1:] in _GENERIC


def _dated(events: Sequence[tuple[date, str]], named: re.Pattern[str]) -> date | None:
    """The last date of a bracket that goes with these words, not with taking effect."""
    days = [day for day, words in events if named.search(words)]
    return days[-1] if days else None


@lru_cache(maxsize=4096)
def _year(text: str | None) -> int | None:
    """The year of an edition that is named without a day: 2018年修正."""
    found = _YEAR.search(text) if text else None
    return int(found[1]) if found else None


@lru_cache(maxsize=4096)
def _is_basis(title: str) -> bool:
    """A form, certificate or catalogue in 《》 is no legal basis."""
    return bool(_LEGAL_END.search(title)) or not _FORM.search(title)


def _paired(text: str) -> _Pairs:
    """One pass over the text: what closes each 《, （ and “. Brackets do not reach over a line end, a title over one at most."""
    pairs = _Pairs({}, {}, {})
    broken: int | None = None  # the 《 of a title that the line before left open
    titles: list[int] = []
    rounds: list[int] = []
    quotes: list[int] = []
    for mark in _BRACKETS.finditer(text):
        char, at = mark[0], mark.start()
        if char == "\n":
            broken = titles[0] if len(titles) == 1 else None
            titles.clear()
            rounds.clear()
        elif char in "《（(“":
            broken = None if char == "《" else broken
            (titles if char == "《" else quotes if char == "“" else rounds).append(at)
        else:
            stack, found = {"》": (titles, pairs.titles), "”": (quotes, pairs.quotes)}.get(char, (rounds, pairs.rounds))
            if stack:
                found[stack.pop()] = at
            elif char == "》" and broken is not None:
                if at - broken <= MAX_BROKEN and not _NO_TITLE.search(text, broken, at):
                    pairs.titles[broken] = at
                broken = None
    return pairs
