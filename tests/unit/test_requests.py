"""The parameters a change is started with: what is wrong with them is said in a clerk's words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from models.domain.errors import BadInput
from models.domain.requests import read_request

LAW: dict[str, Any] = {"title": "条例修订", "law": "社会团体登记管理条例", "from_version": "1998-10-25"}


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        ({"from_version": None}, "field_invalid", "“from_version”应为日期，例如 2026-12-08。"),
        ({"from_version": "昨天"}, "field_invalid", "“from_version”应为日期，例如 2026-12-08。"),
        ({"title": "字" * 121}, "field_invalid", "“title”最多 120 字，现为 121 字。"),
        ({"title": ""}, "field_invalid", "“title”未填写。"),
        ({"title": "字"}, "field_invalid", "“title”至少 2 字。"),
        ({"title": 7}, "field_invalid", "“title”应为文字，例如 食品经营许可。"),
        ({"colour": "red"}, "field_invalid", "“colour”不是这里的字段。"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named_with_what_it_should_be(
    more: dict[str, Any], code: str, sentence: str
) -> None:
    with pytest.raises(BadInput) as refused:
        read_request("law_change", {**LAW, **more})
    assert (refused.value.code, refused.value.message) == (code, sentence)


def test_a_parameter_that_is_missing_is_said_to_be_empty() -> None:
    with pytest.raises(BadInput) as refused:
        read_request("law_change", {"law": "条例", "from_version": "1998-10-25"})
    assert (refused.value.code, refused.value.message) == ("field_missing", "“title”未填写。")


def test_no_english_is_left_in_what_is_said_of_a_request() -> None:
    wrong: list[dict[str, Any]] = [
        {"items": []},
        {"items": "x"},
        {"items": [7]},
        {"items": [{"outcomes": []}]},
        {"items": [{"outcomes": ["rename"], "set": 1}]},
        {"items": [{"outcomes": ["rename"], "target": {"kind": "thing", "code": "1"}}]},
        {"items": [{"outcomes": ["rename"], "target": 5}]},
        {"items": [{"outcomes": ["rename"] * 9}]},
    ]
    for params in wrong:
        with pytest.raises(BadInput) as refused:
            read_request("agency_request", {"title": "更名", **params})
        words = re.sub(r"“[^”]*”|'\w+'", "", refused.value.message)
        assert not re.search(r"[a-z]{3}", words), refused.value.message
