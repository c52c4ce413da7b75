"""Citations of laws in the text of a legal basis (设定依据): which law, which version, which articles.

Titles, brackets with document number and dates, articles with paragraph (款), item (项), subitem (目), lists and ranges,
annexes, the quoted text; short forms (《条例》, 同法) are traced to the full citation they can only mean. What was not
understood is returned as `rest`, never guessed. All scans are linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from models.domain.law_text import header_events
from models.domain.numerals import NUMERAL_CHARS, chinese_to_int, int_to_chinese

MAX_WRITTEN_OUT: Final = 50
"""A range of paragraphs or items (第一项至第三项) is written out up to this length."""

_N: Final = f"[{NUMERAL_CHARS}]"
_WS: Final = r"[ \t\u3000\u00a0\u200b\r]"
_NUMBERS: Final = (
    rf"(?:{_N}{{1,12}}+(?:[、,，]{_N}{{1,12}}+)*+|(?:[（(]{_WS}*+{_N}{{1,4}}+{_WS}*+[）)](?:[、,，](?=[（(]))?+)++)"
)
_PLACE: Final = re.compile(
    rf"(?P<mark>第?){_WS}*+(?P<numbers>{_NUMBERS}){_WS}*+(?P<unit>条|款|项|目)(?:之(?P<sub>{_N}{{1,3}}+)(?!{_N}*[条款项目]))?"
)
_JOINT: Final = re.compile(rf"{_WS}*+(?P<word>、|，|,|以及|及|和|与|或者|或|至|到|—+|－|～|-){_WS}*+")
_RANGE_WORDS: Final = frozenset("至到－～-—")
_ANNEX: Final = re.compile(
    rf"附(?:件|表|录){_WS}*(?:{_N}{{1,4}})?(?:《[^《》\n]{{1,200}}》)?{_WS}*(?:第{_WS}*{_N}{{1,9}}{_WS}*(?:项|条|号))?"
)
_TAG: Final = re.compile(r"【(?P<tag>[^【】\n]{1,20})】[ \t\u3000]*$")
_NUMBERING: Final = rf"(?:[（(]?{_N}{{1,4}}[）)]|{_N}{{1,4}}[.．、])?"
_LINE_PLACE: Final = re.compile(rf"{_WS}*第{_WS}*{_N}{{1,12}}{_WS}*条")
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
_BRACKETS: Final = re.compile(r"[《》（()）“”\n]")
_FORM: Final = re.compile(
    r"(?:证|证书|证明|执照|凭证|登记表|申请表|报名表|审批表|序列表|表|目录|名录|记录|保险|申请书|报告书|通知书|承诺书)$"
)
_LEGAL_END: Final = re.compile(
    r"(?:法|法典|条例|办法|规定|决定|细则|规则|规程|规范|标准|通知|意见|公告|解释|批复|方案|命令|通告|制度|章程|公约|协定|修正案|要点|纲要|规划)"
    r"(?:[（(〔][^（）()]*[）)〕])*$"
)


class Place(BaseModel):
    """One cited place of a law; `to_article` where it is a range of articles. `sub` is 1 for 第X条之一."""

    model_config = ConfigDict(frozen=True)

    article: int | None = None
    sub: int | None = None
    paragraph: int | None = None
    item: int | None = None
    subitem: int | None = None
    to_article: int | None = None


class Annex(BaseModel):
    """An annex as it is numbered (附件2 is "2"; "" where it has no number) with the item cited of it."""

    model_config = ConfigDict(frozen=True)

    annex: str | None = None
    item: int | None = None


class Citation(BaseModel):
    """One mention of a law with its places; a law cited as a whole has none.

    `title` is as written, without white space; `resolved_from` the full title that a short form (or a line that begins
    with 第八条) means, None where it means more than one. `doc_no` is the first document number of the bracket with all
    its issuers; `edition_on` the last day of passing or amending named there, `amended_on` that of amending, `edition_year`
    a year without a day. `span` are the character places in the text read, from the tag or title to the last place;
    `rest` the words after it that were not understood.
    """

    model_config = ConfigDict(frozen=True)

    title: str
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
    span: tuple[int, int]

    @property
    def full_title(self) -> str:
        """The title it means: a short form's full one where that is known."""
        return self.resolved_from or self.title


class Reading(BaseModel):
    """What a text cites, and the words before the first citation that were not understood."""

    model_config = ConfigDict(frozen=True)

    citations: tuple[Citation, ...]
    rest: str | None = None


