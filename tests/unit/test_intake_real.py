"""Published catalogues are read whole, faults included."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from models.intake.files import recognise
from models.intake.items import ItemRow, content_of, identity, read_items
from models.intake.rows import ReadFile, Report


def read(real_data: Path, name: str) -> ReadFile[ItemRow]:
    start = time.perf_counter()
    found = read_items(real_data / "items" / name)
    print(f"{name}: {len(found.rows)} rows in {time.perf_counter() - start:.3f} s")
    return found


@pytest.mark.parametrize(
    ("name", "shape", "rows", "warned"),
    [
        ("guangdong_items.csv", "guangdong", 1181, 190),
        ("sichuan_district_items.csv", "sichuan", 568, 24),
        ("liaoning_power_items.json", "liaoning", 15, 1),
        ("shanghai_item_codes.csv", "shanghai", 53, 53),
        ("shanghai_jiading_guides.json", "jiading", 4, 2),
        ("guangxi_implementation_items.json", "guangxi", 1, 0),
        ("zhejiang_inspection_items.csv", "zhejiang", 42, 0),
    ],
)
def test_every_row_of_a_real_catalogue_is_taken(real_data: Path, name: str, shape: str, rows: int, warned: int) -> None:
    found = read(real_data, name)
    report = Report(file=name, kind=found.kind)
    for row in found.rows:
        report.count(row.problems, "added" if row.value else None)
    assert (found.kind, found.shape, report.rows) == ("items", shape, rows)
    assert (report.refused, report.warned, report.taken) == (0, warned, rows - warned)
    values = [row.value for row in found.rows if row.value]
    assert len({identity(value) for value in values}) == rows
    assert all(content_of(value).name for value in values)


def test_guangdong_rows_are_implementations_and_handling_items_with_translated_types(real_data: Path) -> None:
    values = [row.value for row in read(real_data, "guangdong_items.csv").rows if row.value]
    assert Counter(value.kind for value in values) == {"implementation": 992, "handling": 189}
    assert Counter(value.type_code for value in values)["20"] == 859
    assert {value.level for value in values} == {"2", "3"}
    assert all(value.parent_code and value.parent_name and value.department_text for value in values)


def test_inspections_are_sub_items_of_what_their_rows_have_in_common(real_data: Path) -> None:
    found = read(real_data, "zhejiang_inspection_items.csv")
    values = [row.value for row in found.rows if row.value]
    assert {(value.kind, value.type_code, value.code) for value in values} == {("item", "06", None)}
    assert Counter(value.main_name for value in values)["流通领域商品质量检查"] == 7
    assert [value.name for value in values if value.main_name is None][:2] == [
        "获证食品生产企业监管",
        "制造计量器具生产企业监督检查",
    ]
    assert ["不是依申请" in note.message for note in found.notes] == [True]


def test_liaoning_rows_have_their_bases_as_text(real_data: Path) -> None:
    values = [row.value for row in read(real_data, "liaoning_power_items.json").rows if row.value]
    assert all(value.basis_text for value in values)
    secrets = [value for value in values if "保守国家秘密法》" in value.basis_text]
    assert [value.department_text for value in secrets] == ["76"]


def test_laws_are_told_from_items(real_data: Path) -> None:
    laws = [*(real_data / "laws" / "versions").glob("*/*.md"), real_data / "laws" / "corpus_dept_rules.jsonl"]
    assert {recognise(path) for path in laws} == {"laws"}
