"""The text of a law is read into its articles, in both styles of published Markdown; titles, dates, paragraphs."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import BadInput
from models.domain.law_text import (
    Article,
    LawText,
    canonical_title,
    date_in_text,
    former_titles,
    header_events,
    paragraphs,
    read_law,
)
from models.domain.numerals import int_to_chinese
from models.intake.laws import read_law_files

PLAIN = """# 示例市早餐服务条例

2019年3月28日 示例市第一届人民代表大会常务委员会第三次会议通过

根据2024年5月30日示例市第二届人民代表大会常务委员会第九次会议《关于修改〈示例市早餐服务条例〉的决定》修正

<!-- INFO END -->

## 第一章 总则

第一条 为了规范早餐服务，制定本条例。

第二条 申请设立早餐网点的，应当具备下列条件：

（一）有固定的场所；

（二）有与经营相适应的人员。

市商务部门应当公布办理指南。

## 第二章 监督

第三条 本条例自2019年5月1日起施行。
"""
BOLD = """# 示例市早餐服务条例

（2024年5月30日示例市第二届人民代表大会常务委员会第九次会议通过　2024年5月30日公布）

目　　录

[第一章　总则](#第一章-总则)

## 第一章　总则

**第一条**　为了规范早餐服务，制定本条例。

**第二条**　申请设立早餐网点的，应当具备下列条件：

（一）有固定的场所；

**第二条之一**　网点可以跨区设立。

## 附　则

**第三条**　本条例自2024年9月1日起施行。
"""
WORDS = st.text("申请设立早餐网点应当具备条件市商务部门负责", min_size=1, max_size=20)


def law(lines: list[str], name: str = "示例市早餐服务条例(2024-05-30).md") -> LawText:
    return read_law("# 示例市早餐服务条例\n\n" + "\n\n".join(lines), name)


def texts(text: LawText) -> dict[tuple[int, int], str]:
    return {(article.no, article.sub): article.text for article in text.articles}


def test_the_plain_style_is_read() -> None:
    assert texts(read_law(PLAIN, "示例市早餐服务条例(2024-05-30).md")) == {
        (1, 0): "为了规范早餐服务，制定本条例。",
        (
            2,
            0,
        ): "申请设立早餐网点的，应当具备下列条件：\n（一）有固定的场所；\n（二）有与经营相适应的人员。\n市商务部门应当公布办理指南。",
        (3, 0): "本条例自2019年5月1日起施行。",
    }


def test_the_bold_style_is_read_with_its_inserted_article() -> None:
    assert texts(read_law(BOLD, "2024-05-30.md")) == {
        (1, 0): "为了规范早餐服务，制定本条例。",
        (2, 0): "申请设立早餐网点的，应当具备下列条件：\n（一）有固定的场所；",
        (2, 1): "网点可以跨区设立。",
        (3, 0): "本条例自2024年9月1日起施行。",
    }


def test_the_title_is_that_of_the_heading() -> None:
    assert read_law(PLAIN, "2024-05-30.md").title == "示例市早餐服务条例"


def test_the_edition_is_the_date_of_the_file_name() -> None:
    assert read_law(PLAIN, "2025-01-02.md").edition_on == date(2025, 1, 2)


def test_without_a_date_in_the_name_the_edition_is_the_last_of_the_header() -> None:
    assert read_law(PLAIN, "条例.md").edition_on == date(2024, 5, 30)


def test_the_day_in_an_amended_law_is_uncertain_because_it_is_often_the_first_one() -> None:
    found = read_law(PLAIN, "2024-05-30.md")
    assert (found.effective_on, found.certainty) == (date(2019, 5, 1), "uncertain")


def test_the_day_in_a_new_law_is_certain() -> None:
    found = read_law(BOLD, "2024-05-30.md")
    assert (found.effective_on, found.certainty, found.promulgated_on) == (
        date(2024, 9, 1),
        "certain",
        date(2024, 5, 30),
    )


def test_in_force_from_promulgation_is_the_day_of_the_edition() -> None:
    found = law(["第一条 为了规范早餐服务，制定本条例。", "第二条 本条例自公布之日起施行。"])
    assert (found.effective_on, found.certainty) == (date(2024, 5, 30), "certain")


def test_a_text_without_articles_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        law(["关于早餐服务的说明。"])
    assert refused.value.code == "law_without_articles"
    assert "《示例市早餐服务条例》" in refused.value.message


def test_a_text_without_any_date_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        law(["第一条 为了规范早餐服务，制定本条例。"], "条例.md")
    assert refused.value.code == "law_without_date"


def test_a_reference_at_the_beginning_of_a_line_opens_no_article() -> None:
    found = law(["第一条 申请人应当提交材料。", "第二条规定的材料除外。", "第二条 材料由市商务部门公布。"])
    assert texts(found) == {(1, 0): "申请人应当提交材料。\n第二条规定的材料除外。", (2, 0): "材料由市商务部门公布。"}


def test_a_second_text_after_the_first_is_left_out() -> None:
    found = law(["第一条 甲。", "第二条 乙。", "第一条 附录的第一条。", "第二条 附录的第二条。"])
    assert texts(found) == {(1, 0): "甲。", (2, 0): "乙。"}


def test_an_annex_is_left_out() -> None:
    found = law(["第一条 甲。", "附件1", "收费标准一览"])
    assert texts(found) == {(1, 0): "甲。"}


def test_chapters_and_their_wrapped_headings_are_left_out() -> None:
    found = law(["第一条 甲。", "## 第二章 听取和审议人民政府、人民法院和", "人民检察院的专项工作报告", "第二条 乙。"])
    assert texts(found) == {(1, 0): "甲。", (2, 0): "乙。"}


def test_each_article_knows_the_divisions_it_stands_under() -> None:
    lines = [
        "# 第一编　总 则",
        "## 第一分编 通则",
        "### 第一章　一般规定",
        "第一条 甲。",
        "#### 第一节  设　立",
        "第二条 乙。",
    ]
    lines += ["### 第二章 其他", "第三条 丙。", "# 第二编 分则", "第四条 丁。", "# 附　则", "第五条 戊。"]
    found = law(["## 目录", "第一章 一般规定", "附则", *lines])
    assert [article.division for article in found.articles] == [
        ("第一编 总则", "第一分编 通则", "第一章 一般规定"),
        ("第一编 总则", "第一分编 通则", "第一章 一般规定", "第一节 设立"),
        ("第一编 总则", "第一分编 通则", "第二章 其他"),
        ("第二编 分则",),
        ("附则",),
    ]


def test_a_wrapped_heading_is_kept_whole_as_a_division() -> None:
    found = law(["第一条 甲。", "## 第二章 听取和审议人民政府、人民法院和", "人民检察院的专项工作报告", "第二条 乙。"])
    assert [article.division for article in found.articles] == [
        (),
        ("第二章 听取和审议人民政府、人民法院和人民检察院的专项工作报告",),
    ]


def test_marks_inside_an_article_are_left_out() -> None:
    found = law(["**第一条**　参照适用**本法**### 第九章的有关规定。"])
    assert texts(found) == {(1, 0): "参照适用本法第九章的有关规定。"}


def test_a_line_end_of_windows_makes_no_difference() -> None:
    assert read_law(PLAIN.replace("\n", "\r\n"), "2024-05-30.md") == read_law(PLAIN, "2024-05-30.md")


@given(st.lists(WORDS, min_size=1, max_size=12), st.booleans())
def test_every_article_is_read_back_in_either_style(words: list[str], bold: bool) -> None:
    heads = [f"第{int_to_chinese(number)}条" for number in range(1, len(words) + 1)]
    lines = [f"**{head}**　{text}。" if bold else f"{head} {text}。" for head, text in zip(heads, words, strict=True)]
    found = law(lines)
    assert texts(found) == {(number, 0): f"{text}。" for number, text in enumerate(words, start=1)}


def test_items_stay_with_their_paragraph() -> None:
    article = Article(
        no=2, text="应当具备下列条件：\n（一）场所；\n（二）人员。\n市商务部门应当公布办理指南。\n1.线上；"
    )
    assert paragraphs(article) == [
        "应当具备下列条件：\n（一）场所；\n（二）人员。",
        "市商务部门应当公布办理指南。\n1.线上；",
    ]


@pytest.mark.parametrize(
    ("title", "canonical"),
    [
        ("《中华人民共和国食品安全法》", "食品安全法"),
        ("中华人民共和国 食品安全法", "食品安全法"),
        ("食品安全法实施条例", "食品安全法实施条例"),
        ("上海市实施《中华人民共和国食品安全法》办法", "上海市实施中华人民共和国食品安全法办法"),
        ("早餐服务办法(试行)", "早餐服务办法（试行）"),
        ("中华人民共和国", "中华人民共和国"),
    ],
)
def test_titles_are_matched_in_one_form(title: str, canonical: str) -> None:
    assert canonical_title(title) == canonical


@given(st.text("中华人民共和国示例市法条例 《》〈〉()（）", max_size=20))
def test_the_form_of_a_form_is_itself_unless_the_country_stands_twice(title: str) -> None:
    once = canonical_title(title)
    assert canonical_title(once) == once or once.startswith("中华人民共和国")


HISTORY = "2010年4月29日第二届代表大会第三次会议《关于修改〈{}〉的决定》第一次修正"


def test_a_law_names_the_titles_it_had_in_its_own_history() -> None:
    header = [
        "2001年1月1日通过",
        HISTORY.format("示例市区、县代表选举实施细则"),
        HISTORY.format("示例市区县代表选举细则"),
    ]
    assert former_titles("示例市区和乡镇代表选举实施细则", header) == [
        "示例市区、县代表选举实施细则",
        "示例市区县代表选举细则",
    ]


@pytest.mark.parametrize(
    "words",
    [
        HISTORY.format("示例市早餐服务条例"),
        "《关于修改〈示例市早餐店管理条例〉等八部法规的决定》修正",
        "《关于修改〈示例市午餐服务条例〉、〈示例市晚餐服务条例〉的决定》修正",
        HISTORY.format("示例市建设工程材料和市场监督管理条例"),
        HISTORY.format("示例市早餐服务办法"),
    ],
)
def test_a_decision_on_the_same_several_or_quite_another_law_is_no_new_name(words: str) -> None:
    assert former_titles("示例市早餐服务条例", [words]) == []


def test_the_renamed_law_of_the_published_texts_is_found_and_no_other(real_data: Path) -> None:
    found = {
        law.title: former_titles(law.title, law.header)
        for _, law in read_law_files([real_data / "laws"])
        if isinstance(law, LawText)
    }
    renamed = {title: before for title, before in found.items() if before}
    assert list(renamed) == ["上海市区和乡镇人民代表大会代表直接选举实施细则"]
    assert (
        renamed["上海市区和乡镇人民代表大会代表直接选举实施细则"][-1]
        == "上海市区县和乡镇人民代表大会代表直接选举实施细则"
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024年2月27日", date(2024, 2, 27)),
        ("二〇二四年二月二十七日", date(2024, 2, 27)),
        ("于 2024 年 2 月 7 日修正", date(2024, 2, 7)),
        ("2024年2月30日", None),
        ("去年", None),
    ],
)
def test_dates_are_read_in_both_ways_of_writing(text: str, day: date | None) -> None:
    assert date_in_text(text) == day


def test_each_date_of_a_header_comes_with_its_words() -> None:
    events = header_events(["2010年4月29日通过", "2024年2月27日第一次修订 2024年5月1日施行"])
    assert [(day.isoformat(), words.strip()) for day, words in events] == [
        ("2010-04-29", "通过"),
        ("2024-02-27", "第一次修订"),
        ("2024-05-01", "施行"),
    ]


def test_every_published_text_is_read_with_all_its_articles(real_data: Path) -> None:
    with (real_data / "laws" / "version_index.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    styles = set()
    for row in rows:
        path = real_data / "laws" / row["file"]
        text = path.read_text(encoding="utf-8")
        styles.add("**第一条**" in text)
        found = read_law(text, path.name)
        assert (found.edition_on.isoformat(), len(found.articles)) == (row["version_date"], int(row["articles"])), row
    assert len(rows) == 133 and styles == {True, False}


def test_published_codes_have_their_parts_chapters_and_sections(real_data: Path) -> None:
    file = real_data / "laws" / "versions" / "民事诉讼法" / "2023-09-01.md"
    code = {article.no: article.division for article in read_law(file.read_text(encoding="utf-8"), file.name).articles}
    assert code[1] == ("第一编 总则", "第一章 任务、适用范围和基本原则")
    assert code[122] == ("第二编 审判程序", "第十二章 第一审普通程序", "第一节 起诉和受理")
    assert all(code.values()) and len({division[0] for division in code.values()}) == 4


def test_published_texts_leave_no_marks_in_their_articles(real_data: Path) -> None:
    for path in (real_data / "laws" / "versions").glob("*/*.md"):
        found = read_law(path.read_text(encoding="utf-8"), path.name)
        assert [a.no for a in found.articles if any(mark in a.text for mark in ("**", "##", "<!--", "](#"))] == []
        assert all(article.text.strip() == article.text for article in found.articles)


def test_an_effective_day_called_certain_is_not_before_its_edition(real_data: Path) -> None:
    for path in (real_data / "laws" / "versions").glob("*/*.md"):
        found = read_law(path.read_text(encoding="utf-8"), path.name)
        if found.certainty == "certain":
            assert found.effective_on is not None and found.effective_on >= found.edition_on, path.name


@pytest.mark.parametrize(
    "first", ["第一条为了规范办事，制定本办法。", "第一条\n为了规范办事，制定本办法。", "第一条【目的】制定本办法。"]
)
def test_a_text_whose_articles_have_no_blank_after_the_number_is_read(first: str) -> None:
    text = f"# 示例办法\n2020年3月1日公布\n\n{first}\n第二条适用本办法。\n第一条规定的情形除外。\n第三条自2020年5月1日起施行。\n"
    law = read_law(text, "示例办法.md")
    assert [article.no for article in law.articles] == [1, 2, 3]
    assert law.articles[1].text == "适用本办法。\n第一条规定的情形除外。"
    assert law.edition_on == date(2020, 3, 1)


def test_an_amending_decision_after_the_text_gives_its_effective_day_and_is_no_part_of_the_last_article() -> None:
    text = (
        "# 示例条例\n（2020年5月28日通过　2022年3月1日修正）\n\n第一条 制定本条例。\n\n第二条 本条例自2021年1月1日起施行。\n\n"
        "示例市人民代表大会常务委员会关于修改《示例条例》的决定\n（2022年3月1日通过）\n"
        "一、将第一条修改为：“甲。”\n本决定自2022年5月1日起施行。\n"
    )
    law = read_law(text, "示例条例(2022-03-01).md")
    assert law.articles[-1].text == "本条例自2021年1月1日起施行。"
    assert (law.effective_on, law.certainty) == (date(2022, 5, 1), "certain")