class _Head(NamedTuple):
    """A law named in the text: its title and bracket, from the tag or 《 to the end of the bracket."""

    title: str
    paren: str | None
    tag: str | None
    start: int
    end: int


class _Place(NamedTuple):
    article: int | None
    sub: int | None
    paragraph: int | None
    item: int | None
    subitem: int | None
    to_article: int | None
    start: int
    end: int


class _Pairs(NamedTuple):
    """For each opening bracket the place of its closing one; brackets are paired within a line, quotes across lines."""

    titles: dict[int, int]
    rounds: dict[int, int]
    quotes: dict[int, int]


def parse_citations(text: str) -> list[Citation]:
    """The citations in `text`, in their order. Titles inside quoted articles and inside brackets are none of their own."""
    return list(_Parser(text).run())


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


def format_citation(citation: Citation) -> str:
    """《…》第三十五条第一款第三项, 第四十六条至第四十八条, 第一百二十条之一; 目 in Arabic digits, annex as printed."""
    inner = citation.title.replace("《", "〈").replace("》", "〉").replace("<", "〈").replace(">", "〉")
    words = [f"《{inner}》"]
    if citation.article is not None:
        words.append(f"第{int_to_chinese(citation.article)}条")
        words.append(f"之{int_to_chinese(citation.sub)}" if citation.sub else "")
    words.append(f"第{int_to_chinese(citation.paragraph)}款" if citation.paragraph is not None else "")
    words.append(f"第{int_to_chinese(citation.item)}项" if citation.item is not None else "")
    words.append(f"第{citation.subitem}目" if citation.subitem is not None else "")
    words.append(f"至第{int_to_chinese(citation.to_article)}条" if citation.to_article is not None else "")
    words.append(citation.annex or "")
    return "".join(words)


