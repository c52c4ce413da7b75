"""What is marked between two texts and two contents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.domain.differences import field_differences, word_diff, words

TEXTS = st.text(alphabet="二十日内应当自受理之日起12个工作日，。\n第条款市监管局", max_size=40)


def test_a_figure_and_its_unit_are_marked_whole() -> None:
    parts = word_diff("应当自受理之日起二十日内作出决定", "应当自受理之日起十二个工作日内作出决定")
    assert parts == [
        ("equal", "应当自受理之日起"),
        ("delete", "二十日"),
        ("insert", "十二个工作日"),
        ("equal", "内作出决定"),
    ]


def test_only_the_number_is_marked_where_the_unit_stays() -> None:
    assert word_diff("10个工作日", "8个工作日") == [("delete", "10"), ("insert", "8"), ("equal", "个工作日")]


def test_an_article_number_is_marked_whole() -> None:
    assert word_diff("第十二条第一款", "第十五条第一款") == [
        ("equal", "第"), ("delete", "十二"), ("insert", "十五"), ("equal", "条第一款"),
    ]  # fmt: skip


def test_a_single_numeral_inside_a_word_is_no_figure() -> None:
    assert "一般" in words("一般工业固体废物")


def test_marks_less_than_two_characters_apart_are_joined() -> None:
    parts = word_diff("2019年3月28日的办法", "2026年9月25日的办法")
    assert parts == [("delete", "2019年3月28日"), ("insert", "2026年9月25日"), ("equal", "的办法")]
    parts = word_diff("食品的药品", "材料的证件")
    assert parts == [("delete", "食品的药品"), ("insert", "材料的证件")]


def test_two_insertions_are_not_joined_into_an_invented_deletion() -> None:
    assert all(tag != "delete" for tag, _ in word_diff("申请，决定", "书面申请，作出决定"))


def test_equal_texts_have_no_marks_and_empty_ones_no_parts() -> None:
    assert word_diff("办法", "办法") == [("equal", "办法")]
    assert word_diff("", "") == []
    assert word_diff("", "新增") == [("insert", "新增")]


@given(TEXTS, TEXTS)
def test_the_parts_give_back_both_texts(old: str, new: str) -> None:
    parts = word_diff(old, new)
    assert "".join(text for tag, text in parts if tag != "insert") == old
    assert "".join(text for tag, text in parts if tag != "delete") == new


@given(TEXTS, TEXTS)
def test_a_deletion_stands_before_its_insertion(old: str, new: str) -> None:
    tags = [tag for tag, _ in word_diff(old, new)]
    assert ("insert", "delete") not in zip(tags, tags[1:], strict=False)


@given(TEXTS)
def test_words_joined_give_the_text(text: str) -> None:
    assert "".join(words(text)) == text


def test_bases_read_as_citations() -> None:
    before = {"bases": [{"law": "示例条例", "edition": "2019-03-28", "article": 12, "quoted": "旧"}]}
    after = {
        "bases": [{"law": "示例条例", "edition": "2026-09-25", "article": 15, "sub": 1, "paragraph": 1, "item": 3}]
    }
    (found,) = field_differences(before, after)
    assert found.field == "bases"
    assert found.before_text == "《示例条例》（2019年3月28日文本）第十二条：“旧”"
    assert found.after_text == "《示例条例》（2026年9月25日文本）第十五条之一第一款第三项"


def test_days_and_their_unit_are_one_line() -> None:
    before = {"statutory_days": 20, "statutory_unit": "自然日"}
    after = {"statutory_days": 12, "statutory_unit": "工作日"}
    assert [(d.field, d.before_text, d.after_text) for d in field_differences(before, after)] == [
        ("statutory_days", "20日", "12个工作日")
    ]


def test_a_new_item_differs_in_what_it_has() -> None:
    found = field_differences(
        None, {"name": "登记", "type": "01", "department": "D1", "organs": []}, {"D1": "市商务局"}
    )
    assert [(d.label, d.before_text, d.after_text) for d in found] == [
        ("事项名称", "", "登记"), ("事项类型", "", "行政许可"), ("主管部门", "", "市商务局"),
    ]  # fmt: skip
