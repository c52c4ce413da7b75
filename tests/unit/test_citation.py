"""Citations in the text of a basis: which law, which edition, which article, paragraph, item; what is quoted."""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.citation import MAX_WRITTEN_OUT, Citation, format_citation, parse_citations, rank

LAW = "示例市餐饮服务管理条例"
SMALL = st.integers(1, 40)
MAYBE = st.none() | SMALL
ASIDES = re.compile(r"《[^《》]*》|[（(][^（()）]*[)）]|“[^”]*”")


def places(text: str) -> list[tuple[int | None, ...]]:
    """Article, sub, paragraph, item, subitem, last article of each citation."""
    return [(c.article, c.sub, c.paragraph, c.item, c.subitem, c.to_article) for c in parse_citations(text)]


def articles(text: str) -> list[int | None]:
    return [c.article for c in parse_citations(text)]


def only(text: str) -> Citation:
    found = parse_citations(text)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("第二条", (2, None, None, None, None, None)),
        ("第22条", (22, None, None, None, None, None)),
        ("第２２条", (22, None, None, None, None, None)),
        ("第 三十五 条", (35, None, None, None, None, None)),
        ("第一百二十条之一", (120, 1, None, None, None, None)),
        ("第十四条第五款", (14, None, 5, None, None, None)),
        ("第五条第（一）项", (5, None, None, 1, None, None)),
        ("第三十五条第一款第三项", (35, None, 1, 3, None, None)),
        ("第十条第二款第（三）项第1目", (10, None, 2, 3, 1, None)),
        ("第八条至第十五条", (8, None, None, None, None, 15)),
    ],
)
def test_one_place_is_read_in_every_way_of_writing(written: str, place: tuple[int | None, ...]) -> None:
    assert places(f"《{LAW}》{written}") == [place]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("第五条、第七条和第九条", [5, 7, 9]),
        ("第四条以及第六条", [4, 6]),
        ("第三十五条 、 第三十六条", [35, 36]),
        ("第八条至第十五条、第二十条", [8, 20]),
    ],
)
def test_a_list_of_articles_is_one_citation_each(written: str, found: list[int]) -> None:
    assert articles(f"《{LAW}》{written}") == found


def test_further_paragraphs_belong_to_the_article_before_them() -> None:
    assert places(f"《{LAW}》第四十七条第二款、第三款") == [
        (47, None, 2, None, None, None),
        (47, None, 3, None, None, None),
    ]


@pytest.mark.parametrize("written", ["第一款第二项、第三项", "第一款第（二）、（三）项"])
def test_further_items_belong_to_the_paragraph_before_them(written: str) -> None:
    assert places(f"《{LAW}》第六条{written}") == [(6, None, 1, 2, None, None), (6, None, 1, 3, None, None)]


def test_a_range_of_items_is_written_out() -> None:
    assert [c.item for c in parse_citations(f"《{LAW}》第三条第一项至第四项")] == [1, 2, 3, 4]


def test_a_range_of_items_too_long_to_be_meant_is_not_written_out() -> None:
    last = MAX_WRITTEN_OUT + 2
    assert [c.item for c in parse_citations(f"《{LAW}》第三条第一项至第{last}项")] == [1]


def test_a_range_that_runs_backwards_is_no_range() -> None:
    assert places(f"《{LAW}》第十条至第五条") == [(10, None, None, None, None, None)]


def test_a_law_without_an_article_is_cited_as_a_whole() -> None:
    assert places(f"依照《{LAW}》办理") == [(None,) * 6]


def test_a_tag_and_a_bracket_belong_to_the_title() -> None:
    found = only(f"【地方性法规】《{LAW}》（2019年3月28日通过，2024年5月30日修正）第二条")
    assert (found.level_tag, found.title, found.paren) == ("地方性法规", LAW, "2019年3月28日通过，2024年5月30日修正")


@pytest.mark.parametrize(
    ("paren", "edition"),
    [
        ("2019年3月28日通过", date(2019, 3, 28)),
        ("2019年3月28日通过，2024年5月30日修正", date(2024, 5, 30)),
        ("2024年5月30日修正，2024年9月1日起施行", date(2024, 5, 30)),
        ("2024年9月1日起施行", None),
        ("以下简称条例", None),
        ("国发〔2010〕21号", None),
    ],
)
def test_the_edition_is_the_last_day_of_passing_or_amending_in_the_bracket(paren: str, edition: date | None) -> None:
    assert only(f"《{LAW}》（{paren}）第二条").edition_on == edition


def test_blanks_inside_a_title_are_left_out() -> None:
    assert only("《示例市 餐饮服务\u200b管理条例》第二条").title == LAW