class _Parser:
    """Goes through the text once; `law` is the law that a line beginning with 第八条 belongs to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pairs = _paired(text)
        self.law: _Head | None = None
        self.stops = re.compile(r"[《（(\n]")

    def run(self) -> Iterator[Citation]:
        at = 0
        if self._is_line_place(0):
            at = 0  # articles before any title belong to no law that is named here
        while (mark := self.stops.search(self.text, at)) is not None:
            here = mark.start()
            char = self.text[here]
            if char == "\n":
                at = here + 1
                if self.law is not None and self._is_line_place(at):
                    found, at = self._read(self.law, at, further=True)
                    yield from found
            elif char in "（(":
                # Titles inside a bracket that follows no title: not citations of their own.
                at = self.pairs.rounds.get(here, here) + 1 if self._bracket_explains(here) else here + 1
            elif (head := self._head(here)) is not None:
                self.law = head
                found, at = self._read(head, head.end, further=False)
                yield from found
            else:
                at = here + 1

    def _bracket_explains(self, at: int) -> bool:
        """A bracket after words, not a numbering （一） and not one that opens a line and holds the citation itself."""
        close = self.pairs.rounds.get(at)
        before = self.text[at - 1] if at else "\n"
        return close is not None and before not in "\n \u3000。；;：:" and close - at > 5

    def _head(self, at: int) -> _Head | None:
        close = self.pairs.titles.get(at)
        title = "" if close is None else re.sub(r"[\s\u200b\ufeff]+", "", self.text[at + 1 : close])
        if close is None or not title:
            return None
        tag = _TAG.search(self.text, max(0, at - 30), at)
        end, paren = close + 1, None
        after = self._skip(end, r"[ \t\u3000]*\r?\n?[ \t\u3000]*")
        closing = self.pairs.rounds.get(after)
        if closing is not None:
            paren, end = self.text[after + 1 : closing].strip(), closing + 1
        return _Head(title, paren, tag["tag"].strip() if tag else None, tag.start() if tag else at, end)

    def _skip(self, at: int, pattern: str) -> int:
        found = re.compile(pattern).match(self.text, at)
        return found.end() if found else at

    def _read(self, head: _Head, at: int, further: bool) -> tuple[list[Citation], int]:
        """The places after a title (or at the beginning of a line), with the quotation that follows them."""
        start = self._skip(at, r"[ \t\u3000\u00a0\r]*\n?[ \t\u3000\u00a0\r]*")
        annex, end = self._annex(start)
        places: list[_Place] = []
        if annex is None:
            places, end = self._places(start)
        if not places and annex is None:
            end = at
        quoted, after = self._quotation(head, at, end, bool(places or annex), further)
        first = head.start if not further else (places[0].start if places else at)
        common: dict[str, Any] = {
            "title": head.title,
            "edition_on": _edition(head.paren),
            "paren": head.paren,
            "level_tag": head.tag,
            "is_legal_basis": _is_basis(head.title),
            "quoted": quoted,
            "annex": annex,
        }
        if not places:
            return [Citation(**common, span=(first, end))], max(after, end, at)
        found = []
        for index, place in enumerate(places):
            span = (first if index == 0 else place.start, place.end)
            found.append(Citation(**common, **place._asdict() | {"start": None, "end": None}, span=span))
        return found, max(after, end, at)

    def _annex(self, at: int) -> tuple[str | None, int]:
        found = _ANNEX.match(self.text, at)
        if found is None:
            return None, at
        return re.sub(r"\s+", "", found[0]), found.end()

    def _is_line_place(self, at: int) -> bool:
        """第八条 at the beginning of a line, followed by a blank, a colon or the end of the line."""
        if _LINE_PLACE.match(self.text, at) is None:
            return False
        places, end = self._places(self._skip(at, r"[ \t\u3000\u00a0\r]*"))
        following = self.text[end : end + 1]
        return bool(places) and (following == "" or following in ' \t\u3000\u00a0\r\n：:“"')

    def _places(self, at: int) -> tuple[list[_Place], int]:
        """The list of places that begins at `at` and where it ends; empty where none begins."""
        reader = _PlaceReader()
        end, joint = at, ""
        while (found := _PLACE.match(self.text, at)) is not None:
            bare_ok = joint in _RANGE_WORDS if joint else False
            if (not found["mark"] and not bare_ok) or not reader.take(found, joint):
                break
            end = found.end()
            following = _JOINT.match(self.text, end)
            at, joint = (following.end(), following["word"][0]) if following else (end, "")
        return reader.done(), end

    def _quotation(self, head: _Head, at: int, end: int, placed: bool, further: bool) -> tuple[str | None, int]:
        """The words quoted after the places (or after the title), and where reading goes on."""
        text = self.text
        here = self._skip(end, rf"(?:的?规定|明确|要求)?(?={_WS}*[：:“])")
        here = self._skip(here, rf"{_WS}*[：:]?{_WS}*\n?{_WS}*(?=“)|{_WS}*[：:]{_WS}*")
        if here < len(text) and text[here] == "“" and (close := self.pairs.quotes.get(here)) is not None:
            return text[here + 1 : close].strip(), close + 1
        colon = here > end and text[end:here].strip()[-1:] in ("：", ":")
        blank = text[end : end + 1] in (" ", "\t", "\u3000", "\u00a0")
        here = self._skip(here, rf"{_WS}*")
        if not (colon or (placed and self._runs_on(head, end, here, blank, further))):
            return None, end
        stop = self._boundary(here)
        return text[here:stop].strip().strip('“”"') or None, stop

    def _runs_on(self, head: _Head, end: int, here: int, blank: bool, further: bool) -> bool:
        """The article's text follows with no colon: 第十七条 因特殊情况…, or at once (第五十条从事本法规定的…)."""
        text = self.text
        if here >= len(text) or text[here] == "\n" or text.startswith(_NOT_QUOTED, here):
            return False
        if _PLACE.match(text, here) or _next_law(text, here):
            return False
        before = text.rfind("\n", 0, head.start) + 1
        opens_line = further or not re.sub(r"[\s\"“]|^[（(]?\d+[）).、．]", "", text[before : head.start])
        return blank or opens_line

    def _boundary(self, at: int) -> int:
        """Where an open quotation ends: the next line or sentence that begins another citation, else the end."""
        for found in _SENTENCE_END.finditer(self.text, at):
            if self.text[found.start()] == "\n":
                if self._is_line_place(found.start() + 1) or self._line_law(found.end()):
                    return found.start()
            elif self._sentence_law(found.end()):
                return found.end()
        return len(self.text)

    def _law_at(self, at: int) -> tuple[_Head | None, int]:
        start = self._skip(at, rf"{_WS}*{_NUMBERING}{_WS}*(?:【[^【】\n]{{1,20}}】)?[ \t\u3000]*")
        return (self._head(start), at) if self.text[start : start + 1] == "《" else (None, at)

    def _line_law(self, at: int) -> bool:
        """A new line that names a law: with tag, bracket, place or colon, or alone on its line."""
        head, _ = self._law_at(at)
        if head is None or not _is_basis(head.title):
            return False
        following = self.text[self._skip(head.end, rf"{_WS}*") :][:1]
        return bool(head.tag or head.paren) or following in ("", "\n", "第", "：", ":", "附", "《")

    def _sentence_law(self, at: int) -> bool:
        """In the same line, after a full stop: a law with its place and then the quotation or the next law."""
        head, _ = self._law_at(at)
        if head is None or not _is_basis(head.title):
            return False
        places, end = self._places(self._skip(head.end, rf"{_WS}*"))
        if not places:
            return bool(head.tag)
        return self.text[end : end + 1] in ("", "：", ":", "“", " ", "\u3000", "\n", "《", "。", "；")


