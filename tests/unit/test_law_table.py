"""修改前后对照表 as a Word document, read back as Word reads it."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from models.actions.law_table import as_document, file_name, table_of_texts
from models.domain.comparison import compare
from models.domain.law_table import Concerned, LawTable, Side, TableRow, outcome_words, repealed_rows, table_rows
from models.domain.law_text import Article, LawText, read_law
from models.domain.outside import printable
from tests.hostile import HOSTILE, UNSTORABLE
from tests.unit.test_impact import NEW, NEW_DAY, OLD, OLD_DAY, TITLE

NOW = datetime(2026, 11, 26, 17, 0, tzinfo=UTC)  # the 27th in Shanghai


def written(title: str = TITLE, *, whole: bool = False, old: Any = OLD, new: Any = NEW) -> bytes:
    table = table_of_texts(title, old, new, old_on=OLD_DAY, new_on=NEW_DAY, whole=whole, now=NOW)
    return as_document(table, now=NOW)


def read(made: bytes) -> Any:
    return Document(io.BytesIO(made))


def cells(document: Any, table: int = 0) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in document.tables[table].rows]


def marked(cell: Any) -> list[tuple[str, str]]:
    """The words of a cell that carry a mark, each with its mark."""
    return [
        ("removed" if run.font.strike else "added", run.text)
        for paragraph in cell.paragraphs
        for run in paragraph.runs
        if run.font.strike or (run.bold and run.underline)
    ]


def test_each_changed_article_stands_in_a_row_with_both_numbers_and_a_word() -> None:
    rows = cells(read(written()))
    assert rows[0] == ["序号", "修改前", "修改后", "变化"]
    assert [(row[1][:3], row[2][:3], row[3]) for row in rows[1:]] == [
        ("第二条", "第二条", "修改：批准改为备案"),
        ("—", "第三条", "增加"),
        ("第三条", "第五条", "移条并修改：时限变更"),
        ("第六条", "第六条", "修改：文字性修改"),
        ("第七条", "—", "删除"),
        ("第五条", "第八条", "移条"),
    ]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]


def test_unchanged_articles_are_counted_and_stand_in_the_table_where_they_are_asked_for() -> None:
    document = read(written())
    assert document.paragraphs[-1].text == "另有未修改的条文 2 条，未列入本表。"
    whole = read(written(whole=True))
    assert [row[1][:3] for row in cells(whole) if row[3] == "未改"] == ["第一条", "第四条"]
    assert "未列入本表" not in whole.paragraphs[-1].text


def test_what_was_removed_is_struck_through_and_what_was_added_bold_and_underlined() -> None:
    rows = read(written()).tables[0].rows
    assert marked(rows[3].cells[1]) == [("removed", "二十")]
    assert marked(rows[3].cells[2]) == [("added", "十五")]
    assert marked(rows[6].cells[1]) == marked(rows[6].cells[2]) == []
    assert marked(rows[5].cells[1]) == [("removed", "第七条　"), ("removed", OLD[6].text)]


def test_the_page_lies_on_its_side_and_every_page_says_what_it_is_of() -> None:
    document = read(written())
    section = document.sections[0]
    assert section.page_width > section.page_height
    [head] = section.header.paragraphs
    for words in (f"《{TITLE}》修改前后对照表", "修改前：2019年3月28日文本", "修改后：2026年9月25日文本"):
        assert words in head.text
    assert "制表日期：2026年11月27日" in head.text
    foot = section.footer._element.xml
    assert 'w:instr="PAGE"' in foot and 'w:instr="NUMPAGES"' in foot
    assert "w:tblHeader" in document.tables[0].rows[0]._tr.xml
    assert "删去的文字加删除线" in document.paragraphs[3].text


def test_the_same_texts_on_the_same_day_give_the_same_bytes() -> None:
    made = written()
    assert made == written()
    with zipfile.ZipFile(io.BytesIO(made)) as package:
        assert {entry.date_time for entry in package.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_file_is_named_after_the_law_whatever_the_law_is_called() -> None:
    assert file_name(LawTable(TITLE, (), (), 0)) == f"{TITLE}修改前后对照表.docx"
    for title in (*HOSTILE, *UNSTORABLE):
        name = file_name(LawTable(title, (), (), 0))
        assert len(name) < 100 and not set(name) & set('/\\:*?"<>|\r\n\x00') and name.encode()


def test_headings_stand_where_they_change() -> None:
    old = [Article(no=n, text=f"第{n}件事应当于{n}日内办理。", division=("第一章 总则",)) for n in (1, 2)]
    new = [one.model_copy(update={"text": one.text.replace("日", "个月")}) for one in old]
    rows = cells(read(written(old=old, new=new)))
    assert rows[1][1].startswith("（第一章 总则）\n第一条") and rows[2][1].startswith("第二条")


@pytest.mark.parametrize("hostile", [*HOSTILE, *UNSTORABLE, "名" * 5000, "n" * 5000, "\x00\x0b\x1f", "\ufffe]]>&amp;"])
def test_hostile_texts_stay_texts(hostile: str) -> None:
    row = Concerned(hostile, hostile)
    sides = (Side("第一条", hostile, (("delete", hostile),)), Side("第一条", "", (("equal", f"乙{hostile}\n丙"),)))
    rows = (TableRow(*sides, hostile, (row,)),)
    table = LawTable(hostile, (hostile,), rows, 0, beside=((hostile, row),), concerns_items=True)
    document = read(as_document(table, now=NOW))
    shown = cells(document)
    text = "\n".join(printable(line) for line in f"乙{hostile}\n丙".split("\n"))
    assert shown[1][2] == f"第一条　{text}"
    assert shown[1][3:] == [printable(hostile)] * 3
    assert cells(document, 1)[1] == [printable(hostile)] * 3
    assert document.paragraphs[0].text == f"《{printable(hostile)}》修改前后对照表"
    assert "w:hyperlink" not in document.element.xml


@given(st.lists(st.text(max_size=40), max_size=4), st.lists(st.text(max_size=40), max_size=4))
@settings(max_examples=30)
def test_both_texts_can_be_read_from_the_document_whatever_their_characters(old: list[str], new: list[str]) -> None:
    olds, news = ([Article(no=n, text=text) for n, text in enumerate(side, start=1)] for side in (old, new))
    rows = cells(read(written(old=olds, new=news, whole=True)))[1:]
    for column, side in ((1, old), (2, new)):
        shown = [row[column].partition("　")[2] for row in rows if row[column] != "—"]
        assert sorted(shown) == sorted("\n".join(printable(line) for line in text.split("\n")) for text in side)


def test_items_stand_beside_their_article_and_what_becomes_of_them() -> None:
    two = [Concerned("甲事项（9901）", "依据变更（起草中）"), Concerned("乙事项", "不作调整")]
    rows, left_out = table_rows(compare(OLD, NEW), {(4, 0): two[:1], (6, 0): two})
    table = LawTable(TITLE, (), rows, left_out, concerns_items=True)
    shown = cells(read(as_document(table, now=NOW)))
    assert left_out == 1
    assert {row[1][:3]: tuple(row[3:]) for row in shown[1:] if row[4]} == {
        "第四条": ("未改", "甲事项（9901）", "依据变更（起草中）"),
        "第六条": (
            "修改：文字性修改",
            "1. 甲事项（9901）\n2. 乙事项",
            "1. 依据变更（起草中）\n2. 不作调整",
        ),
    }


def test_of_a_repealed_law_the_cited_articles_stand_in_the_table() -> None:
    rows, left_out = repealed_rows(OLD, {(2, 0): [Concerned("甲事项", "取消（待确认）")]})
    [row] = rows
    assert (row.old and row.old.number, row.new, row.word, left_out) == ("第二条", None, "废止", 6)


@pytest.mark.parametrize(
    ("state", "road", "hint", "words"),
    [
        ("proposed", None, {}, "依据变更（待确认）"),
        ("proposed", "none", {}, "不作调整（待确认）"),
        ("proposed", None, {"taken_out": "另行办理"}, "移出（待确认）"),
        ("in_review", "short", {}, "依据变更（审核中）"),
        ("published", None, {"taken_out": ""}, "依据变更（已发布）"),
        ("declined", "none", {}, "不作调整"),
        ("removed", None, {}, "移出"),
        ("rejected", None, {}, "不予批准"),
    ],
)
def test_what_becomes_of_an_item_is_said_in_the_words_of_the_trade(
    state: str, road: str | None, hint: dict[str, Any], words: str
) -> None:
    assert outcome_words({"state": state, "road": road, "hint": hint, "outcomes": "change_basis"}) == words


def test_the_secrecy_law_of_2024_stands_beside_that_of_2010(real_data: Path) -> None:
    days = (date(2010, 4, 29), date(2024, 2, 27))
    old, new = (_law(real_data, day) for day in days)
    table = table_of_texts(new.title, old.articles, new.articles, old_on=days[0], new_on=days[1], whole=True, now=NOW)
    document = read(as_document(table, now=NOW))
    rows = cells(document)[1:]
    both = compare(old.articles, new.articles)
    assert len(rows) == len(both.matches)
    assert sum(row[1] != "—" for row in rows) == len(old.articles) == 53
    assert sum(row[2] != "—" for row in rows) == len(new.articles) == 65
    for match, row in zip(both.matches, rows, strict=True):
        for article, text in ((match.old, row[1]), (match.new, row[2])):
            assert article is None or text.endswith(f"条　{printable_lines(article.text)}")
    assert any(row[1].split("　")[0].endswith("第三条") and "第五条" in row[2] for row in rows)
    assert len(cells(read(as_document(table_of_texts(
        new.title, old.articles, new.articles, old_on=None, new_on=None, now=NOW), now=NOW)))) - 1 == sum(
        match.change != "unchanged" for match in both.matches
    )  # fmt: skip


def _law(data: Path, day: date) -> LawText:
    file = data / "laws" / "versions" / "保守国家秘密法" / f"{day}.md"
    return read_law(file.read_text(encoding="utf-8"), f"保守国家秘密法({day}).md")


def printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
