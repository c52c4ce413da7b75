"""Numbers in legal texts are read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.numerals import chinese_to_int, int_to_chinese


@given(st.integers(min_value=0, max_value=1999))
def test_a_number_written_in_chinese_is_read_back(number: int) -> None:
    assert chinese_to_int(int_to_chinese(number)) == number


@given(st.integers(min_value=0, max_value=99_999_999))
def test_large_numbers_are_read_back_too(number: int) -> None:
    assert chinese_to_int(int_to_chinese(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("一千二百六十", 1260),
        ("一百零五", 105),
        ("一百五", 105),
        ("十", 10),
        ("一百十二", 112),
        ("廿一", 21),
        ("一百廿一", 121),
        ("卅", 30),
        ("二〇二四", 2024),
        ("两千", 2000),
        ("２２", 22),
        ("142", 142),
        (" 六 十 五 ", 65),
        ("三万零五十", 30050),
    ],
)
def test_every_way_of_writing_a_number_is_read(text: str, number: int) -> None:
    assert chinese_to_int(text) == number


@pytest.mark.parametrize("text", ["", "条", "十百", "2十", "一二十", "二²", "九" * 100, "万"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        chinese_to_int(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [(46, "四十六"), (10, "十"), (110, "一百一十"), (1008, "一千零八"), (12345, "一万二千三百四十五")],
)
def test_numbers_are_written_as_laws_write_them(number: int, text: str) -> None:
    assert int_to_chinese(number) == text


def test_a_negative_number_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        int_to_chinese(-1)