_SENTENCE_END: Final = re.compile(r"[。”；;]|\n")


def _next_law(text: str, at: int) -> bool:
    return re.compile(rf"{_NUMBERING}{_WS}*(?:【[^【】\n]{{1,20}}】|《)").match(text, at) is not None


class _PlaceReader:
    """Puts 条, 款, 项, 目 together: 第四十七条第二款、第三款 are two places of one article."""

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self.fresh = False  # the last place may still be narrowed by a 款, 项 or 目 that follows without a joint

    def done(self) -> list[_Place]:
        return self.places

    def take(self, found: re.Match[str], joint: str) -> bool:
        """False where the number cannot be read or does not belong here."""
        try:
            numbers = [chinese_to_int(part) for part in re.findall(rf"{_N}+", found["numbers"])]
            sub = chinese_to_int(found["sub"]) if found["sub"] else None
        except ValueError:
            return False
        unit, span = found["unit"], found.span()
        if joint in _RANGE_WORDS and joint and self.places:
            return self._range(unit, numbers, sub, span)
        if unit == "条":
            self.places += [_Place(n, sub, None, None, None, None, *span) for n in numbers]
            return True
        if not self.places or self.places[-1].to_article is not None:
            return False
        last = self.places[-1]
        narrowed = [_narrowed(last, unit, number, span) for number in numbers]
        if not joint:
            narrowed[0] = narrowed[0]._replace(start=last.start)
            self.places.pop()
        self.places += narrowed
        return True

    def _range(self, unit: str, numbers: list[int], sub: int | None, span: tuple[int, int]) -> bool:
        last = self.places[-1]
        if unit == "条":
            if last.article is None or last.to_article is not None or numbers[0] <= last.article:
                return False
            self.places[-1] = last._replace(to_article=numbers[0], end=span[1])
            self.places += [_Place(n, sub, None, None, None, None, *span) for n in numbers[1:]]
            return True
        begin = {"款": last.paragraph, "项": last.item, "目": last.subitem}[unit]
        if begin is None or not 0 < numbers[0] - begin <= MAX_WRITTEN_OUT:
            return False
        self.places += [_narrowed(last, unit, n, span) for n in range(begin + 1, numbers[0] + 1)]
        return True


def _narrowed(last: _Place, unit: str, number: int, span: tuple[int, int]) -> _Place:
    """The place of the same article (and paragraph, item) with this paragraph, item or subitem."""
    place = last._replace(start=span[0], end=span[1])
    if unit == "款":
        return place._replace(paragraph=number, item=None, subitem=None)
    if unit == "项":
        return place._replace(item=number, subitem=None)
    return place._replace(subitem=number)


def _edition(paren: str | None) -> date | None:
    """The last date of the bracket that goes with passing, publishing or amending, not with taking effect."""
    if not paren:
        return None
    named = [
        day
        for day, words in header_events((paren,))
        if re.search(r"通过|公布|发布|颁布|批准|修正|修订|修改|令|公告", words)
    ]
    return named[-1] if named else None


def _is_basis(title: str) -> bool:
    """A form, certificate or catalogue in 《》 is no legal basis."""
    return bool(_LEGAL_END.search(title)) or not _FORM.search(title)


def _paired(text: str) -> _Pairs:
    """One pass over the text: what closes each 《, （ and “. Titles and brackets do not reach over a line end."""
    pairs = _Pairs({}, {}, {})
    titles: list[int] = []
    rounds: list[int] = []
    quotes: list[int] = []
    for mark in _BRACKETS.finditer(text):
        char, at = mark[0], mark.start()
        if char == "\n":
            titles.clear()
            rounds.clear()
        elif char in "《（(“":
            (titles if char == "《" else quotes if char == "“" else rounds).append(at)
        else:
            stack, found = {"》": (titles, pairs.titles), "”": (quotes, pairs.quotes)}.get(char, (rounds, pairs.rounds))
            if stack:
                found[stack.pop()] = at
    return pairs
