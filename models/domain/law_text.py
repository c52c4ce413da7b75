"""The text of a law, read into its articles.

Two Markdown styles of published law are read (`**第一条**　…` and `第一条 …`, with or without `<!-- INFO END -->`),
and plain text of the same layout. What is stored is the exact text; only Markdown marks and the 第X条 head are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from models.domain.errors import BadInput
from models.domain.numerals import NUMERAL_CHARS, article_name, chinese_to_int

_N: Final = f"[{NUMERAL_CHARS}]"
_BLANK: Final = " \t\u3000\u00a0\u200b\ufeff"
_HEAD: Final = re.compile(
    rf"(?:#{{1,6}}[{_BLANK}]*)?(?P<bold>\*\*|__)?第[{_BLANK}]*(?P<no>{_N}{{1,12}})[{_BLANK}]*条(?:之(?P<sub>{_N}{{1,3}}))?"
    rf"(?:\*\*|__)?(?P<gap>[{_BLANK}：:]*)(?:\*\*|__)?(?P<rest>.*)"
)
_DIVISION: Final = re.compile(
    rf"[#*{_BLANK}]*第{_N}{{1,9}}[{_BLANK}]*(?:编|分编|章|节)(?:[{_BLANK}*].{{0,60}}|[^，。；：、的]{{0,30}})?$"
)
_NUMBERED: Final = re.compile(rf"第{_N}{{1,9}}[{_BLANK}]*(?P<unit>分编|编|章|节)")
_BLANKS: Final = re.compile(rf"[{_BLANK}]+")
_BETWEEN: Final = re.compile(rf"(?<=[^\x00-\x7f])[{_BLANK}]+(?=[^\x00-\x7f])")
_DIVISION_WORD: Final = re.compile(rf"[#*{_BLANK}]*(?:附[{_BLANK}]*则|总[{_BLANK}]*则)[*{_BLANK}]*$")
_CONTENTS: Final = re.compile(rf"[#*{_BLANK}]*目[{_BLANK}]*[录次][*{_BLANK}]*$")
_ANNEX: Final = re.compile(
    rf"[#*{_BLANK}]*附[{_BLANK}]*(?:[件表录图](?:{_N}{{1,4}}|[{_BLANK}*]*$|[{_BLANK}：:])|[：:])"
)
_HEADING: Final = re.compile(rf"#{{1,6}}[{_BLANK}]*(?P<text>.+)$")
_INFO_END: Final = re.compile(r"<!--\s*INFO END\s*-->")
_CONTENTS_LINK: Final = re.compile(r"\[[^\[\]\n]{0,200}+\]\(#[^()\n]{0,200}+\)")
_FILE_DATE: Final = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_TEXT_DATE: Final = re.compile(
    rf"(?P<y>[{NUMERAL_CHARS}]{{4,6}})\s*年\s*(?P<m>{_N}{{1,3}})\s*月\s*(?P<d>{_N}{{1,3}})\s*日"
)
_EVENT: Final = re.compile(r"通过|公布|发布|颁布|修正|修订|修改|批准|令")
_AMENDS: Final = re.compile(r"修正|修订|修改")
_PUBLISHED: Final = re.compile(r"公布|发布|颁布|令")
_BY_DECISION: Final = re.compile(r"修正|修改")
_IN_FORCE_ON: Final = re.compile(
    rf"自\s*(?P<date>{_N}{{4,6}}\s*年\s*{_N}{{1,3}}\s*月\s*{_N}{{1,3}}\s*日)\s*起\s*(?:正式)?(?:施行|实施|执行|生效)"
)
_IN_FORCE_AT_ONCE: Final = re.compile(r"自(?:公布|发布|颁布|通过)之日起(?:施行|实施|执行|生效)")
_AMENDED_ALONE: Final = re.compile(r"关于修改[〈《<](?P<title>[^〈〉《》<>]{2,80})[〉》>]的决定")
_DECISION: Final = re.compile(
    r"[#*\s]*[^。；，“”第]{0,60}关于修改[〈《<][^。；]{2,80}[〉》>][^。；，]{0,20}的?决定[*\s]*$"
)
"""The heading of an amending decision."""
_RENAMED_FROM: Final = 60.0  # how alike, 0 to 100, a law's former title and its present one must be
_SELF: Final = re.compile(r"本(?:法|条例|规定|办法|细则|决定|规则|规程|章程|准则|解释|通则|标准|暂行条例|实施细则)")
_ITEM: Final = re.compile(rf"[{_BLANK}]*(?:[（(〔]{_N}{{1,4}}[）)〕]|[0-9０-９]{{1,2}}[.．、])")
_NAMED: Final = re.compile(r"《([^《》\n]{2,100})》")
_TITLE_NOISE: Final = re.compile(r"[\s\u200b\ufeff《》〈〉<>「」]+")

Certainty = Literal["certain", "uncertain"]


class Article(BaseModel):
    """One article. `sub` is 0 unless it is a 第X条之一; paragraphs in `text` are separated by a newline.

    `division` are the headings it stands under, the outermost first: 第二编 物权, 第一分编 通则, 第一章 一般规定.
    """

    model_config = ConfigDict(frozen=True)

    no: int
    sub: int = 0
    text: str
    division: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        """What it is known by within its text: number and sub-number."""
        return self.no, self.sub

    @property
    def name(self) -> str:
        """第一百二十条之一."""
        return article_name(self.no, self.sub)


class LawText(BaseModel):
    """One dated version of a law. `certainty` says whether `effective_on` can be relied on.

    `dated_by_force`: the text names no day but the one on which it takes effect, which stands for the day of the version.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    edition_on: date
    promulgated_on: date | None
    effective_on: date | None
    certainty: Certainty
    header: tuple[str, ...]
    articles: tuple[Article, ...]
    dated_by_force: bool = False


