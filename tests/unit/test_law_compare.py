"""Which article of the old text is which of the new one: unchanged, amended, moved, both, removed, added."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.law_compare import CERTAIN_FROM, FLOOR, ArticleMatch, match_articles, normal_form, where_now
from models.domain.law_text import Article, LawText, read_law
from models.domain.numerals import chinese_to_int

PURPOSE = "为了规范餐饮服务，保障公众健康，制定本条例。"
PERMIT = "申请从事小型餐饮服务的，应当向所在地区市场监督管理部门提交材料；受理之日起二十日内作出决定。"
PERMIT_NEW = "申请从事小型餐饮服务的，应当向所在地区市场监督管理部门提交材料；受理之日起十二个工作日内作出决定。"
NOTICE = "登记事项发生变化的，应当在三十日内申请变更登记。"
STALL = "早餐车临时占道经营的，应当取得许可，许可有效期为一年。"
CHECK = "餐饮服务提供者应当建立食品安全自查制度，并定期公布自查情况，接受社会监督。"
TEXTS = st.lists(st.text("甲乙丙丁戊己庚辛壬癸子丑寅卯", min_size=6, max_size=30), max_size=8)
#: What legal texts are printed with; combining accents are not among it.
PRINTED = (
    "许可〇零一２2aＡ①㈠%％ 　\u00a0\u200b\ufeff\n、，,。．.·・；;：:（()）〔〕［］[]【】〈〉《》<>“”「」\"‘’'—–─－-…～"
)
CHANGES = {
    "不变": "unchanged",
    "同条修改": "amended",
    "移条未改": "moved",
    "移条并修改": "moved_and_amended",
    "删除或大改": "removed",
}


def law(*texts: str) -> list[Article]:
    return [Article(no=number, text=text) for number, text in enumerate(texts, start=1)]


def changes(matches: list[ArticleMatch]) -> list[tuple[int | None, int | None, str]]:
    return [(m.old and m.old.no, m.new and m.new.no, m.change) for m in matches]  # type: ignore[misc]


def published(real_data: Path, title: str, edition: str) -> LawText:
    path = real_data / "laws" / "versions" / title / f"{edition}.md"
    return read_law(path.read_text(encoding="utf-8"), path.name)


def test_each_kind_of_change_is_told() -> None:
    old = law(PURPOSE, PERMIT, NOTICE, STALL)
    new = law(PURPOSE, CHECK, PERMIT_NEW, NOTICE)
    assert changes(match_articles(old, new)) == [
        (1, 1, "unchanged"),
        (None, 2, "added"),
        (2, 3, "moved_and_amended"),
        (3, 4, "moved"),
        (4, None, "removed"),
    ]


def test_an_article_amended_in_its_place_is_amended() -> None:
    rows = match_articles(law(PURPOSE, PERMIT), law(PURPOSE, PERMIT_NEW))
    assert changes(rows) == [(1, 1, "unchanged"), (2, 2, "amended")]
    assert rows[1].similarity is not None and CERTAIN_FROM <= rows[1].similarity < 1


def test_the_same_number_with_other_content_is_no_amendment() -> None:
    rows = match_articles(law(PURPOSE, STALL), law(PURPOSE, CHECK))
    assert changes(rows) == [(1, 1, "unchanged"), (2, None, "removed"), (None, 2, "added")]
    assert [row.similarity for row in rows] == [1.0, None, None]


def test_an_article_extended_by_paragraphs_in_its_place_is_amended() -> None:
    more = "\n".join([CHECK, STALL, "具体办法由市市场监督管理部门会同市商务部门另行制定，报市人民政府批准后公布。"])
    rows = match_articles(law(PURPOSE, NOTICE), law(PURPOSE, NOTICE + "\n" + more))
    assert changes(rows) == [(1, 1, "unchanged"), (2, 2, "amended")]
    assert rows[1].certain


def test_a_few_words_that_stand_in_another_text_by_chance_are_no_amendment() -> None:
    rows = match_articles(law(PURPOSE, "应当公布。"), law(PURPOSE, CHECK + STALL + "应当公布。"))
    assert changes(rows) == [(1, 1, "unchanged"), (2, None, "removed"), (None, 2, "added")]


def test_a_text_that_moved_is_found_although_its_number_holds_a_similar_one() -> None:
    rows = match_articles(law(PURPOSE, PERMIT), law(PURPOSE, PERMIT_NEW, PERMIT))
    assert changes(rows) == [(1, 1, "unchanged"), (None, 2, "added"), (2, 3, "moved")]


def test_of_equal_texts_each_keeps_its_number() -> None:
    rows = match_articles(law(NOTICE, PURPOSE, NOTICE), law(NOTICE, STALL, NOTICE))
    assert [row.change for row in rows if row.old and row.old.text == NOTICE] == ["unchanged", "unchanged"]


def test_a_removed_article_stands_after_the_new_place_of_the_one_before_it() -> None:
    rows = match_articles(law(PURPOSE, STALL, PERMIT, NOTICE), law(NOTICE, PURPOSE, PERMIT))
    assert changes(rows) == [(4, 1, "moved"), (1, 2, "moved"), (2, None, "removed"), (3, 3, "unchanged")]


def test_a_different_way_of_printing_is_no_change() -> None:
    printed = PERMIT.replace("，", ",").replace("；", "; ") + "\u200b"
    assert changes(match_articles(law(PERMIT), law(printed))) == [(1, 1, "unchanged")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("〔2024〕21号", "［2024］21号"),
        ("“许可”", '"许可"'),
        ("第２２条", "第22条"),
        ("甲、 乙。", "甲,乙."),
        ("〈办法〉", "《办法》"),
    ],
)
def test_brackets_quotation_marks_and_blanks_are_compared_in_one_form(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)


def test_other_words_are_never_the_same_form() -> None:
    assert normal_form("应当取得批准") != normal_form("应当办理备案")


@given(st.text(PRINTED))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


def test_an_article_inserted_between_two_numbers_is_added() -> None:
    old = [Article(no=1, text=PURPOSE), Article(no=2, text=NOTICE)]
    new = [Article(no=1, text=PURPOSE), Article(no=1, sub=1, text=STALL), Article(no=2, text=NOTICE)]
    assert [row.change for row in match_articles(old, new)] == ["unchanged", "added", "unchanged"]


def test_where_an_old_article_is_now_is_found_by_its_number() -> None:
    old = [Article(no=1, text=PURPOSE), Article(no=1, sub=1, text=STALL), Article(no=2, text=NOTICE)]
    found = where_now(match_articles(old, law(PURPOSE, NOTICE)))
    assert {key: row.new and row.new.no for key, row in found.items()} == {(1, 0): 1, (1, 1): None, (2, 0): 2}


@given(TEXTS)
def test_a_text_compared_with_itself_is_unchanged(texts: list[str]) -> None:
    rows = match_articles(law(*texts), law(*texts))
    assert {row.change for row in rows} <= {"unchanged"} and len(rows) == len(texts)


@given(TEXTS, TEXTS)
def test_every_article_of_both_texts_is_in_exactly_one_row(old: list[str], new: list[str]) -> None:
    rows = match_articles(law(*old), law(*new))
    assert sorted(row.old.no for row in rows if row.old) == list(range(1, len(old) + 1))
    assert [row.new.no for row in rows if row.new] == list(range(1, len(new) + 1)), "in the order of the new text"


@given(TEXTS, TEXTS)
def test_what_is_called_unchanged_is_equal_and_what_is_called_amended_is_not(old: list[str], new: list[str]) -> None:
    for row in match_articles(law(*old), law(*new)):
        if row.old and row.new:
            equal = normal_form(row.old.text) == normal_form(row.new.text)
            assert equal == (row.change in {"unchanged", "moved"})
            assert (row.old.no == row.new.no) == (row.change in {"unchanged", "amended"})
            assert row.similarity is not None and row.similarity > FLOOR
        else:
            assert (row.change, row.similarity) == ("removed" if row.old else "added", None)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([PURPOSE, PERMIT, NOTICE, STALL, CHECK]), unique=True, min_size=1), st.randoms())
def test_a_new_order_alone_loses_no_article(texts: list[str], random: object) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert {row.change for row in match_articles(law(*texts), law(*shuffled))} <= {"unchanged", "moved"}


@pytest.mark.parametrize(
    ("title", "before", "after", "amended"),
    [
        ("海洋观测预报管理条例", "2012-03-01", "2023-07-20", [10, 31]),
        ("治安管理处罚法", "2005-08-28", "2012-10-26", [60]),
        ("食品安全法", "2021-04-29", "2025-09-12", [41, 81, 82, 124, 132]),
    ],
)
def test_a_small_amendment_touches_the_articles_it_amended(
    real_data: Path, title: str, before: str, after: str, amended: list[int]
) -> None:
    rows = match_articles(published(real_data, title, before).articles, published(real_data, title, after).articles)
    touched = [row for row in rows if row.change != "unchanged"]
    assert {row.change for row in touched} == {"amended"}
    assert sorted(row.old.no for row in touched if row.old) == amended


def test_what_the_data_calls_unchanged_or_only_renumbered_is_so_here(real_data: Path) -> None:
    found: Counter[tuple[str, bool]] = Counter()
    pairs: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    with (real_data / "laws" / "article_changes_derived.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if row["change"] in {"不变", "移条未改"}:
                pairs.setdefault((row["law"], row["from_version"], row["to_version"]), []).append(row)
    for (title, before, after), rows in pairs.items():
        old, new = published(real_data, title, before), published(real_data, title, after)
        now = where_now(match_articles(old.articles, new.articles))
        for row in rows:
            match = now[_number(row["old_article"])]
            same = match.new is not None and (match.new.no, match.new.sub) == _number(row["new_article"])
            found[row["change"], same and match.change == CHANGES[row["change"]]] += 1
    assert len(pairs) > 60
    assert found == {("不变", True): 1635, ("移条未改", True): 696}


def _number(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"第(.+?)条(?:之(.+))?", text)
    assert found is not None, text
    return chinese_to_int(found[1]), chinese_to_int(found[2]) if found[2] else 0


def test_a_good_pair_is_never_given_up_for_two_poor_ones() -> None:
    gambling = "以营利为目的，为赌博提供条件的，或者参与赌博赌资较大的，处五日以下拘留或者{}元以下罚款；情节严重的，处十日拘留。"
    fence = "协助组织或者运送他人偷越国境的，处十日以上十五日以下拘留，并处一千元以上五千元以下罚款。"
    bugs = "非法安装、使用、提供窃听、窃照专用器材的，处五日以下拘留或者一千元以上三千元以下罚款；情节较重的，处五日以上十日以下拘留。"
    old = [Article(no=61, text=fence), Article(no=70, text=gambling.format("五百"))]
    new = [Article(no=70, text=bugs), Article(no=82, text=gambling.format("一千"))]
    assert {(m.old.no, m.new.no) for m in match_articles(old, new) if m.old and m.new} == {(70, 82)}


def test_an_article_whose_sentences_changed_places_and_that_grew_is_found_again_under_another_number() -> None:
    colour, picture = (
        "申请人请求保护色彩的，应当提交彩色图片或者照片。",
        "申请人应当就每件外观设计产品所需要保护的内容提交有关图片。",
    )
    part = "申请局部外观设计专利的，应当提交整体产品的视图，并用虚线表明所需要保护部分的内容。"
    old = [Article(no=27, text=f"{colour}\n{picture}")]
    new = [
        Article(no=26, text="依照专利法规定缴纳的各种费用，可以直接缴纳。"),
        Article(no=30, text=f"{picture}\n{part}\n{colour}"),
    ]
    [match] = [m for m in match_articles(old, new) if m.old]
    assert (match.new and match.new.no, match.certain) == (30, False)
