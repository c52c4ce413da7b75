"""Items from our own CSV and from the catalogues of other places.

Each source has its own columns and type codes; every reader gives the same `ItemRow`. Faults of real data (wrong check
characters, local codes, placeholders, unknown types) are warnings; only a row without a name is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from models.domain.codes import code_problems, is_blank_placeholder, parse_code
from models.domain.content import FIELDS, NAME_LIMIT, BasisContent, ItemContent, apply_set
from models.domain.errors import BadInput
from models.intake.files import Source, Table, examine, json_table, parse_csv, unreadable
from models.intake.office import unknown_columns
from models.intake.rows import Problem, ReadFile, ReadRow, refused, warned
from models.reference.item_types import translate_type

TargetKind = Literal["item", "implementation", "handling"]
Cells = dict[str, str]
OTHER_TYPE = "10"
INSPECTION_TYPE = "06"
_LABELS = {field.name: field.label_zh for field in FIELDS}
_LEVELS = {"国家级": "1", "省级": "2", "市级": "3", "县级": "4", "区级": "4", "镇级": "5", "街道级": "5", "村级": "6"}
_DAYS = re.compile(r"(\d+)\s*[(（]?\s*(工作日|自然日|天|日)?\s*[)）]?")
_BASIS_COLUMNS = ("basis_text", "依据", "设定和实施依据", "实施依据")


class ItemRow(BaseModel):
    """One row of a catalogue, whatever its source.

    `code` is as written, None where there is none or only zeros; `fields` are values for ItemContent beside name, type,
    code, department, bases and extra; `basis_text` is the raw 依据, `accept_text` other text that cites laws;
    `parent_code` and `parent_name` are what the source or the code says of the item above. `mark` tells apart rows of
    one file that share a code or a name. `main_name` is the item above where the source names it and has no codes.
    """

    model_config = ConfigDict(frozen=True)
    source: str
    row: int
    kind: TargetKind
    code: str | None
    name: str
    type_code: str
    department_text: str = ""
    level: str | None = None
    fields: dict[str, Any] = {}
    bases: tuple[BasisContent, ...] = ()
    basis_text: str = ""
    accept_text: str = ""
    parent_code: str | None = None
    parent_name: str | None = None
    extra: dict[str, str] = {}
    mark: str = ""
    main_name: str | None = None


def identity(row: ItemRow) -> str:
    """What a second load finds the row again by: source shape and code, else department, name and position."""
    if row.code is not None:
        key = f"{row.source}:{row.code}"
    else:
        key = f"{row.source}::{row.department_text}:{row.name}"
    return f"{key}#{row.mark}" if row.mark else key


def content_of(row: ItemRow, department: str = "", bases: Iterable[BasisContent] | None = None) -> ItemContent:
    """The content of a row; `department` is the id found for `department_text`, `bases` those parsed from the text."""
    return ItemContent(
        name=row.name,
        type=row.type_code,
        code=row.code,
        department=department,
        bases=row.bases if bases is None else tuple(bases),
        level=row.level,
        extra=row.extra,
        **row.fields,
    )


def read_items(path: Path, source: Source | None = None) -> ReadFile[ItemRow]:
    """All items of a file, in order. Raises BadInput file_unreadable for a file that holds no items."""
    found = source or examine(path)
    if found.kind != "items":
        raise unreadable(path, f"内容是 {found.kind}，不是 items")
    is_json = found.text.lstrip()[:1] in "[{"
    table = json_table(path, found.text) if is_json else parse_csv(path, found.text)
    reader = _READERS[found.shape]
    odd = dict(table.odd)
    seen = _Seen(found.shape)
    rows = [_read(reader, number, record, odd, seen) for number, record in table.records]
    rows += [ReadRow(number, None, (refused(number, "整行", reason),)) for number, reason in table.bad]
    rows.sort(key=lambda read: read.row)
    notes = _own_notes(table) if found.shape == "own" else _inspection_notes() if found.shape == "zhejiang" else ()
    return ReadFile("items", found.shape, tuple(rows), notes)


class _Draft:
    """A row while it is read: cells are taken by name, what is left over becomes `extra`."""

    def __init__(self, source: str, number: int, cells: Cells) -> None:
        self.source = source
        self.number = number
        self.cells = dict(cells)
        self.written = cells
        self.problems: list[Problem] = []

    def take(self, *names: str) -> str:
        """The first filled cell of these names; all of them count as used."""
        values = [self.cells.pop(name, "") for name in names]
        return next((value for value in values if value), "")

    def warn(self, name: str, reason: str) -> None:
        self.problems.append(warned(self.number, _LABELS.get(name, name), reason))

    def rest(self) -> dict[str, str]:
        return {name: value for name, value in self.cells.items() if name and value}

    def type_of(self, code: str) -> str:
        """The national type; what the source's table does not know is 10 (其他类别) with a warning."""
        national = translate_type(self.source, code)
        if national is None:
            self.warn("type", f"类型“{code}”不在对照表中，暂按“其他类别”" if code else "未填写，暂按“其他类别”")
        return national or OTHER_TYPE

    def build(
        self, *, name: str, code: str, type_code: str, department: str, fields: dict[str, Any], **more: Any
    ) -> ItemRow:
        kept = _checked_code(self, code)
        parsed = parse_code(kept) if kept else None
        kinds: dict[str, TargetKind] = {"implementation": "implementation", "handling": "handling"}
        if len(name) > NAME_LIMIT:
            self.warn("name", f"有 {len(name)} 字，超过 {NAME_LIMIT} 字")
        if not department:
            self.warn("department", "未填写")
        parent = more.pop("parent_code", None)
        if parsed is not None and parsed.kind in kinds and not parent:
            parent = parsed.basic
        level = more.pop("level", None) or (parsed.level if parsed is not None else None)
        return ItemRow(
            source=self.source,
            row=self.number,
            kind=kinds.get(parsed.kind, "item") if parsed is not None else "item",
            code=kept,
            name=name,
            type_code=type_code,
            department_text=department,
            level=level,
            parent_code=parent if parent and parent != kept else None,
            fields={key: value for key, value in fields.items() if value not in (None, "", ())},
            extra={**self.rest(), **more.pop("extra", {})},
            **more,
        )


