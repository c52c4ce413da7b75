"""Texts from outside: what is stored, and what no way out makes more of than text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import BadInput
from models.domain.outside import MOST_NESTED, check_storable, md, one_line, unlinked
from tests.hostile import HOSTILE, UNSTORABLE


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [*UNSTORABLE, {"a\x00": 1}, [["\udfff"]], float("inf"), float("nan"), {"a": [1e400]}, 10**30, nested(10_000)],
)
def test_what_no_database_takes_is_refused(value: Any) -> None:
    with pytest.raises(BadInput) as refused:
        check_storable({"in": value})
    assert refused.value.code == "field_invalid"


@pytest.mark.parametrize("value", [*HOSTILE, None, True, 0, -1.5, 2**53, {"a": [{"b": "c"}]}, nested(MOST_NESTED)])
def test_any_text_and_any_reasonable_value_is_stored(value: Any) -> None:
    check_storable(value)


@given(st.text())
def test_one_line_is_one_line_without_control_signs_for_any_text(text: str) -> None:
    shown = one_line(text)
    assert shown.splitlines() in ([], [shown])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@given(st.text(alphabet="abc中<>&[]()!`*_|#~$\\\n@.:/wh tps"))
def test_markdown_keeps_no_mark_link_or_tag_of_a_text(text: str) -> None:
    shown = md(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]()!|#~$]", shown)
    assert "<" not in shown and ">" not in shown and "\n" not in shown
    assert "www." not in shown.lower()
    assert not re.search(r"(?<!\u2060)(?:@|://)", shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_text_is_taken_for_an_address_by_a_page_of_logs(text: str) -> None:
    shown = unlinked(text)
    assert shown.replace("\u2060", "") == one_line(text)
    assert not re.search(r"(?i)www\.|(?<!\u2060)(?:@|://)", shown)


def test_ordinary_words_stay_as_they_are() -> None:
    assert md("食品经营许可：第三十五条（2021年）") == "食品经营许可：第三十五条（2021年）"
    assert one_line("市市场监管局") == unlinked("市市场监管局") == "市市场监管局"