def test_a_title_inside_a_title_is_part_of_it() -> None:
    found = only("《示例市商务局关于印发〈早餐网点管理办法〉的通知》第三条")
    assert (found.title, found.article) == ("示例市商务局关于印发〈早餐网点管理办法〉的通知", 3)


def test_a_title_inside_a_bracket_is_no_citation_of_its_own() -> None:
    text = f"《{LAW}》（根据《关于修改〈{LAW}〉的决定》修正）第二条"
    assert [(c.title, c.article) for c in parse_citations(text)] == [(LAW, 2)]


def test_a_citation_inside_a_bracket_of_its_own_is_read() -> None:
    assert articles(f"（《{LAW}》第五条）") == [5]


@pytest.mark.parametrize("title", ["开业申请表", "餐饮服务许可证", "示范网点名录"])
def test_a_form_or_certificate_is_no_legal_basis(title: str) -> None:
    assert not only(f"《{title}》").is_legal_basis


@pytest.mark.parametrize("title", [LAW, "药品管理法", "早餐网点管理办法（试行）", "关于规范登记表使用的通知"])
def test_a_law_or_document_is_a_legal_basis(title: str) -> None:
    assert only(f"《{title}》").is_legal_basis


def test_an_annex_is_kept_as_printed() -> None:
    found = only("《国务院关于第五批取消项目的决定》（国发〔2010〕21号） 附件2《下放项目目录》第37项")
    assert (found.annex, found.article) == ("附件2《下放项目目录》第37项", None)


def test_words_in_quotation_marks_after_the_place_are_the_quotation() -> None:
    found = only(f"《{LAW}》第二条规定：“申请人应当提交材料。”")
    assert (found.article, found.quoted) == (2, "申请人应当提交材料。")


def test_words_after_a_colon_are_the_quotation() -> None:
    assert only(f"《{LAW}》第二条：市商务部门负责认定。").quoted == "市商务部门负责认定。"


def test_the_text_of_the_article_that_follows_at_once_is_the_quotation() -> None:
    assert only(f"《{LAW}》第二条从事餐饮服务的，应当取得许可。").quoted == "从事餐饮服务的，应当取得许可。"


def test_the_words_of_a_sentence_that_goes_on_are_no_quotation() -> None:
    assert only(f"依照《{LAW}》第二条的规定办理许可").quoted is None


def test_several_laws_one_below_the_other_keep_their_quotations_apart() -> None:
    text = f"1.《{LAW}》第二条：“申请人应当提交材料。”\n2.《早餐网点管理办法》第三条规定：市商务部门负责。"
    assert [(c.title, c.article, c.quoted) for c in parse_citations(text)] == [
        (LAW, 2, "申请人应当提交材料。"),
        ("早餐网点管理办法", 3, "市商务部门负责。"),
    ]


def test_a_line_that_begins_with_an_article_belongs_to_the_law_above_it() -> None:
    text = f"《{LAW}》\n第八条　有下列情形的，予以许可：\n（一）依照《食品安全法》办理的；\n第九条　许可有效期为一年。"
    assert [(c.title, c.article, c.quoted) for c in parse_citations(text)] == [
        (LAW, 8, "有下列情形的，予以许可：\n（一）依照《食品安全法》办理的；"),
        (LAW, 9, "许可有效期为一年。"),
    ]


def test_articles_before_any_title_belong_to_no_law() -> None:
    assert parse_citations("第一条 为了规范餐饮服务，制定本条例。") == []


@pytest.mark.parametrize("text", ["", "无", "《》第一条", "《没有右书名号 第一条", "》第一条《"])
def test_a_text_that_names_no_law_holds_no_citation(text: str) -> None:
    assert parse_citations(text) == []


@given(st.text("《》（）()“”【】第一二十条款项目之至、，：\n 附件1法", max_size=60))
def test_any_text_is_read_and_every_citation_lies_inside_it(text: str) -> None:
    for found in parse_citations(text):
        begin, end = found.span
        assert 0 <= begin < end <= len(text)
        assert found.title
        assert found.to_article is None or (found.article is not None and found.to_article > found.article)


@given(article=st.integers(1, 1260), sub=MAYBE, paragraph=MAYBE, item=MAYBE, subitem=MAYBE)
def test_a_citation_that_is_written_is_read_back(
    article: int, sub: int | None, paragraph: int | None, item: int | None, subitem: int | None
) -> None:
    written = Citation(
        title=LAW, article=article, sub=sub, paragraph=paragraph, item=item, subitem=subitem, span=(0, 1)
    )
    found = only(format_citation(written))
    assert found.model_copy(update={"span": (0, 1)}) == written


