"""The content of an item: setting values, what is refused and how it is said, the hash."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.content import (
    FIELD_BY_NAME,
    FIELDS,
    BasisContent,
    ItemContent,
    apply_set,
    changed_fields,
    content_hash,
    fields_for,
)
from models.domain.errors import BadInput

ITEM = ItemContent(name="档案开放审批", type="01", code="310175004000", department="D01", materials=("申请书",))


def test_every_field_of_the_content_is_described_once() -> None:
    assert sorted(field.name for field in FIELDS) == sorted(ItemContent.model_fields)
    assert len(FIELD_BY_NAME) == len(FIELDS)
    assert all(field.label_zh and field.label_en and field.help and field.example for field in FIELDS)


def test_an_outcome_may_set_only_its_fields() -> None:
    assert fields_for("rename") == ("name",)
    assert fields_for("change_basis") == ("bases",)
    assert "fee" in fields_for("change_guide") and "name" not in fields_for("change_guide")
    assert set(fields_for("add")) == set(FIELD_BY_NAME)


def test_set_values_are_cleaned_and_only_they_change() -> None:
    changed = apply_set(ITEM, {"name": " 延期开放\n档案审批 ", "promised_days": "5", "organs": "甲局；乙局", "fee": ""})
    assert changed.name == "延期开放 档案审批"
    assert changed.promised_days == 5
    assert changed.organs == ("甲局", "乙局")
    assert changed.fee is None
    assert changed_fields(ITEM, changed) == ["name", "organs", "promised_days"]


def test_bases_are_set_from_objects() -> None:
    value = [{"law": "《中华人民共和国档案法》", "edition": "2020-06-20", "article": "30", "sub": None, "quoted": ""}]
    changed = apply_set(ITEM, {"bases": value})
    assert changed.bases == (BasisContent(law="中华人民共和国档案法", edition=date(2020, 6, 20), article=30),)
    again = apply_set(changed, {"bases": json.loads(changed.model_dump_json())["bases"]})
    assert again == changed


def test_a_type_may_be_given_by_its_name() -> None:
    assert apply_set(ITEM, {"type": "公共服务"}).type == "20"


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"name": ""}, "field_missing", "name"),
        ({"name": None}, "field_missing", "name"),
        ({"name": "长" * 201}, "field_too_long", "name"),
        ({"name": 5}, "field_invalid", "name"),
        ({"name": "a\x00b"}, "field_invalid", "name"),
        ({"type": "99"}, "field_invalid", "type"),
        ({"promised_days": "五"}, "field_invalid", "promised_days"),
        ({"promised_days": -1}, "field_invalid", "promised_days"),
        ({"promised_days": True}, "field_invalid", "promised_days"),
        ({"promised_unit": "周"}, "field_invalid", "promised_unit"),
        ({"organs": 3}, "field_invalid", "organs"),
        ({"bases": "x"}, "field_invalid", "bases"),
        ({"bases": [1]}, "field_invalid", "bases"),
        ({"bases": [{"law": ""}]}, "field_missing", "bases"),
        ({"bases": [{"law": "档案法", "article": 0}]}, "field_invalid", "bases"),
        ({"bases": [{"law": "档案法", "edition": "去年"}]}, "field_invalid", "bases"),
        ({"bases": [{"law": "档案法", "条": 3}]}, "field_invalid", "bases"),
        ({"extra": {"a": 1}}, "field_invalid", "extra"),
        ({"nonsense": "1"}, "field_invalid", "nonsense"),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_a_sentence(values: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        apply_set(ITEM, values)
    assert refusal.value.code == code
    assert refusal.value.details["field"] == field
    assert refusal.value.message.endswith("。")


def test_a_new_item_needs_name_type_and_department() -> None:
    whole = {"name": "新事项", "type": "01", "department": "D01"}
    assert apply_set(None, whole).name == "新事项"
    for name in whole:
        with pytest.raises(BadInput) as refusal:
            apply_set(None, {key: value for key, value in whole.items() if key != name})
        assert refusal.value.code == "field_missing"


def test_the_hash_follows_the_content_and_nothing_else() -> None:
    a = ItemContent(name="甲", type="01", extra={"x": "1", "y": "2"})
    b = ItemContent(extra={"y": "2", "x": "1"}, type="01", name="甲")
    assert content_hash(a) == content_hash(b)
    assert len(content_hash(a)) == 64
    assert content_hash(a) != content_hash(apply_set(a, {"name": "乙"}))
    assert content_hash(ItemContent.model_validate_json(a.model_dump_json())) == content_hash(a)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FIELD_BY_NAME)), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))
    )
)
def test_setting_anything_gives_a_content_or_a_named_refusal(values: dict[str, Any]) -> None:
    try:
        once = apply_set(ITEM, values)
    except BadInput:
        return
    assert apply_set(once, {name: getattr(once, name) for name in values}) == once