class _Seen:
    """Codes and names met so far in one file: two rows never share an identity."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self.identities: dict[str, ItemRow] = {}

    def settle(self, row: ItemRow, problems: list[Problem]) -> ItemRow:
        """The row with a mark where an earlier row has its identity: by name first, so that order matters least."""
        first = self.identities.get(identity(row))
        if first is not None:
            what = f"编码“{row.code}”" if row.code is not None else f"名称“{row.name}”"
            label = _LABELS["code" if row.code is not None else "name"]
            problems.append(warned(row.row, label, f"{what}与第 {first.row} 行重复，按另一事项"))
            if row.code is not None and row.name != first.name:
                row = row.model_copy(update={"mark": row.name})
            base, position = row.mark, 2
            while identity(row) in self.identities:
                row = row.model_copy(update={"mark": f"{base}~{position}"})
                position += 1
        self.identities[identity(row)] = row
        return row


Reader = Callable[[_Draft, str], ItemRow]


def _read(
    reader: tuple[str, tuple[str, ...], Reader], number: int, record: Cells, odd: dict[int, str], seen: _Seen
) -> ReadRow[ItemRow]:
    type_source, name_columns, build = reader
    draft = _Draft(type_source, number, record)
    name = re.sub(r"\s*\n\s*", "", draft.take(*name_columns))
    if not name:
        return ReadRow(number, None, (refused(number, _LABELS["name"], "未填写"),))
    if number in odd:
        draft.warn("整行", odd[number])
    row = build(draft, name).model_copy(update={"source": seen.shape})
    row = seen.settle(row, draft.problems)
    return ReadRow(number, row, tuple(draft.problems))


def _checked_code(draft: _Draft, code: str) -> str | None:
    for reason in code_problems(code):
        draft.warn("code", reason)
    if not code or is_blank_placeholder(code):
        return None
    if parse_code(code).kind == "handling":
        draft.warn("code", "编码为 33 位，按业务办理项")
    return code


def _guangdong(draft: _Draft, name: str) -> ItemRow:
    code, catalogue = draft.take("TASK_CODE"), draft.take("CATAID")
    parsed = parse_code(code)
    if catalogue and parsed.basic and parsed.basic != catalogue.upper():
        draft.warn("code", f"编码中的基本编码“{parsed.basic}”与 CATAID“{catalogue}”不同")
    department = draft.take("DEPT_NAME")
    statutory, promised = _days_of(draft.take("handle_time")), _days_of(draft.take("handle_time_limit"))
    accept = draft.take("accept_standard")
    draft.take("TASK_TYPE_TEXT")
    level = draft.take("matter_level")
    return draft.build(
        name=name,
        code=code,
        type_code=draft.type_of(draft.take("TASK_TYPE")),
        department=department,
        level=_LEVELS.get(level, level),
        parent_code=catalogue or None,
        parent_name=draft.take("subCatalogName") or None,
        accept_text=accept,
        fields={
            "organs": (department,) if department else (),
            "conditions": accept,
            "service_object": draft.take("service_object_name").replace("｜", "、"),
            "materials": _materials(draft.take("material_intro")),
            "statutory_days": statutory[0],
            "statutory_unit": statutory[1],
            "promised_days": promised[0],
            "promised_unit": promised[1],
        },
    )


def _sichuan(draft: _Draft, name: str) -> ItemRow:
    department, area = draft.take("department"), draft.cells.get("areaCode", "")
    code, main = draft.take("itemCode"), draft.take("main_item")
    return draft.build(
        name=name,
        code=code,
        type_code=draft.type_of(draft.take("taskType")),
        department=department,
        level=_level_of_area(area),
        parent_name=main if main and main != "未分类" else None,
        fields={"organs": (department,) if department else ()},
    )


def _liaoning(draft: _Draft, name: str) -> ItemRow:
    return draft.build(
        name=name,
        code=draft.take("职权编码"),
        type_code=draft.type_of(draft.take("事项类型")),
        department=draft.take("授权部门"),
        level=draft.take("实施层级") or None,
        basis_text=_basis_text(draft, "依据"),
        fields={},
    )


def _shanghai(draft: _Draft, name: str) -> ItemRow:
    main, sub = draft.take("item_code"), draft.take("sub_item_code")
    return draft.build(
        name=name,
        code=sub or main,
        type_code=draft.type_of(parse_code(sub or main).type_segment or ""),
        department=draft.take("department"),
        parent_code=main if sub else None,
        fields={},
    )


def _jiading(draft: _Draft, name: str) -> ItemRow:
    code, organ = draft.take("itemTenNo"), draft.take("clDealOrgan")
    return draft.build(
        name=name,
        code=code,
        type_code=draft.type_of(parse_code(code).type_segment or ""),
        department=draft.take("organName"),
        basis_text=_basis_text(draft, "clDealAccording"),
        fields={
            "organs": (organ,) if organ else (),
            "scope": draft.take("clRange"),
            "quantity": draft.take("clApprovalCount"),
        },
    )


def _guangxi(draft: _Draft, name: str) -> ItemRow:
    department = draft.take("dept_name")
    provisions = _objects(draft.take("AUDIT_ITEM_BYLAW"))
    draft.cells["basis"] = "\n".join(_provision(entry) for entry in provisions)
    materials = tuple(str(entry.get("material_name", "")) for entry in _objects(draft.take("AUDIT_MATERIAL")))
    statutory, promised = _days_of(draft.take("anticipate_day")), _days_of(draft.take("promise_day"))
    return draft.build(
        name=name,
        code=draft.take("task_code"),
        type_code=draft.type_of(draft.take("task_type")),
        department=department,
        level=draft.take("use_level") or None,
        parent_code=draft.take("catalog_code") or None,
        basis_text=_basis_text(draft, "basis"),
        fields={
            "organs": (department,) if department else (),
            "materials": tuple(text for text in materials if text),
            "fee": {"0": "不收费", "1": "收费"}.get(draft.take("is_fee"), ""),
            "statutory_days": statutory[0],
            "statutory_unit": statutory[1],
            "promised_days": promised[0],
            "promised_unit": promised[1],
        },
    )


def _zhejiang(draft: _Draft, name: str) -> ItemRow:
    """抽查事项清单: no codes; rows of one name are its sub-items. An inspection (行政检查) is nothing people apply for."""
    name, main = _closed_up(name), _closed_up(draft.written.get("抽查事项名称", ""))
    department = draft.take("抽查主体")
    return draft.build(
        name=name,
        code="",
        type_code=INSPECTION_TYPE,
        department=_closed_up(department),
        basis_text=_basis_text(draft, "抽查依据"),
        main_name=main if main and main != name else None,
        extra={"依申请": "否"},
        fields={"service_object": draft.take("抽查对象")},
    )


def _closed_up(text: str) -> str:
    """Without the blanks that a table's line breaks left between Chinese characters."""
    return re.sub(r"(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])", "", text)


