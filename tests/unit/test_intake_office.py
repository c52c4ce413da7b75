"""Departments, people, and what a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.domain.errors import BadInput
from models.intake.files import read_text, recognise
from models.intake.office import address_ok, read_departments, read_people


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "file.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_text_is_read_in_the_encodings_offices_use(tmp_path: Path, encoding: str) -> None:
    assert read_text(write(tmp_path, "编号,名称\r\n1,甲\r\n", encoding)) == "编号,名称\n1,甲\n"


@pytest.mark.parametrize("data", [b"", b" \n", b"PK\x03\x04abc", b"a\x00b", b"\xff\xff\xff\x81"])
def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput) as refusal:
        read_text(path)
    assert refusal.value.code == "file_unreadable"
    assert str(path) in refusal.value.message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput) as refusal:
            recognise(path)
        assert refusal.value.code == "file_unreadable"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("id,full,short,uscc,level,region,superior\n", "departments"),
        ("id,name,email,department,roles,level,region,from,to\n", "people"),
        ("name,type,code,department\n", "items"),
        ('事项名称,事项类型,依据\n甲,行政许可,"档案法\n第三十条 …"\n', "items"),
        ("TASK_CODE,TASK_TYPE,TASK_NAME\n", "items"),
        ("department,main_item,item_name,itemCode,areaCode,taskType,deptCode\n", "items"),
        ('[{"职权编码":"1","事项名称":"甲","事项类型":"01"}]', "items"),
        ('{"data":[{"职权编码":"1","事项名称":"甲","事项类型":"01"}]}', "items"),
        ('{"title":"法","text":"第一条 x"}\n{"title":"法二","text":"第一条 y"}\n', "laws"),
        ("# 示例条例\n\n第一条 为了…\n", "laws"),
        ("示例条例\n\n**第一条**　为了…\n", "laws"),
    ],
)
def test_a_kind_is_told_from_the_content(tmp_path: Path, text: str, kind: str) -> None:
    assert recognise(write(tmp_path, text)) == kind


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "[1,2]", '[{"a":', "{}", "[]", "只有一句话", '{"a":1}\n{"b"'])
def test_an_unknown_or_malformed_file_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        recognise(write(tmp_path, text))
    assert refusal.value.code == "file_unreadable"


def test_departments_are_read_and_odd_ones_are_said(tmp_path: Path) -> None:
    text = (
        "id,full,short,uscc,level,region,superior,备注\n"
        "D01,示例市档案局,市档案局,11310000MB2F30661Y,3,310000,,老部门\n"
        "D02,示例市民政局,,11310000MB2F306610,3,310000,D01,\n"
        ",无编号局,,,,,,\n"
        "D01,又一个,,,,,,\n"
        "D03,短行\n"
    )
    read = read_departments(write(tmp_path, text))
    values = [row.value for row in read.rows]
    assert [value.id if value else None for value in values] == ["D01", "D02", None, None, "D03"]
    assert values[0] is not None and values[0].extra == {"备注": "老部门"}
    assert values[1] is not None and values[1].short == "示例市民政局"
    assert "校验位" in read.rows[1].problems[0].message
    assert read.rows[2].problems[0].level == "refusal"
    assert "第 2 行重复" in read.rows[3].problems[0].message
    assert "2 列" in read.rows[4].problems[0].message
    assert [note.field for note in read.notes] == ["备注"]


@pytest.mark.parametrize("address", ["a,b@x.cn", "a b@x.cn", "a&b@x.cn", "a?b@x.cn", "ab.x.cn", "a@b@c", "@x.cn", "a@"])
def test_an_address_that_apprise_would_misread_is_not_taken(tmp_path: Path, address: str) -> None:
    assert not address_ok(address)
    text = f'id,name,email,department,roles,level,region,from,to\nP1,张三,"{address}",D01,drafter,,,,\n'
    row = read_people(write(tmp_path, text)).rows[0]
    assert row.value is not None and row.value.email is None
    assert row.problems[0].field == "email" and address in row.problems[0].message


def test_people_are_read_with_roles_and_days(tmp_path: Path) -> None:
    text = (
        "id,name,email,department,roles,level,region,from,to\n"
        "P1,张三,zhang@example.test,D01,drafter;coordinator,3,310000,2026-01-01,2026-12-31\n"
        "P1,张三,zhang@example.test,D02,approver;magician,,,2026-13-01,\n"
        "P1,李四,li@example.test,D03,drafter,,,,\n"
        "P1,张三,zhang@example.test,D01,drafter,,,,\n"
        "P2,,x@example.test,D01,drafter,,,,\n"
    )
    rows = read_people(write(tmp_path, text)).rows
    first = rows[0].value
    assert first is not None and not rows[0].problems
    assert first.roles == ("drafter", "coordinator")
    assert str(first.from_on) == "2026-01-01" and str(first.to_on) == "2026-12-31"
    second = rows[1].value
    assert second is not None and second.roles == ("approver",) and second.from_on is None
    assert len(rows[1].problems) == 2
    assert [row.value for row in rows[2:]] == [None, None, None]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_people(write(tmp_path, "id,full\nD1,x\n"))
