"""Items from files: shapes, warnings, identity, the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.domain.content import BasisContent, ItemContent, content_hash
from models.domain.errors import BadInput
from models.intake.items import ItemRow, content_of, identity, read_items
from models.intake.rows import ReadFile, Report
from models.reference.item_types import sources, translate_type


def load(folder: Path, text: str, name: str = "items.csv") -> ReadFile[ItemRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_items(path)


def value(read: ReadFile[ItemRow], index: int) -> ItemRow:
    found = read.rows[index].value
    assert found is not None
    return found


def test_types_are_translated_by_a_table_per_source() -> None:
    assert translate_type("guangdong", "20") == "10"
    assert translate_type("guangdong", "21") == "20"
    assert translate_type("sichuan", "1") == "01"
    assert translate_type("liaoning", "20") == "20"
    assert translate_type("liaoning", "77") is None
    assert {"own", "guangdong", "sichuan", "liaoning"} <= set(sources())


def test_our_own_file_is_read_with_bases_as_json_or_as_text(tmp_path: Path) -> None:
    bases = json.dumps([{"law": "中华人民共和国档案法", "article": 30}], ensure_ascii=False).replace('"', '""')
    text = (
        "name,type,code,department,organs,bases,依据,promised_days,备注\n"
        f'档案开放审批,01,310100001000,D01,甲局;乙局,"{bases}",,5,旧\n'
        "社保卡开通,公共服务,,D02,,,《社会保险法》第五十条,五,\n"
        ",01,,D02,,,x,,\n"
        "\n"
        "无依据事项,77,310100002000,,,,,,\n"
    )
    read = load(tmp_path, text)
    assert [note.field for note in read.notes] == ["备注"]
    first = value(read, 0)
    assert first.kind == "item" and not read.rows[0].problems
    assert first.bases == (BasisContent(law="中华人民共和国档案法", article=30),)
    assert first.extra == {"备注": "旧"}
    content = content_of(first, "D01")
    assert content.organs == ("甲局", "乙局") and content.promised_days == 5 and content.department == "D01"
    second = value(read, 1)
    assert second.type_code == "20" and second.basis_text == "《社会保险法》第五十条"
    assert second.extra == {"promised_days": "五"} and read.rows[1].problems[0].field == "承诺办结时限"
    assert read.rows[2].value is None and read.rows[2].problems[0].level == "refusal"
    assert [problem.field for problem in read.rows[3].problems] == ["事项类型", "主管部门", "设定依据"]


INSPECTIONS = (
    "抽查事项名称,抽查子项,抽查依据,抽查主体,抽查对象,抽查频次\n"
    "登记事项检查,甲类登记的检查,《示例登记条例》第三条,市场监管部门,各类企业,每年一次\n"
    "登记事项 检查,乙类登记的检查,《示例登记条例》第四条,市场监管部门,个体工商户,每年一次\n"
    "年度报告检查,年度报告检查,《示例登记条例》第五条,市场监管部门,企业,每年一次\n"
    "标志使用检查,,《示例标志条例》第六条,市场监管部门,企业,每年一次\n"
)


def test_inspections_have_no_code_and_their_rows_of_one_name_are_sub_items(tmp_path: Path) -> None:
    read = load(tmp_path, INSPECTIONS)
    rows = [value(read, n) for n in range(4)]
    assert [(row.name, row.main_name) for row in rows] == [
        ("甲类登记的检查", "登记事项检查"),
        ("乙类登记的检查", "登记事项检查"),
        ("年度报告检查", None),
        ("标志使用检查", None),
    ]
    assert {(row.code, row.type_code, row.extra["依申请"], row.extra["抽查频次"]) for row in rows} == {
        (None, "06", "否", "每年一次")
    }
    assert rows[0].fields["service_object"] == "各类企业" and rows[0].basis_text == "《示例登记条例》第三条"
    assert "不是依申请办理的事项" in read.notes[0].message


def test_bases_that_are_no_proper_json_are_kept_as_text(tmp_path: Path) -> None:
    row = value(read := load(tmp_path, 'name,type,department,bases\n甲,01,D,"[附件] 档案法第三条"\n'), 0)
    assert row.basis_text == "[附件] 档案法第三条" and row.bases == ()
    assert read.rows[0].problems


def test_our_own_json_with_lists_is_read(tmp_path: Path) -> None:
    entry: dict[str, object] = {"name": "甲", "type": "01", "department": "D", "organs": ["甲局", "乙局"]}
    entry["bases"] = [{"law": "档案法", "article": 3}]
    row = value(load(tmp_path, json.dumps([entry], ensure_ascii=False), "x.json"), 0)
    assert row.fields["organs"] == ("甲局", "乙局")
    assert row.bases[0].article == 3


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("310100001000", "item"),
        ("", "item"),
        ("11310000MB2F30661Y2312003564000", "implementation"),
        ("11310000MB2F30661Y231200356400001", "handling"),
        ("11310000MB2F30661", "item"),
    ],
)
def test_the_kind_of_a_row_follows_its_code(tmp_path: Path, code: str, kind: str) -> None:
    row = value(load(tmp_path, f"name,type,code,department,依据\n甲,01,{code},D,x\n"), 0)
    assert row.kind == kind
    assert row.parent_code == ("312003564000" if kind in ("implementation", "handling") else None)


@pytest.mark.parametrize(
    "code",
    [
        "11310000MB2F30661",
        "11310000MB2F306610231200356400001",
        "310000999000YB0000531200037700001",
        "000000000000",
        "abc",
    ],
)
def test_an_odd_code_is_a_warning_and_never_a_refusal(tmp_path: Path, code: str) -> None:
    read = load(tmp_path, f"name,type,code,department,依据\n甲,01,{code},D,x\n")
    assert read.rows[0].value is not None
    assert {problem.level for problem in read.rows[0].problems} == {"warning"}


def test_two_rows_of_a_file_never_share_an_identity(tmp_path: Path) -> None:
    # Shanghai's kiosk list has two names with one code (shanghai_item_codes.csv).
    head = "list,item_name,item_code,sub_item_code\n"
    a, b = "市,退出灵活就业登记,312000202000,\n", "市,灵活就业登记,312000202000,\n"
    rows = [row.value for row in load(tmp_path, head + a + b + b).rows]
    identities = [identity(row) for row in rows if row]
    assert len(set(identities)) == 3
    assert identities == [identity(row.value) for row in load(tmp_path, head + a + b + b).rows if row.value]


def test_a_row_without_a_code_is_found_again_by_department_and_name(tmp_path: Path) -> None:
    head = "name,type,code,department,依据\n"
    one = value(load(tmp_path, head + "甲,01,,D1,x\n"), 0)
    other = value(load(tmp_path, head + "乙,01,,D1,x\n甲,01,,D1,y\n"), 1)
    assert identity(one) == identity(other)
    assert identity(one) != identity(value(load(tmp_path, head + "甲,01,,D2,x\n"), 0))


def test_an_over_long_name_is_kept_and_said(tmp_path: Path) -> None:
    read = load(tmp_path, f"name,type,code,department,依据\n{'长' * 201},01,,D,x\n")
    assert len(value(read, 0).name) == 201
    assert "201 字" in read.rows[0].problems[0].message


def test_an_open_quotation_mark_is_a_malformed_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        load(tmp_path, 'name,type,code,department\n"甲,01,,D\n乙,01,,D\n')
    assert "引号" in refusal.value.message


def test_an_entry_that_is_no_object_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    text = '[{"职权编码":"310100001000","事项名称":"甲","事项类型":"01","依据":"x","授权部门":"1"}, 5]'
    read = load(tmp_path, text, "x.json")
    assert [row.value is None for row in read.rows] == [False, True]


def test_the_report_adds_up(tmp_path: Path) -> None:
    text = "name,type,code,department,依据\n甲,01,310100001000,D,x\n乙,01,abc,D,x\n,01,,D,x\n"
    read = load(tmp_path, text)
    report = Report(file="items.csv", kind=read.kind)
    report.note(read.notes)
    for row in read.rows:
        report.count(row.problems, "added" if row.value else None)
    answer = report.as_json()
    assert list(answer) == [
        "file", "kind", "rows", "taken", "warned", "refused", "added", "changed", "unchanged", "problems",
    ]  # fmt: skip
    assert (answer["rows"], answer["taken"], answer["warned"], answer["refused"], answer["added"]) == (3, 1, 1, 1, 2)
    assert all(set(problem) == {"row", "field", "level", "message"} for problem in answer["problems"])


def test_a_row_gives_the_same_content_every_time(tmp_path: Path) -> None:
    row = value(load(tmp_path, "name,type,code,department,依据,fee\n甲,01,310100001000,D,x,不收费\n"), 0)
    content = content_of(row, "D", [BasisContent(law="档案法")])
    assert isinstance(content, ItemContent) and content.fee == "不收费" and content.bases[0].law == "档案法"
    assert content_hash(content) == content_hash(content_of(row, "D", [BasisContent(law="档案法")]))