def _inspection_notes() -> tuple[Problem, ...]:
    message = "抽查事项属于行政检查，不是依申请办理的事项：已按“行政检查”载入，不列入依申请的清单。"
    return (Problem(row=1, field="抽查事项名称", level="warning", message=message),)


def _own(draft: _Draft, name: str) -> ItemRow:
    bases, basis_text = _own_bases(draft)
    code = draft.take("code", _LABELS["code"], "编码")
    kind_of_code = parse_code(code).kind if code else None
    department = draft.take("department", _LABELS["department"])
    fields = {
        field.name: value
        for field in FIELDS
        if field.name not in ("name", "type", "code", "department", "bases", "level", "extra")
        and (value := _own_field(draft, field.name)) is not None
    }
    extra = _own_field(draft, "extra") or {}
    row = draft.build(
        name=name,
        code=code,
        type_code=draft.type_of(draft.take("type", _LABELS["type"])),
        department=department,
        level=draft.take("level", _LABELS["level"]) or None,
        bases=bases,
        basis_text=basis_text,
        fields=fields,
        extra=extra,
    )
    if not bases and not basis_text and kind_of_code != "handling":
        draft.warn("bases", "没有设定依据")
    return row


def _own_bases(draft: _Draft) -> tuple[tuple[BasisContent, ...], str]:
    """Bases given as JSON are taken as they are; anything else is text to be parsed later."""
    value = draft.take("bases", _LABELS["bases"])
    text = draft.take(*_BASIS_COLUMNS)
    if not value.startswith("["):
        return (), "\n".join(part for part in (value, text) if part)
    try:
        probe = apply_set(ItemContent(name="-", type=OTHER_TYPE), {"bases": value})
    except BadInput as error:
        draft.warn("bases", f"{error.message.rstrip('。')}，依据按原文保留")
        return (), "\n".join(part for part in (value, text) if part)
    return probe.bases, text


