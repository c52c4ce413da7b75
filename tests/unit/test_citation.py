"""Citations in the text of a basis: which law, which edition, which article, paragraph, item; what is quoted."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.citation import (
    MAX_TITLE,
    MAX_WRITTEN_OUT,
    Annex,
    Citation,
    Place,
    document_number,
    format_citation,
    rank,
    read_citations,
)

LAW = "示例市餐饮服务管理条例"
SMALL = st.integers(1, 40)
MAYBE = st.none() | SMALL
ASIDES = re.compile(r"《[^《》]*》|[（(][^（()）]*[)）]|“[^”]*”")


def cited(text: str) -> tuple[Citation, ...]:
    return read_citations(text).citations


def places(text: str) -> list[tuple[int | None, ...]]:
    """Article, sub, paragraph, item, subitem, last article of each cited place."""
    return [(p.article, p.sub, p.paragraph, p.item, p.subitem, p.to_article) for c in cited(text) for p in c.articles]


def articles(text: str) -> list[int | None]:
    return [place.article for c in cited(text) for place in c.articles]


def only(text: str) -> Citation:
    found = cited(text)
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
    assert [p.item for p in only(f"《{LAW}》第三条第一项至第四项").articles] == [1, 2, 3, 4]


def test_a_range_of_items_too_long_to_be_meant_is_not_written_out() -> None:
    last = MAX_WRITTEN_OUT + 2
    assert [p.item for p in only(f"《{LAW}》第三条第一项至第{last}项").articles] == [1]


def test_a_range_that_runs_backwards_is_no_range() -> None:
    assert places(f"《{LAW}》第十条至第五条") == [(10, None, None, None, None, None)]


def test_a_law_without_an_article_is_cited_as_a_whole() -> None:
    assert only(f"依照《{LAW}》办理").articles == ()


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
    assert (found.title, found.articles) == ("示例市商务局关于印发〈早餐网点管理办法〉的通知", (Place(article=3),))


def test_a_title_inside_a_bracket_is_no_citation_of_its_own() -> None:
    text = f"《{LAW}》（根据《关于修改〈{LAW}〉的决定》修正）第二条"
    assert [(c.title, c.articles) for c in cited(text)] == [(LAW, (Place(article=2),))]


def test_a_citation_inside_a_bracket_of_its_own_is_read() -> None:
    assert articles(f"（《{LAW}》第五条）") == [5]


@pytest.mark.parametrize("title", ["开业申请表", "餐饮服务许可证", "示范网点名录"])
def test_a_form_or_certificate_is_no_legal_basis(title: str) -> None:
    assert not only(f"《{title}》").is_legal_basis


@pytest.mark.parametrize("title", [LAW, "药品管理法", "早餐网点管理办法（试行）", "关于规范登记表使用的通知"])
def test_a_law_or_document_is_a_legal_basis(title: str) -> None:
    assert only(f"《{title}》").is_legal_basis


@pytest.mark.parametrize(
    ("written", "annex"),
    [
        ("附件2《下放项目目录》第37项", Annex(annex="2", item=37)),
        ("附件第193项", Annex(annex=None, item=193)),
        ("附件二中第五项", Annex(annex="二", item=5)),
        ("附件", Annex()),
    ],
)
def test_an_annex_is_read_with_its_number_and_item(written: str, annex: Annex) -> None:
    found = only(f"《国务院关于第五批取消项目的决定》（国发〔2010〕21号） {written}")
    assert (found.annex, found.articles) == (annex, ())


def test_an_annex_beside_an_article_belongs_to_the_same_citation() -> None:
    found = only(f"《{LAW}》第三条、附件第35项")
    assert (found.articles, found.annex) == ((Place(article=3),), Annex(item=35))


@pytest.mark.parametrize(
    ("bracket", "number"),
    [
        ("2004年6月29日国务院令第412号，2009年1月29日予以修改", "国务院令第412号"),
        ("1990年10月24日国务院批准 1990年11月19日国家档案局令第1号发布", "国家档案局令第1号"),
        ("商务部、国防科工委、海关总署公告第50号", "商务部、国防科工委、海关总署公告第50号"),
        ("财政部 税务总局公告 2020 年第 2 号", "财政部 税务总局公告 2020 年第 2 号"),
        ("2016年国家发改委令第44号", "国家发改委令第44号"),
        ("国家卫生健康委令2018年第1号", "国家卫生健康委令2018年第1号"),
        ("国家税务总局令第7号公布，国家税务总局令第36号修改", "国家税务总局令第7号"),
        ("示例省人民政府令第１４２号", "示例省人民政府令第１４２号"),
        ("主席令第五十二号", "主席令第五十二号"),
        ("公安部第112号令", "公安部第112号令"),
        ("国发〔2010〕21号", "国发〔2010〕21号"),
        ("国发［2001］21号", "国发［2001］21号"),
        ("国食药监安[2011]442号", "国食药监安[2011]442号"),
        ("粤教基函【2017】200号", "粤教基函【2017】200号"),
        ("2013年示例省人民代表大会常务委员会通过，自2014年3月1日起施行", None),
        ("试行", None),
    ],
)
def test_the_document_number_is_the_first_of_the_bracket_with_all_issuers(bracket: str, number: str | None) -> None:
    assert document_number(bracket) == number
    assert only(f"《{LAW}》（{bracket}）第二条").doc_no == number


def test_a_document_number_may_follow_the_title_without_a_bracket() -> None:
    found = only("《国务院关于加强节能工作的决定》国发〔2006〕28号第二十三条")
    assert (found.doc_no, found.paren, found.articles) == ("国发〔2006〕28号", None, (Place(article=23),))


def test_the_day_of_amending_is_told_from_the_day_of_passing() -> None:
    found = only(f"《{LAW}》（2019年3月28日通过，2024年5月30日修正，2024年9月1日起施行）第二条")
    assert found.amended_on == date(2024, 5, 30)
    assert only(f"《{LAW}》（2019年3月28日通过）").amended_on is None


@pytest.mark.parametrize("text", [f"《{LAW}》（2018年修正）第二条", f"《{LAW}（2018年第二次修订）》第二条"])
def test_an_edition_may_be_named_by_its_year_alone(text: str) -> None:
    assert only(text).edition_year == 2018


def test_words_that_were_not_understood_are_returned() -> None:
    reading = read_citations(f"省里的老办法里有写，《{LAW}》第二条（略）另见窗口告示《早餐网点管理办法》")
    assert reading.rest == "省里的老办法里有写"
    assert [c.rest for c in reading.citations] == ["（略）另见窗口告示", None]


def test_a_text_without_a_law_is_returned_whole() -> None:
    assert read_citations("见窗口告示").rest == "见窗口告示"


@pytest.mark.parametrize(
    "text", [f"1.根据《{LAW}》第二条、以及依照《早餐网点管理办法》的有关规定。", f"国务院《{LAW}》", f"《{LAW}》<br>"]
)
def test_words_that_only_join_citations_are_understood(text: str) -> None:
    reading = read_citations(text)
    assert (reading.rest, [c.rest for c in reading.citations if c.rest]) == (None, [])


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (f"《{LAW}》第二条，《条例》第五条", LAW),
        (f"《{LAW}》第二条、同条例第五条", LAW),
        (f"《{LAW}》第二条，该条例第五条", LAW),
        (f"《{LAW}》（以下简称《餐饮条例》）第二条，《餐饮条例》第五条", LAW),
        (f"《{LAW}（试行）》第二条，《条例》第五条", f"{LAW}（试行）"),
        (f"《城镇早餐条例》第一条，《{LAW}》第二条，同条例第五条", LAW),
    ],
)
def test_a_short_form_means_the_one_law_it_can_mean(text: str, means: str) -> None:
    found = cited(text)[-1]
    assert (found.resolved_from, found.articles) == (means, (Place(article=5),))


@pytest.mark.parametrize(
    "text",
    [
        "《条例》第五条",
        f"《城镇早餐条例》第一条，《{LAW}》第二条，《条例》第五条",
        f"《城镇早餐条例》第一条，《{LAW}》第二条，该条例第五条",
        "《早餐网点管理办法》第二条，《条例》第五条",
        f"《{LAW}》第二条，那个什么条例里也说了，《条例》第五条",
        f"《{LAW}》（以下简称《条例》）第二条，《城镇早餐条例》（以下简称《条例》），《条例》第五条",
    ],
)
def test_a_short_form_that_may_mean_more_is_left_open(text: str) -> None:
    found = cited(text)[-1]
    assert (found.resolved_from, found.articles) == (None, (Place(article=5),))


def test_words_in_quotation_marks_after_the_place_are_the_quotation() -> None:
    found = only(f"《{LAW}》第二条规定：“申请人应当提交材料。”")
    assert (found.articles, found.quoted) == ((Place(article=2),), "申请人应当提交材料。")


def test_words_after_a_colon_are_the_quotation() -> None:
    assert only(f"《{LAW}》第二条：市商务部门负责认定。").quoted == "市商务部门负责认定。"


def test_the_text_of_the_article_that_follows_at_once_is_the_quotation() -> None:
    assert only(f"《{LAW}》第二条从事餐饮服务的，应当取得许可。").quoted == "从事餐饮服务的，应当取得许可。"


def test_the_words_of_a_sentence_that_goes_on_are_no_quotation() -> None:
    assert only(f"依照《{LAW}》第二条的规定办理许可").quoted is None


def test_several_laws_one_below_the_other_keep_their_quotations_apart() -> None:
    text = f"1.《{LAW}》第二条：“申请人应当提交材料。”\n2.《早餐网点管理办法》第三条规定：市商务部门负责。"
    assert [(c.title, c.articles[0].article, c.quoted) for c in cited(text)] == [
        (LAW, 2, "申请人应当提交材料。"),
        ("早餐网点管理办法", 3, "市商务部门负责。"),
    ]


def test_a_line_that_begins_with_an_article_belongs_to_the_law_above_it() -> None:
    text = f"《{LAW}》\n第八条　有下列情形的，予以许可：\n（一）依照《食品安全法》办理的；\n第九条　许可有效期为一年。"
    assert [(c.title, c.articles[0].article, c.quoted) for c in cited(text)] == [
        (LAW, 8, "有下列情形的，予以许可：\n（一）依照《食品安全法》办理的；"),
        (LAW, 9, "许可有效期为一年。"),
    ]


def test_articles_before_any_title_belong_to_no_law() -> None:
    assert cited("第一条 为了规范餐饮服务，制定本条例。") == ()


@pytest.mark.parametrize("text", ["", "无", "《》第一条", "《没有右书名号 第一条", "》第一条《"])
def test_a_text_that_names_no_law_holds_no_citation(text: str) -> None:
    assert cited(text) == ()


@given(st.text("《》（）()“”【】第一二十条款项目之至、，：\n 附件1法同该条例〔〕号令", max_size=60))
def test_any_text_is_read_and_every_citation_lies_inside_it(text: str) -> None:
    end = 0
    for found in cited(text):
        assert end <= found.span[0] < found.span[1] <= len(text)
        end = found.span[1]
        assert found.title
        for place in found.articles:
            assert place.to_article is None or (place.article is not None and place.to_article > place.article)


@given(article=st.integers(1, 1260), sub=MAYBE, paragraph=MAYBE, item=MAYBE, subitem=MAYBE)
def test_a_citation_that_is_written_is_read_back(
    article: int, sub: int | None, paragraph: int | None, item: int | None, subitem: int | None
) -> None:
    place = Place(article=article, sub=sub, paragraph=paragraph, item=item, subitem=subitem)
    text = format_citation(Citation(title=LAW, articles=(place,), span=(0, 1)))
    assert only(text) == Citation(title=LAW, articles=(place,), span=(0, len(text)))


@given(article=st.integers(1, 1000), length=SMALL)
def test_a_range_that_is_written_is_read_back(article: int, length: int) -> None:
    place = Place(article=article, to_article=article + length)
    assert only(format_citation(Citation(title=LAW, articles=(place,), span=(0, 1)))).articles == (place,)


@pytest.mark.parametrize(
    ("citation", "text"),
    [
        (
            Citation(title=LAW, articles=(Place(article=35, paragraph=1, item=3), Place(article=40)), span=(0, 1)),
            f"《{LAW}》第三十五条第一款第三项、第四十条",
        ),
        (
            Citation(title=LAW, articles=(Place(article=46, to_article=48),), span=(0, 1)),
            f"《{LAW}》第四十六条至第四十八条",
        ),
        (Citation(title=LAW, articles=(Place(article=120, sub=1),), span=(0, 1)), f"《{LAW}》第一百二十条之一"),
        (Citation(title=LAW, annex=Annex(annex="2", item=193), span=(0, 1)), f"《{LAW}》附件2第193项"),
        (Citation(title="同法", resolved_from=LAW, articles=(Place(article=2),), span=(0, 1)), f"《{LAW}》第二条"),
        (
            Citation(title="实施《药品管理法》办法", articles=(Place(article=2),), span=(0, 1)),
            "《实施〈药品管理法〉办法》第二条",
        ),
    ],
)
def test_a_citation_is_written_as_laws_write_it(citation: Citation, text: str) -> None:
    assert format_citation(citation) == text


# --- no text makes the reading raise, hang or grow faster than its length -------------------------------------------

HOSTILE: dict[str, Callable[[int], str]] = {
    "a list of 2,000 articles": lambda n: f"《{LAW}》" + "、".join(f"第{k}条" for k in range(1, n // 5)),
    "a list of paragraphs": lambda n: f"《{LAW}》第一条" + "、".join(f"第{k}款" for k in range(1, n // 5)),
    "enumeration commas": lambda n: f"《{LAW}》第一条" + "、" * n,
    "unclosed title marks": lambda n: "《" * n,
    "titles inside titles": lambda n: "。《" * (n // 4) + "》" * (n // 4),
    "brackets inside brackets": lambda n: f"。《{LAW}》（" * (n // 16) + "）" * (n // 16),
    "no blank at all": lambda n: "第" * n,
    "blanks": lambda n: f"《{LAW}》第一条" + " " * n + "x",
    "blanks before a colon that does not come": lambda n: (f"《{LAW}》第一条规定" + " " * 50 + "\n") * (n // 60),
    "one line of laws": lambda n: f"《{LAW}》第一条" * (n // 14),
    "short forms": lambda n: f"《{LAW}》第一条" + "，同条例第二条" * (n // 8),
    "many full titles and short forms": lambda n: "".join(
        f"《甲{k}条例》第一条，该条例第二条，" for k in range(n // 20)
    ),
    "a quotation of line places": lambda n: f"《{LAW}》第一条：" + "第二条、第三条的\n" * (n // 9),
    "tags": lambda n: "【法律】" * (n // 4),
    "numbers": lambda n: "一" * n + "条",
    "quotation marks": lambda n: f"《{LAW}》第一条：" + "“" * n,
    "orders without an issuer": lambda n: f"《{LAW}》（" + "令第1号，" * min(n // 5, 700) + "）",
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_long_text_of_any_shape_is_read_in_time_that_grows_with_its_length(shape: str) -> None:
    def seconds(length: int) -> float:
        text = HOSTILE[shape](length)
        best = 9.0
        for _ in range(2):
            begin = time.process_time()
            read_citations(text)
            best = min(best, time.process_time() - begin)
        return best

    short, long = seconds(5_000), seconds(80_000)
    # Sixteen times the text: linear is 16, quadratic 256. A hundredth of a second is below what can be told apart.
    assert long <= max(64 * short, 0.01)


def test_a_list_of_two_thousand_articles_is_read_to_its_end() -> None:
    assert articles(f"《{LAW}》" + "、".join(f"第{k}条" for k in range(1, 2001))) == list(range(1, 2001))


def test_title_marks_too_far_apart_name_no_law() -> None:
    assert cited(f"《{'条' * MAX_TITLE}》第一条") == ()


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


#: Cut short in the checked file, as its own notes say.
CHECKED_WRONG = {
    "C0048": "商务部、国防科工委、海关总署公告第50号",
    "C0055": "财政部 税务总局公告 2020 年第 2 号",
}


def test_every_checked_citation_is_read_as_it_was_checked(real_data: Path) -> None:
    rows = checked(real_data)
    assert len(rows) == 151
    for row in rows:
        found = only(row["citation"])
        assert (found.title, found.level_tag, found.paren) == (row["title"], row["level_tag"], row["paren"])
        assert found.doc_no == CHECKED_WRONG.get(row["id"], row["doc_no"])
        assert found.annex == (row["annex"] and Annex(**row["annex"]))
        assert found.rest is None
        if "amended_on" in row:
            assert found.amended_on is not None and found.amended_on.isoformat() == row["amended_on"]
        assert list(found.articles) == [
            Place(
                article=p.get("article", p.get("from")),
                to_article=p.get("to"),
                paragraph=p.get("paragraph"),
                item=p.get("item"),
            )
            for p in row["articles"]
        ]


def test_forms_are_told_from_laws_as_they_were_checked(real_data: Path) -> None:
    # One checked row calls a 报名表 a legal basis; it is a form.
    differing = [
        row["id"] for row in checked(real_data) if only(row["citation"]).is_legal_basis != row["is_legal_basis"]
    ]
    assert differing == ["C0108"]


def test_every_raw_citation_is_one_law_understood_to_its_end(real_data: Path) -> None:
    with (real_data / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [row["citation"] for row in csv.DictReader(file)]
    assert len(texts) == 409
    for text in texts:
        reading = read_citations(text)
        assert (len(reading.citations), reading.rest, reading.citations[0].rest) == (1, None, None), text


def test_every_raw_citation_that_names_an_article_has_one_read(real_data: Path) -> None:
    with (real_data / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [row["citation"] for row in csv.DictReader(file)]
    # Without titles, brackets and quotations, where an article is not the one cited.
    naming = [text for text in texts if re.search(r"第[^，。、]{1,8}条(?!例)", ASIDES.sub("", text))]
    assert len(naming) > 100
    assert [text for text in naming if not articles(text)] == []


def test_the_full_bases_of_a_power_list_are_read_with_their_quotations(real_data: Path) -> None:
    rows = json.loads((real_data / "items" / "liaoning_power_items.json").read_text(encoding="utf-8"))
    texts = [text for text in _strings(rows) if "】《" in text]
    found = [c for text in texts for c in cited(text)]
    assert len(texts) >= 10
    assert {c.level_tag for c in found if c.level_tag} >= {"法律", "地方性法规", "规章"}
    assert sum(c.quoted is not None for c in found) >= len(texts)
    for text in texts:
        assert all(c.quoted is None or c.quoted in text for c in cited(text))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in inner for text in _strings(part)]


def test_an_article_named_with_what_it_stands_under_is_that_article() -> None:
    [citation] = cited("《示例市人民政府关于示例事业发展的决定》（示府发〔2001〕21号）第三点第22条")
    assert citation.articles == (Place(22),)
    [citation] = cited("《示例法》第二章第一节第十五条第二款、第十六条")
    assert citation.articles == (Place(15, paragraph=2), Place(16))
    [citation] = cited("《示例法》第三章")
    assert citation.articles == () and citation.rest == "第三章"


def test_a_title_that_lost_its_opening_mark_at_the_beginning_of_a_line_is_read() -> None:
    found = cited("示例法》、《示例办法》第三条\n2.示例条例》（国务院令第9号）第五条")
    assert [(c.title, c.doc_no, c.articles) for c in found] == [
        ("示例法", None, ()),
        ("示例办法", None, (Place(3),)),
        ("示例条例", "国务院令第9号", (Place(5),)),
    ]
    assert found[0].span == (0, 4)


@pytest.mark.parametrize("text", ["违反示例法》的", "示例证》", "有关示例法，示例》", "依照示例法》第三条"])
def test_words_before_a_closing_mark_that_are_no_title_alone_stay_in_the_rest(text: str) -> None:
    assert cited(text) == ()


def test_a_further_place_of_a_list_may_leave_out_its_first_character() -> None:
    assert articles("《示例法》第三十七条、三十八条和四十条的规定") == [37, 38, 40]
    [citation] = cited("《示例法》第三条第一款、二款")
    assert citation.articles == (Place(3, paragraph=1), Place(3, paragraph=2))
    [citation] = cited("《示例法》第三条，5项材料")
    assert citation.articles == (Place(3),)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("第三至五条", [(3, None, None, None, None, 5)]),
        ("第 三 十 五 条", [(35, None, None, None, None, None)]),
        ("第三 十五条第一 款", [(35, None, 1, None, None, None)]),
        ("第3-5条、第八条", [(3, None, None, None, None, 5), (8, None, None, None, None, None)]),
        ("第三条~第五条", [(3, None, None, None, None, 5)]),
        ("第二条；第三条", [(2, None, None, None, None, None), (3, None, None, None, None, None)]),
        ("第四十\n条第一款", [(40, None, 1, None, None, None)]),
        ("第二条、\n第三条", [(2, None, None, None, None, None), (3, None, None, None, None, None)]),
        ("第二十四条第（一）至（三）项", [(24, None, None, n, None, None) for n in (1, 2, 3)]),
        ("第六条第一款（一）、（二）项", [(6, None, 1, n, None, None) for n in (1, 2)]),
        ("第五条第一、第二款", [(5, None, n, None, None, None) for n in (1, 2)]),
        ("（第七条、第八条）", [(7, None, None, None, None, None), (8, None, None, None, None, None)]),
    ],
)
def test_places_are_read_however_ranges_lists_and_line_ends_are_written(written: str, found: list[object]) -> None:
    assert places(f"《{LAW}》{written}") == found
    assert only(f"《{LAW}》{written}").rest is None


def test_a_range_that_runs_backwards_is_not_understood() -> None:
    assert only(f"《{LAW}》第五至三条").rest == "第五至三条"


@pytest.mark.parametrize(
    "before", ["[行政法规]", "［行政法规］", "（行政法规）", "行政法规：", "②", "2.", "【行政法规】"]
)
@pytest.mark.parametrize("quoted", ["", " 早餐网点应当登记。", " 早餐网点……"])
def test_the_next_law_is_no_quotation_of_the_one_before(before: str, quoted: str) -> None:
    first, second = cited(f"《{LAW}》第七条{quoted} {before}《示例登记条例》第二条")
    assert (first.title, second.title) == (LAW, "示例登记条例")
    assert (first.quoted, first.rest, second.articles) == (quoted.strip() or None, None, (Place(2),))


def test_a_later_article_with_its_own_quotation_in_the_same_line_is_cited_too() -> None:
    text = f"《{LAW}》第七条规定：“网点应当登记。”第九条规定：“网点可以变更。”；第十条 网点应当注销。第十二条第一款 网点可以恢复。"
    assert [(c.articles, c.quoted) for c in cited(text)] == [
        ((Place(7),), "网点应当登记。"),
        ((Place(9),), "网点可以变更。"),
        ((Place(10),), "网点应当注销。"),
        ((Place(12, None, 1),), "网点可以恢复。"),
    ]
    assert [c.full_title for c in cited(text)] == [LAW] * 4


def test_a_quoted_article_may_name_an_earlier_one_without_being_cut() -> None:
    [one] = cited(f"《{LAW}》第七条：网点应当登记。第二条 所称网点除外。")
    assert one.quoted == "网点应当登记。第二条 所称网点除外。"


def test_a_second_bracket_after_the_title_says_more_of_it() -> None:
    text = f"《{LAW}》（2019年修正）（以下简称《办法》）第七条，《办法》第八条"
    first, second = cited(text)
    assert (first.paren, first.edition_year, first.articles) == ("2019年修正", 2019, (Place(7),))
    assert (second.title, second.full_title, second.articles) == ("办法", LAW, (Place(8),))


def test_a_law_named_in_full_without_marks_is_read_at_the_beginning_of_a_line() -> None:
    [one] = cited("中华人民共和国会计法第三十八条")
    assert (one.title, one.articles, one.span) == ("中华人民共和国会计法", (Place(38),), (0, 15))
    assert not cited("违反中华人民共和国会计法第三十八条")


def test_a_title_may_go_on_in_the_next_line() -> None:
    [one] = cited("《中华人民共和国\n城乡规划法》第四十条")
    assert (one.title, one.articles) == ("中华人民共和国城乡规划法", (Place(40),))
    assert [c.title for c in cited("《甲法\n第三条规定《乙法》第四条")] == ["乙法"]


def test_joint_issuers_after_the_title_may_be_parted_by_blanks() -> None:
    one = only("《网络出版服务管理规定》国家新闻出版广电总局 工业和信息化部令第5号 第七条")
    assert (one.doc_no, one.articles) == ("国家新闻出版广电总局 工业和信息化部令第5号", (Place(7),))


def test_a_blank_between_two_figures_may_mean_one_number_or_two() -> None:
    assert only(f"《{LAW}》第三条第一 二款").rest == "第一 二款"


def test_the_year_of_an_order_belongs_to_its_number() -> None:
    assert only("《典当管理办法》（商务部 公安部2005年第8号令）第十一条").doc_no == "商务部 公安部2005年第8号令"


def test_a_month_of_amendment_names_the_edition_s_year() -> None:
    assert only(f"《{LAW}》（2016年7月修订）第七条").edition_year == 2016


def test_numbering_and_words_that_join_leave_nothing_over() -> None:
    text = f"一、《{LAW}》第七条\n二、《示例登记办法》第二条之规定；该《办法》第三条①"
    assert [(c.full_title, c.rest) for c in cited(text)] == [
        (LAW, None),
        ("示例登记办法", None),
        ("示例登记办法", None),
    ]
    assert read_citations(text).rest is None
