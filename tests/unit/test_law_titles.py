"""Which law of the library a cited title means."""

from __future__ import annotations

import pytest

from models.domain.law_titles import Library, Resolution

LIBRARY = Library(
    [
        "中华人民共和国食品安全法",
        "中华人民共和国食品安全法实施条例",
        "辽宁省消防条例",
        "认证认可条例",
        "示例市餐饮服务管理条例",
        "示例市餐饮服务管理办法（试行）",
        "民事诉讼法",
        "刑事诉讼法",
        "海洋环境保护法",
    ]
)


@pytest.mark.parametrize(
    ("title", "law"),
    [
        ("食品安全法", "中华人民共和国食品安全法"),
        ("中华人民共和国食品安全法", "中华人民共和国食品安全法"),
        ("食品 安全法", "中华人民共和国食品安全法"),
        ("食品安全法（2018年修正）", "中华人民共和国食品安全法"),
        ("食品安全法(2021修正)", "中华人民共和国食品安全法"),
        ("食品安全法实施条例", "中华人民共和国食品安全法实施条例"),
        ("示例市餐饮服务管理办法（试行）", "示例市餐饮服务管理办法（试行）"),
    ],
)
def test_a_title_means_the_law_of_that_name(title: str, law: str) -> None:
    assert LIBRARY.resolve(title) == Resolution(law=law)


@pytest.mark.parametrize(
    ("title", "candidate"),
    [
        ("中华人民共和国认证认证条例", "认证认可条例"),
        ("示例市餐饮服务营理条例", "示例市餐饮服务管理条例"),
        ("示例市餐饮服务管理办法", "示例市餐饮服务管理办法（试行）"),
    ],
)
def test_a_title_with_wrong_characters_names_candidates_and_no_law(title: str, candidate: str) -> None:
    assert LIBRARY.resolve(title) == Resolution(candidates=(candidate,))


@pytest.mark.parametrize(
    "title",
    [
        "食品安全法实施细则",
        "消防条例",
        "吉林省消防条例",
        "食品安全条例",
        "行政诉讼法",
        "公司法",
        "环境保护法",
        "法",
        "",
    ],
)
def test_another_kind_of_document_or_another_place_is_no_candidate(title: str) -> None:
    assert LIBRARY.resolve(title) == Resolution()


def test_two_laws_that_differ_in_one_character_are_not_taken_for_each_other() -> None:
    assert LIBRARY.resolve("民事诉讼法").law == "民事诉讼法"
    assert LIBRARY.resolve("刑事诉讼法").law == "刑事诉讼法"


def test_a_former_title_is_the_law_and_marked_as_renamed() -> None:
    library = Library(["示例市城乡规划条例", "示例市绿化条例"], {"示例市城乡规划条例": ["示例市城市规划条例"]})
    found = library.resolve("《示例市城市规划条例》")
    assert (found.law, found.renamed, found.candidates) == ("示例市城乡规划条例", True, ())
    assert library.resolve("示例市绿化条例").renamed is False


def test_a_law_of_that_title_goes_before_one_that_had_it_and_two_that_had_it_are_candidates() -> None:
    both = Library(["甲市规划条例", "乙市规划条例"], {"甲市规划条例": ["老规划条例"], "乙市规划条例": ["老规划条例"]})
    assert both.resolve("老规划条例").law is None
    assert set(both.resolve("老规划条例").candidates) == {"甲市规划条例", "乙市规划条例"}
    own = Library(["甲市规划条例", "老规划条例"], {"甲市规划条例": ["老规划条例"]})
    assert own.resolve("老规划条例").law == "老规划条例" and not own.resolve("老规划条例").renamed
