"""Codes: the vectors of GB 32100-2015 and of live catalogues (Shanghai, Guangdong, Sichuan)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.codes import (
    USCC_ALPHABET,
    code_problems,
    is_blank_placeholder,
    next_basic_code,
    parse_code,
    uscc_check,
    uscc_ok,
)
from models.domain.errors import BadInput, Conflict

VALID = ["91110000101623741K", "911101066976941872", "11310000MB2F30661Y", "11310000MB2F056267", "12441500196720244T"]


@pytest.mark.parametrize("code", VALID)
def test_a_known_credit_code_has_the_right_check_character(code: str) -> None:
    assert uscc_ok(code)
    assert uscc_check(code[:17]) == code[17]


@pytest.mark.parametrize(
    "code", ["91350211M0000XUF46", "11440300007542785T", "310000999000YB0000", "1131000", "", "ü" * 18]
)
def test_a_code_in_use_with_a_wrong_check_character_is_not_ok(code: str) -> None:
    assert not uscc_ok(code)


@given(st.text(alphabet=USCC_ALPHABET, min_size=9, max_size=9), st.text(alphabet="0123456789", min_size=6, max_size=6))
def test_one_changed_character_never_passes_the_check(subject: str, division: str) -> None:
    body = "11" + division + subject
    right = uscc_check(body)
    assert uscc_ok(body + right)
    assert not any(uscc_ok(body + other) for other in USCC_ALPHABET if other != right)


def test_a_check_character_is_refused_for_another_length() -> None:
    with pytest.raises(BadInput) as refusal:
        uscc_check("123")
    assert refusal.value.code == "field_invalid"


def test_a_handling_item_code_is_taken_apart() -> None:
    code = parse_code("11310000MB2F30661Y231200356400001")
    assert (code.kind, code.uscc, code.level, code.basic, code.serial) == (
        "handling", "11310000MB2F30661Y", "2", "312003564000", "01",
    )  # fmt: skip
    assert code.type_segment == "20"
    assert code_problems(code.text) == []


def test_an_implementation_code_is_taken_apart() -> None:
    code = parse_code("12441500196720244T3442199806003")
    assert (code.kind, code.uscc, code.level, code.basic, code.serial) == (
        "implementation", "12441500196720244T", "3", "442199806003", None,
    )  # fmt: skip
    assert code_problems(code.text) == []


def test_a_basic_code_of_a_main_item_with_sub_items_is_sound() -> None:
    assert parse_code("00012313600Y").kind == "basic"
    assert code_problems("00012313600Y") == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("11440300007542785T4440709003000", "校验位应为"),
        ("310000999000YB0000531200037700001", "占位"),
        ("000000000000", "全为 0"),
        ("11310000MB2F30661", "17 位"),
        ("11310000mb2f30661y2312003564000", "小写"),
        ("219964005000", "不符合 12 位规则"),
        ("11310000MB2F30661Y9312003564000", "行使层级"),
        ("11310000MB2F30661Y231200356400000", "序号"),
        ("511A0077700002-510000000000-000-8282348-1-00", "7 位"),
        ("E-000021-001-1111111111111111", "占位"),
        ("编码310", "以外的字符"),
        ("TE440000GD030003VV2442199678000", "格式"),
    ],
)
def test_an_odd_code_is_described_in_a_sentence(code: str, said: str) -> None:
    assert any(said in problem for problem in code_problems(code))


def test_a_local_code_of_another_province_with_a_right_subject_is_not_odd() -> None:
    text = "511Z0164200000-511602000000-000-11511301MB1550442U-1-00"
    assert parse_code(text).kind == "local"
    assert parse_code(text).uscc == "11511301MB1550442U"
    assert code_problems(text) == []


@given(st.text(max_size=60))
def test_any_text_is_parsed_and_described_without_an_error(text: str) -> None:
    parse_code(text)
    assert all(problem and not problem.endswith("。") for problem in code_problems(text))
    is_blank_placeholder(text)


def test_the_next_code_goes_on_after_the_highest_ever_given() -> None:
    assert next_basic_code("01", "31", []) == "310100001000"
    assert next_basic_code("01", "31", ["310100001000", "310100007002", "312000900000", "bad"]) == "310100008000"


def test_a_full_range_falls_back_to_a_gap_and_then_refuses() -> None:
    assert next_basic_code("01", "31", ["310199999000", "310100001000"]) == "310100002000"
    with pytest.raises(Conflict):
        next_basic_code("01", "31", [f"3101{n:05d}000" for n in range(1, 100000)])


def test_a_type_that_is_no_type_is_refused() -> None:
    with pytest.raises(BadInput):
        next_basic_code("99", "31", [])