def _own_field(draft: _Draft, name: str) -> Any:
    """One field of our own file, checked as a person's entry is; a bad value stays under its column, with a warning."""
    value = draft.take(name, _LABELS[name])
    if not value:
        return None
    try:
        return getattr(apply_set(ItemContent(name="-", type=OTHER_TYPE), {name: value}), name)
    except BadInput as error:
        draft.warn(name, f"{error.message.rstrip('。')}，内容按原文保留")
        draft.cells[name] = value
        return None


def _own_notes(table: Table) -> tuple[Problem, ...]:
    known = tuple(_LABELS) + tuple(_LABELS.values()) + _BASIS_COLUMNS + ("编码",)
    return unknown_columns(table, known)


def _basis_text(draft: _Draft, name: str) -> str:
    text = draft.take(name)
    if not text:
        draft.warn("bases", "没有设定依据")
    return text


def _materials(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("｜") if part.strip() and part.strip() != "无")


def _days_of(text: str) -> tuple[int | None, str | None]:
    """Days and unit of "20(工作日)"; working days where no unit is named; None for "无"."""
    match = _DAYS.fullmatch(text.strip())
    if match is None:
        return None, None
    return int(match[1]), "自然日" if match[2] in ("自然日", "天", "日") else "工作日"


def _level_of_area(area: str) -> str | None:
    """GB/T 2260: xx0000 is a province (2), xxxx00 a city (3), other divisions are counties and districts (4)."""
    if len(area) < 6 or not area.isdigit():
        return None
    return "2" if area[2:6] == "0000" else "3" if area[4:6] == "00" else "4"


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(text) if text else []
    except ValueError:
        return []
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _provision(entry: dict[str, Any]) -> str:
    head = "".join(str(entry.get(key) or "") for key in ("law_name", "law_number", "clause_number"))
    quoted = str(entry.get("clause_content_head") or "")
    return f"{head}：{quoted}" if quoted else head


# shape: (table of types, columns of the name, reader)
_READERS: dict[str, tuple[str, tuple[str, ...], Reader]] = {
    "own": ("own", ("name", "事项名称"), _own),
    "guangdong": ("guangdong", ("TASK_NAME",), _guangdong),
    "sichuan": ("sichuan", ("item_name",), _sichuan),
    "liaoning": ("liaoning", ("事项名称",), _liaoning),
    "shanghai": ("shanghai", ("item_name",), _shanghai),
    "jiading": ("shanghai", ("itemName",), _jiading),
    "guangxi": ("guangxi", ("task_name",), _guangxi),
    "zhejiang": ("own", ("抽查子项", "抽查事项名称"), _zhejiang),
}