def read_law(text: str, file_name: str) -> LawText:
    """The law in `text`; the edition is the date in `file_name`, else the last passing or amending date of its header.

    Raises BadInput `law_without_articles` or `law_without_date`.
    """
    title, header, body = _split(text, file_name)
    body, decision = _without_decision(body)
    articles = _articles(body)
    if not articles:
        raise BadInput(
            "law_without_articles", f"《{title}》中没有识别出条文，未导入。请检查文件是否完整。", title=title
        )
    events = header_events(header)
    edition_on = _date_in_name(file_name) or _last_date(events)
    if edition_on is None:
        raise BadInput(
            "law_without_date",
            f"《{title}》没有写明文本日期，未导入。请在文件名（JSONL 为该条记录的 version_date）中写明日期，例如 {title}(2024-01-31).md。",
            title=title,
        )
    published = [day for day, words in events if _PUBLISHED.search(words) and day <= edition_on]
    effective_on, certainty = _effective(articles, events, edition_on)
    if (day := _effective_in("\n".join(decision), edition_on)) is not None and day >= edition_on:
        effective_on, certainty = day, "certain"
    return LawText(
        title=title,
        edition_on=edition_on,
        promulgated_on=max(published, default=None),
        effective_on=effective_on,
        certainty=certainty,
        header=tuple(header),
        articles=tuple(articles),
    )


def canonical_title(title: str) -> str:
    """The title for matching: no white space, no 《》〈〉, no leading 中华人民共和国; full-width brackets.

    实施条例, 实施细则 and a province's name stay, so that they are never taken for the law itself.
    """
    bare = _TITLE_NOISE.sub("", title).replace("(", "（").replace(")", "）")
    short = bare.removeprefix("中华人民共和国")
    return short or bare


def titles_named(text: str) -> list[str]:
    """The titles between 《 and 》 in a text, each once, in their form for matching."""
    return list(dict.fromkeys(canonical_title(title) for title in _NAMED.findall(text)))


def paragraphs(article: Article) -> list[str]:
    """The paragraphs (款) of an article; items (（一）, 1.) stay with the paragraph they belong to, after a newline."""
    found: list[str] = []
    for line in article.text.split("\n"):
        if found and _ITEM.match(line):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def header_events(header: list[str] | tuple[str, ...]) -> list[tuple[date, str]]:
    """Each date of a header with the words that follow it, in their order: (2010-04-29, 第…次会议第一次修订)."""
    text = "\n".join(header)
    marks = list(_TEXT_DATE.finditer(text))
    bounds = [mark.start() for mark in marks] + [len(text)]
    dated = ((_to_date(mark), text[mark.end() : bounds[i + 1]]) for i, mark in enumerate(marks))
    return [(day, words) for day, words in dated if day is not None]


def former_titles(title: str, header: Sequence[str]) -> list[str]:
    """The titles a law had before, oldest first, as its own history names them: a decision that amends 〈…〉 alone amended
    this law under that name. A decision on several laws (等八部法律, 〈…〉、〈…〉) and one whose law is named quite
    differently (one decision may change a second law) prove nothing.
    """
    own = canonical_title(title)
    named = dict.fromkeys(canonical_title(mark["title"]) for mark in _AMENDED_ALONE.finditer("".join(header)))
    others = [one for one in named if one != own and one[-2:] == own[-2:]]
    if not others:
        return []
    from rapidfuzz import fuzz  # 30 ms that only the few laws with another title in their history should cost

    return [one for one in others if fuzz.ratio(one, own) >= _RENAMED_FROM]


