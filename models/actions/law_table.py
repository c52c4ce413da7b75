"""修改前后对照表 as a Word document: of two texts of a law, or of a law change with the items concerned. Reads only.

The document is built element by element and never rendered as a template, so a text in it stays a text. The same facts on
the same day give the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from models.actions.comparing import compared
from models.actions.impact import known_edition, known_law
from models.domain.comparison import compare
from models.domain.deadlines import SHANGHAI
from models.domain.differences import Part
from models.domain.errors import Conflict
from models.domain.law_table import (
    Concerned,
    Key,
    LawTable,
    Side,
    TableRow,
    concerned_by,
    repealed_rows,
    table_rows,
)
from models.domain.law_text import Article, canonical_title
from models.domain.numerals import article_name
from models.domain.outside import printable
from models.store import laws
from models.store.change import adjustments, change_row
from models.store.database import Database

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
LEGEND: Final = "删去的文字加删除线，增加的文字加粗并加下划线；移条而文字未改的，不加标记。"
_COLUMNS: Final = ("序号", "修改前", "修改后", "变化")
_ITEM_COLUMNS: Final = ("涉及事项", "处理")
#: Widths in millimetres; A4 on its side has 257 between margins of 20.
_WIDTHS: Final = (12.0, 110.0, 110.0, 25.0)
_WIDTHS_WITH_ITEMS: Final = (12.0, 77.0, 77.0, 23.0, 42.0, 26.0)
_BESIDE: Final = ("引用条款", "涉及事项", "处理")
_BESIDE_WIDTHS: Final = (57.0, 130.0, 70.0)
_WHOLE_LAW: Final = "整部法规"
_TO_CHECK: Final = "引用的名称待人工核对"
_TWIPS: Final = 56.6929  # twentieths of a point in a millimetre
_SAME_MOMENT: Final = (1980, 1, 1, 0, 0, 0)


def table_of_texts(
    title: str,
    old: Sequence[Article],
    new: Sequence[Article],
    *,
    old_on: date | None,
    new_on: date | None,
    whole: bool = False,
    now: datetime,
) -> LawTable:
    """The table of two texts; days are those of the texts, None where a file names none."""
    found, left_out = table_rows(compare(old, new), whole=whole)
    return LawTable(title=title, head=(_texts(old_on, new_on), _made(now)), rows=found, left_out=left_out)


def table_of_change(db: Database, *, change_id: str, whole: bool = False, now: datetime) -> LawTable:
    """The table of a law change, each article with the items concerned by it.

    Raises `Unknown` change_unknown, law_unknown, law_version_unknown; `Conflict` no_law_table for other triggers.
    """
    with db.reader() as connection:
        change = change_row(connection, change_id)
        if change["trigger"] != "law_change":
            message = f"变更 {change['number']} 不是立改废释，没有条文对照表；各事项的修改见变更页面。"
            raise Conflict("no_law_table", message)
        params = change["params"]
        law = known_law(connection, params["law"])
        old_on = date.fromisoformat(params["from_version"])
        new_on = date.fromisoformat(params["to_version"]) if params.get("to_version") else None
        known_edition(connection, law, old_on)
        old = laws.articles(connection, law.id, old_on)
        lines = adjustments(connection, change_id=change["id"])
        held = {article.key for article in old}
        by_article, beside = _concerned(lines, canonical_title(law.title), held)
        if new_on is None:
            found, left_out = repealed_rows(old, by_article)
        else:
            known_edition(connection, law, new_on)
            both = compared(connection, law_id=law.id, old=old_on, new=new_on)
            found, left_out = table_rows(both, by_article, whole=whole)
    texts = _texts(old_on, new_on) if new_on else f"文本：{_day(old_on)}（废止）"
    return LawTable(
        title=law.title,
        head=(texts, f"变更编号：{change['number']}　{change['title']}", _made(now)),
        rows=found,
        left_out=left_out,
        beside=beside,
        concerns_items=True,
        amended=new_on is not None,
    )


def _concerned(
    lines: Iterable[Any], canonical: str, held: set[Key]
) -> tuple[dict[Key, list[Concerned]], tuple[tuple[str, Concerned], ...]]:
    """By article of the old text who cites it, each item once; and who cites the law otherwise, with what it cites."""
    by_article: dict[Key, list[Concerned]] = {}
    beside: list[tuple[str, Concerned]] = []
    for line in lines:
        one = concerned_by(line)
        cited = (line["hint"] or {}).get("articles") or ()
        keys = [
            None if detail["old_article"] is None else (int(detail["old_article"]), int(detail["old_sub"] or 0))
            for detail in cited
            if detail["law"] == canonical
        ]
        if not keys:
            beside.append((_TO_CHECK, one))
        for key in dict.fromkeys(keys):
            if key is None:
                beside.append((_WHOLE_LAW, one))
            elif key in held:
                by_article.setdefault(key, []).append(one)
            else:
                beside.append((f"{article_name(*key)}（旧文本中没有）", one))
    return by_article, tuple(beside)


def _texts(old_on: date | None, new_on: date | None) -> str:
    return f"修改前：{_day(old_on)}文本　修改后：{_day(new_on)}文本"


def _day(on: date | None) -> str:
    return "日期不明的" if on is None else f"{on.year}年{on.month}月{on.day}日"


def _made(now: datetime) -> str:
    return f"制表日期：{_day(now.astimezone(SHANGHAI).date())}"


# --- the document --------------------------------------------------------------------------------------------------


def heading_of(table: LawTable) -> str:
    """What the document is called."""
    return f"《{table.title}》修改前后对照表"


def file_name(table: LawTable) -> str:
    """A name for the file: what no file system takes is left out, and what at its beginning hides it or reads as an option."""
    kept = "".join(" " if char in '\\/:*?"<>|' else char for char in printable(table.title))[:80]
    return f"{' '.join(kept.split()).lstrip('.- ')}修改前后对照表.docx"


def as_document(table: LawTable, *, now: datetime) -> bytes:
    """The table as a .docx file: A4 on its side, the head on every page, page numbers below."""
    from docx import Document  # a sixth of a second, which only those who ask for a document should pay
    from docx.shared import Pt

    document: Any = Document()
    _page(document)
    _properties(document, table, now)
    heading = document.add_paragraph()
    heading.alignment = 1
    run = heading.add_run(printable(heading_of(table)))
    run.bold, run.font.size = True, Pt(16)
    for text in (*table.head, LEGEND):
        document.add_paragraph(printable(text))
    columns = _COLUMNS + _ITEM_COLUMNS if table.concerns_items else _COLUMNS
    widths = _WIDTHS_WITH_ITEMS if table.concerns_items else _WIDTHS
    rows = []
    above = ("", "")  # headings stand where they change
    for number, row in enumerate(table.rows, start=1):
        rows.append(_cells(number, row, above, table.concerns_items))
        old, new = (row.old.division if row.old else above[0]), (row.new.division if row.new else above[1])
        above = (old, new)
    _add_table(document, columns, widths, rows)
    if table.left_out:
        why = "、".join(("未修改",) * table.amended + ("未涉及事项",) * table.concerns_items)
        document.add_paragraph(f"另有{why}的条文 {table.left_out} 条，未列入本表。")
    if table.beside:
        document.add_paragraph("未对应具体条文的涉及事项：")
        _add_table(document, _BESIDE, _BESIDE_WIDTHS, [_beside(cited, one) for cited, one in table.beside])
    _furniture(document, table)
    made = io.BytesIO()
    document.save(made)
    return _same_bytes(made.getvalue())


def _page(document: Any) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Mm, Pt

    section = document.sections[0]
    section.orientation = 1
    section.page_width, section.page_height = Mm(297), Mm(210)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(20)
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Times New Roman", Pt(10)
    normal.element.rPr.rFonts.set(qn("w:eastAsia"), "宋体")
    normal.paragraph_format.space_after = Pt(2)


def _properties(document: Any, table: LawTable, now: datetime) -> None:
    day = now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    facts = document.core_properties
    facts.title = printable(heading_of(table))[:255]
    facts.author = facts.comments = facts.last_modified_by = ""
    facts.created = facts.modified = day.replace(tzinfo=None)
    facts.language = "zh-CN"


def _furniture(document: Any, table: LawTable) -> None:
    """The head and the page numbers on every page."""
    section = document.sections[0]
    section.header.paragraphs[0].text = printable("　".join((heading_of(table), *table.head)))
    foot = section.footer.paragraphs[0]
    foot.alignment = 1
    foot.add_run("第 ")
    _field(foot, "PAGE")
    foot.add_run(" 页，共 ")
    _field(foot, "NUMPAGES")
    foot.add_run(" 页")


def _field(paragraph: Any, name: str) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    field: Any = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), name)
    field.append(_run("1"))
    paragraph._p.append(field)


#: A cell: its paragraphs, each a row of parts as in a difference.
Cell = list[list[Part]]


def _cells(number: int, row: TableRow, above: tuple[str, str], with_items: bool) -> list[Cell]:
    old, new = _article(row.old, above[0]), _article(row.new, above[1])
    cells: list[Cell] = [_plain(str(number)), old, new, _plain(row.word)]
    if with_items:
        several = len(row.concerned) > 1
        for texts in ([one.item for one in row.concerned], [one.outcome for one in row.concerned]):
            # Names run over several lines, so what belongs together carries the same number.
            cells.append([[("equal", f"{n}. {text}" if several else text)] for n, text in enumerate(texts, start=1)])
    return cells


def _beside(cited: str, one: Concerned) -> list[Cell]:
    return [_plain(cited), _plain(one.item), _plain(one.outcome)]


def _plain(text: str) -> Cell:
    return [[("equal", text)]]


def _article(side: Side | None, above: str) -> Cell:
    """The headings, where others stand `above`, then number and text; each paragraph of the text in one of its own."""
    if side is None:
        return _plain("—")
    whole = {tag for tag, _ in side.parts}
    tag = next(iter(whole)) if len(whole) == 1 else "equal"
    found: Cell = [[(tag, f"{side.number}　")]]
    for tag, text in side.parts:
        for n, line in enumerate(text.split("\n")):
            if n:
                found.append([])
            if line:
                found[-1].append((tag, line))
    return [[("equal", f"（{side.division}）")], *found] if side.division not in ("", above) else found


def _add_table(document: Any, columns: Sequence[str], widths: Sequence[float], rows: Iterable[list[Cell]]) -> None:
    """A table with a head that stands on every page. Rows are made as elements: a law has a thousand of them."""
    from docx.oxml import OxmlElement
    from docx.shared import Mm

    table = document.add_table(rows=1, cols=len(columns), style="Table Grid")
    table.autofit = False
    for column, width in zip(table._tbl.tblGrid.gridCol_lst, widths, strict=True):
        column.w = Mm(width)
    head = table.rows[0]._tr
    head.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    for old in list(head.tc_lst):
        head.remove(old)
    for name, width in zip(columns, widths, strict=True):
        head.append(_cell([[("equal", name)]], width, head=True))
    for cells in rows:
        line: Any = OxmlElement("w:tr")
        for cell, width in zip(cells, widths, strict=True):
            line.append(_cell(cell, width))
        table._tbl.append(line)


def _cell(paragraphs: Cell, width: float, *, head: bool = False) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    cell: Any = OxmlElement("w:tc")
    facts: Any = OxmlElement("w:tcPr")
    size: Any = OxmlElement("w:tcW")
    size.set(qn("w:w"), str(round(width * _TWIPS)))
    size.set(qn("w:type"), "dxa")
    facts.append(size)
    cell.append(facts)
    for parts in paragraphs or [[]]:
        paragraph: Any = OxmlElement("w:p")
        for tag, text in parts:
            paragraph.append(_run(text, "head" if head else tag))
        cell.append(paragraph)
    return cell


def _run(text: str, tag: str = "equal") -> Any:
    """Text with its mark: removed struck through, added bold and underlined."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    run: Any = OxmlElement("w:r")
    marks = {"delete": ("w:strike",), "insert": ("w:b", "w:u"), "head": ("w:b",)}.get(tag, ())
    if marks:
        facts: Any = OxmlElement("w:rPr")
        for name in marks:
            mark: Any = OxmlElement(name)
            if name == "w:u":
                mark.set(qn("w:val"), "single")
            facts.append(mark)
        run.append(facts)
    words: Any = OxmlElement("w:t")
    words.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    words.text = printable(text)
    run.append(words)
    return run


def _same_bytes(made: bytes) -> bytes:
    """The package without the moment it was written."""
    again = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as read, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as write:
        for name in read.namelist():
            write.writestr(zipfile.ZipInfo(name, _SAME_MOMENT), read.read(name), zipfile.ZIP_DEFLATED)
    return again.getvalue()