@given(article=st.integers(1, 1000), length=SMALL)
def test_a_range_that_is_written_is_read_back(article: int, length: int) -> None:
    written = Citation(title=LAW, article=article, to_article=article + length, span=(0, 1))
    assert only(format_citation(written)).model_copy(update={"span": (0, 1)}) == written


@pytest.mark.parametrize(
    ("citation", "text"),
    [
        (Citation(title=LAW, article=35, paragraph=1, item=3, span=(0, 1)), f"《{LAW}》第三十五条第一款第三项"),
        (Citation(title=LAW, article=46, to_article=48, span=(0, 1)), f"《{LAW}》第四十六条至第四十八条"),
        (Citation(title=LAW, article=120, sub=1, span=(0, 1)), f"《{LAW}》第一百二十条之一"),
        (Citation(title=LAW, annex="附件第193项", span=(0, 1)), f"《{LAW}》附件第193项"),
        (Citation(title="实施《药品管理法》办法", article=2, span=(0, 1)), "《实施〈药品管理法〉办法》第二条"),
    ],
)
def test_a_citation_is_written_as_laws_write_it(citation: Citation, text: str) -> None:
    assert format_citation(citation) == text


@pytest.mark.parametrize(
    ("title", "place"),
    [
        ("中华人民共和国药品管理法", 1),
        ("全国人民代表大会常务委员会关于授权的决定", 1),
        ("中华人民共和国药品管理法实施条例", 2),
        ("国务院对确需保留的行政审批项目设定行政许可的决定", 2),
        ("上海市市容环境卫生管理条例", 3),
        (LAW, 3),
        ("药品经营许可证管理办法", 4),
        ("上海市公共场所控烟管理规定", 5),
        ("关于加强早餐服务工作的通知", 6),
        ("国务院办公厅关于全面推行清单管理的通知", 6),
    ],
)
def test_bases_are_ranked_by_their_titles(title: str, place: int) -> None:
    assert rank(title) == place


def checked(real_data: Path) -> list[dict[str, Any]]:
    with (real_data / "citations" / "citations_parsed_checked.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_checked_citation_is_read_as_it_was_checked(real_data: Path) -> None:
    rows = checked(real_data)
    assert len(rows) == 151
    for row in rows:
        found = parse_citations(row["citation"])
        first = found[0]
        assert {c.title for c in found} == {row["title"]}
        assert (first.level_tag, first.paren) == (row["level_tag"], row["paren"])
        assert (first.annex is None) == (row["annex"] is None)
        if "amended_on" in row:
            assert first.edition_on is not None and first.edition_on.isoformat() == row["amended_on"]
        got = [
            {
                name: value
                for name, value in (
                    ("article" if c.to_article is None else "from", c.article),
                    ("to", c.to_article),
                    ("paragraph", c.paragraph),
                    ("item", c.item),
                )
                if value is not None
            }
            for c in found
            if c.article is not None
        ]
        assert got == row["articles"], row["citation"]


def test_forms_are_told_from_laws_as_they_were_checked(real_data: Path) -> None:
    # One checked row calls a 报名表 a legal basis; it is a form.
    differing = [
        row["id"] for row in checked(real_data) if only_first(row["citation"]).is_legal_basis != row["is_legal_basis"]
    ]
    assert differing == ["C0108"]


def only_first(text: str) -> Citation:
    return parse_citations(text)[0]


def test_every_raw_citation_names_a_law_and_lies_inside_its_text(real_data: Path) -> None:
    with (real_data / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [row["citation"] for row in csv.DictReader(file)]
    assert len(texts) == 409
    for text in texts:
        found = parse_citations(text)
        assert found, text
        assert all(0 <= c.span[0] < c.span[1] <= len(text) for c in found)


def test_every_raw_citation_that_names_an_article_has_one_read(real_data: Path) -> None:
    with (real_data / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [row["citation"] for row in csv.DictReader(file)]
    # Without titles, brackets and quotations, where an article is not the one cited.
    naming = [text for text in texts if re.search(r"第[^，。、]{1,8}条(?!例)", ASIDES.sub("", text))]
    assert len(naming) > 100
    assert [text for text in naming if not any(c.article for c in parse_citations(text))] == []


def test_the_full_bases_of_a_power_list_are_read_with_their_quotations(real_data: Path) -> None:
    rows = json.loads((real_data / "items" / "liaoning_power_items.json").read_text(encoding="utf-8"))
    texts = [text for text in _strings(rows) if "】《" in text]
    found = [c for text in texts for c in parse_citations(text)]
    assert len(texts) >= 10
    assert {c.level_tag for c in found if c.level_tag} >= {"法律", "地方性法规", "规章"}
    assert sum(c.quoted is not None for c in found) >= len(texts)
    for text in texts:
        assert all(c.quoted is None or c.quoted in text for c in parse_citations(text))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in inner for text in _strings(part)]