def missing_editions(header: Sequence[str], held: Iterable[date]) -> list[date]:
    """The days a text's own history names as amendments that the library has no text of (a few days apart count as held)."""
    days = sorted({day for day, words in header_events(list(header)) if _AMENDS.search(words)})
    known = list(held)
    return [day for day in days if not any(abs((day - one).days) <= 7 for one in known)]


def shelf(rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """The library as it is listed, from rows of id, title, canonical title, edition (a day or None) and header, by law and day.

    Each law: id, title, canonical, `editions` held, `missing` ones that the history of its newest text names
    (YYYY-MM-DD, oldest first), and `formerly`, the titles it had before.
    """
    found: dict[str, dict[str, Any]] = {}
    held: dict[str, list[tuple[date, str]]] = {}
    for law_id, title, canonical, edition, header in rows:
        found.setdefault(law_id, {"id": law_id, "title": title, "canonical": canonical})
        held.setdefault(law_id, [])
        if edition is not None:
            held[law_id].append((edition, header or ""))
    for law_id, entry in found.items():
        days = [day for day, _ in held[law_id]]
        lacking = missing_editions(held[law_id][-1][1].split("\n"), days) if days else []
        entry |= {"editions": [day.isoformat() for day in days], "missing": [day.isoformat() for day in lacking]}
        entry["formerly"] = former_titles(entry["title"], held[law_id][-1][1].split("\n")) if days else []
    return list(found.values())


def date_in_text(text: str) -> date | None:
    """The first date of the form 2024年2月27日 or 二〇二四年二月二十七日, None where there is none."""
    mark = _TEXT_DATE.search(text)
    return _to_date(mark) if mark else None


def _to_date(mark: re.Match[str]) -> date | None:
    try:
        return date(chinese_to_int(mark["y"]), chinese_to_int(mark["m"]), chinese_to_int(mark["d"]))
    except ValueError:
        return None


def _split(text: str, file_name: str) -> tuple[str, list[str], list[str]]:
    """Title, header lines (passing and amendments) and the lines from the first division or article on."""
    whole = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    marked = _INFO_END.split(whole, maxsplit=1)
    head_lines = _plain_lines(marked[0])
    title = _title(head_lines, file_name)
    if len(marked) == 2:
        return title, _header(head_lines, title), _plain_lines(marked[1])
    start = next((i for i, line in enumerate(head_lines) if _starts_body(line)), len(head_lines))
    return title, _header(head_lines[:start], title), head_lines[start:]


def _plain_lines(text: str) -> list[str]:
    lines = (_CONTENTS_LINK.sub("", line).strip(_BLANK) for line in _without_comments(text).split("\n"))
    return [line for line in lines if line and line != "***"]


def _without_comments(text: str) -> str:
    """The text without <!-- … -->; one that is never closed stays. Found by hand: a pattern looks to the end from each."""
    parts, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        parts.append(text[at:begin])
        at = end + 3
    return "".join([*parts, text[at:]])


def _starts_body(line: str) -> bool:
    head = _HEAD.match(line)
    if head is None:
        return bool(_CONTENTS.match(line) or _DIVISION.match(line))
    # 第一条为了…, with no blank after the number, opens a text as well; nothing of a header begins so.
    first = head["no"] in {"一", "1", "１"} and not head["sub"]
    return bool(head["bold"] or head["gap"] or not head["rest"] or first)


def _title(lines: list[str], file_name: str) -> str:
    headings = [m["text"].strip("*" + _BLANK) for line in lines if (m := _HEADING.match(line)) and line[:2] != "##"]
    plain = [line.strip("#*" + _BLANK) for line in lines if not _starts_body(line)]
    stem = re.sub(r"[（(]?\d{4}-\d{1,2}-\d{1,2}[)）]?", "", PurePath(file_name).stem).strip(_BLANK + "_-")
    return next((name for name in [*headings, *plain[:1], stem] if name), file_name)


def _header(lines: list[str], title: str) -> list[str]:
    cleaned = (line.strip("#*" + _BLANK) for line in lines)
    return [line for line in cleaned if line and line != title]


def _articles(lines: list[str]) -> list[Article]:
    """The articles in their order; an appended second text (numbering begins again) and annexes are left out."""
    found: list[tuple[int, int, list[str], tuple[str, ...]]] = []
    seen: set[tuple[int, int]] = set()
    above: list[tuple[int, str]] = []
    collecting = opened = False
    for line in lines:
        head = _article_head(line, found[-1][0] if found else 0)
        if head is not None:
            no, sub, rest = head
            if no == 1 and not sub and found:
                break
            collecting = True
            if (no, sub) not in seen:
                seen.add((no, sub))
                found.append((no, sub, [rest] if rest else [], tuple(heading for _, heading in above)))
                continue
        division = _DIVISION.match(line) or _DIVISION_WORD.match(line)
        if division or _CONTENTS.match(line):
            if division:
                level, heading = _heading(line)
                above = [*(entry for entry in above if entry[0] < level), (level, heading)]
            opened = bool(division) and line.startswith("#")
            collecting = collecting and not line.startswith("#")  # a long heading may go on in the next line
            continue
        if _ANNEX.match(line) or _HEADING.match(line):
            collecting = False
        elif collecting:
            found[-1][2].append(_unmarked(line))
        elif opened and "。" not in line:
            above[-1] = (above[-1][0], above[-1][1] + _BETWEEN.sub("", _unmarked(line)))
        opened = False
    return [
        Article(no=no, sub=sub, text="\n".join(parts), division=division) for no, sub, parts, division in found if parts
    ]


def _without_decision(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines of the law itself, and those of an amending decision that stands after it."""
    begun = False
    for at, line in enumerate(lines):
        begun = begun or _HEAD.match(line) is not None
        if begun and _DECISION.match(line):
            return lines[:at], lines[at:]
    return lines, []


def _heading(line: str) -> tuple[int, str]:
    """How deep a heading of a division stands (编 0, 分编 1, 章 2, 节 3), and its words: 第一章 总则. 附则 stands highest."""
    words = _unmarked(line).strip("#" + _BLANK)
    numbered = _NUMBERED.match(words)
    if numbered is None:
        return 0, _BLANKS.sub("", words)
    level = ("编", "分编", "章", "节").index(numbered["unit"])
    number, name = _BLANKS.sub("", numbered[0]), _BETWEEN.sub("", words[numbered.end() :].strip(_BLANK))
    return level, f"{number} {name}".strip()


def _article_head(line: str, last: int) -> tuple[int, int, str] | None:
    """Number, sub-number and rest of a line that opens an article; 第三条规定的… inside an article opens none."""
    head = _HEAD.match(line)
    if head is None:
        return None
    try:
        no, sub = chinese_to_int(head["no"]), chinese_to_int(head["sub"]) if head["sub"] else 0
    except ValueError:
        return None
    if no == 0:
        return None
    rest = _unmarked(head["rest"])
    if not head["bold"] and not head["gap"] and rest and (no != last + 1 or rest[0] in "的第和或至到、，之中所规及与"):
        return None
    return no, sub, rest


def _unmarked(line: str) -> str:
    return re.sub(r"\*\*|__|#{2,6} ?", "", line).strip(_BLANK)


def _date_in_name(file_name: str) -> date | None:
    for year, month, day in reversed(_FILE_DATE.findall(PurePath(file_name).name)):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def _last_date(events: list[tuple[date, str]]) -> date | None:
    named = [day for day, words in events if _EVENT.search(words)]
    return max(named or [day for day, _ in events], default=None)


def _effective(
    articles: list[Article], events: list[tuple[date, str]], edition_on: date
) -> tuple[date | None, Certainty]:
    """The day the version takes effect, from its last articles.

    The last article of a law amended by decision often still names the ORIGINAL day (data README, traps),
    as does any day before the edition itself: these are given, but as uncertain.
    """
    day = next((d for article in reversed(articles[-5:]) if (d := _effective_in(article.text, edition_on))), None)
    past = [(on, words) for on, words in events if on <= edition_on]
    amended = bool(past) and bool(_BY_DECISION.search(max(past, key=lambda event: event[0])[1]))
    if day is None or day < edition_on or amended:
        return day, "uncertain"
    return day, "certain"


def _effective_in(text: str, edition_on: date) -> date | None:
    """The day in a sentence 本法自…起施行, preferring sentences about the law itself; 自公布之日起 is the edition's day."""
    sentences = re.split(r"[。；\n]", text)
    for sentence in sorted(sentences, key=lambda s: not _SELF.search(s)):
        if mark := _IN_FORCE_ON.search(sentence):
            return date_in_text(mark["date"])
        if _IN_FORCE_AT_ONCE.search(sentence):
            return edition_on
    return None
