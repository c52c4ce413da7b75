"""The content of one version of an item, what its fields are called, and how values are set.

The six elements are name, code, type, department, organs and bases; the guide elements below them follow the order of
the service guide (DB31/T 545). Content is JSON-able and immutable; `content_hash` is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from models.domain.errors import BadInput

# GB/T 39046-2020 A.1; 行政备案 has no national code and is kept under 10.
ITEM_TYPES: dict[str, str] = {
    "01": "行政许可",
    "02": "行政处罚",
    "03": "行政强制",
    "04": "行政征收",
    "05": "行政给付",
    "06": "行政检查",
    "07": "行政确认",
    "08": "行政奖励",
    "09": "行政裁决",
    "10": "其他类别",
    "20": "公共服务",
}
UNITS = ("工作日", "自然日")
NAME_LIMIT = 200
TEXT_LIMIT = 20000
DAYS_LIMIT = 3650

FieldKind = Literal["text", "longtext", "choice", "number", "list", "bases", "department", "map"]


class BasisContent(BaseModel):
    """One cited provision: law title without brackets; article and below are numbers or None (the whole law)."""

    model_config = ConfigDict(frozen=True)
    law: str
    edition: date | None = None
    article: int | None = None
    sub: int | None = None
    paragraph: int | None = None
    item: int | None = None
    subitem: int | None = None
    annex: str | None = None
    quoted: str | None = None


class ItemContent(BaseModel):
    """All fields of one item version. `department` is a department id, empty where it is not known yet."""

    model_config = ConfigDict(frozen=True)
    name: str
    type: str
    code: str | None = None
    department: str = ""
    organs: tuple[str, ...] = ()
    bases: tuple[BasisContent, ...] = ()
    level: str | None = None
    scope: str | None = None
    service_object: str | None = None
    conditions: str | None = None
    quantity: str | None = None
    materials: tuple[str, ...] = ()
    process: str | None = None
    statutory_days: int | None = None
    statutory_unit: str | None = None
    promised_days: int | None = None
    promised_unit: str | None = None
    result: str | None = None
    fee: str | None = None
    rights: str | None = None
    reception: str | None = None
    consultation: str | None = None
    complaint: str | None = None
    handling_form: str | None = None
    disclosure: str | None = None
    extra: dict[str, str] = {}


class FieldInfo(BaseModel):
    """One field as pages, files and the interface name it; `outcomes` are those that may set it."""

    model_config = ConfigDict(frozen=True)
    name: str
    label_zh: str
    label_en: str
    help: str
    example: str
    max_length: int | None
    kind: FieldKind
    outcomes: tuple[str, ...]
    choices: tuple[str, ...] = ()


_WHOLE = ("add", "split", "merge")
_GUIDE = ("change_guide", *_WHOLE)


def _guide(
    name: str, zh: str, en: str, text: str, example: str, kind: FieldKind = "longtext", choices: tuple[str, ...] = ()
) -> FieldInfo:
    limit = TEXT_LIMIT if kind in ("longtext", "list", "map") else NAME_LIMIT if kind == "text" else None
    return FieldInfo(
        name=name, label_zh=zh, label_en=en, help=text, example=example, max_length=limit, kind=kind, outcomes=_GUIDE,
        choices=choices,
    )  # fmt: skip


def _six(
    name: str, zh: str, en: str, text: str, example: str, limit: int | None, kind: FieldKind, *outcomes: str,
    choices: tuple[str, ...] = (),
) -> FieldInfo:  # fmt: skip
    return FieldInfo(
        name=name, label_zh=zh, label_en=en, help=text, example=example, max_length=limit, kind=kind,
        outcomes=(*outcomes, *_WHOLE), choices=choices,
    )  # fmt: skip


FIELDS: tuple[FieldInfo, ...] = (
    _six("name", "事项名称", "Item name",
         "用设定依据中的规范表述；不带机关名称、层级和“办理”等字样。市、区、街镇、村居应当一致，最多 200 字。"
         "写“食品经营许可”，不写“浦东新区食品经营许可证办理”。",
         "固定资产投资项目节能审查", NAME_LIMIT, "text", "rename"),
    _six("type", "事项类型", "Item type",
         "按依据条文认定，不按习惯叫法。类型一变，编码随之重新编制。", "01", None, "choice", "retype", choices=tuple(ITEM_TYPES)),
    _six("code", "事项编码", "Item code",
         "由系统赋码，不用填写。基本编码 12 位，实施编码 31 位，业务办理项编码 33 位；已用过的编码不再给其他事项。",
         "310105001000", 100, "text",
         "recode", "retype", "change_organ", "change_department", "delegate", "take_over"),
    _six("department", "主管部门", "Competent department",
         "从机构名录中选一个，用全称或者规范化简称，前后一致。写“市市场监管局”，不写“市场局”“市监局”。", "D001", NAME_LIMIT,
         "department", "change_department"),
    _six("organs", "实施机关", "Implementing organs",
         "列明审批层级和具体机关，可以多个，每行一个；受委托实施的注明委托机关。", "示例市民政局", NAME_LIMIT, "list", "change_organ",
         "delegate", "take_over"),
    _six("bases", "设定依据", "Legal bases",
         "从高到低依次列：法律、行政法规、地方性法规、部门规章、省级政府规章；写到条、款、项，并摘录原文，不改一字。"
         "现行有效的才能作依据。", "《中华人民共和国档案法》第三十条",
         TEXT_LIMIT, "bases", "change_basis"),
    _six("level", "行使层级", "Level",
         "1 国家级 2 省级 3 市级 4 县级 5 镇街级 6 村居级 7 分级管理，可有多个", "2,3", 20, "text",
         "delegate", "take_over", "change_organ", "change_guide"),
    _guide("scope", "适用范围", "Scope", "指南适用的情形和范围", "本指南适用于第一类医疗器械备案的申请与办理。"),
    _guide("service_object", "服务对象", "Who may apply", "可以申请的主体", "自然人、企业法人", "text"),
    _guide("conditions", "审批条件", "Conditions", "受理和准予的条件", "依法登记的企业法人"),
    _guide("quantity", "审批数量", "Quantity", "有无数量限制", "无数量限制", "text"),
    _guide("materials", "申请材料", "Documents to submit", "每行一种材料", "居民身份证", "list"),
    _guide("process", "办理流程", "Process", "各环节及负责人", "受理、审查、决定、送达"),
    _guide("statutory_days", "法定办结时限", "Statutory time limit", "整数", "20", "number"),
    _guide("statutory_unit", "法定办结时限单位", "Unit of the statutory limit", "工作日或自然日", "工作日", "choice", UNITS),
    _guide("promised_days", "承诺办结时限", "Promised time limit", "整数，不长于法定时限", "5", "number"),
    _guide("promised_unit", "承诺办结时限单位", "Unit of the promised limit", "工作日或自然日", "工作日", "choice", UNITS),
    _guide("result", "审批结果", "Result", "结果名称和类型", "营业执照", "text"),
    _guide("fee", "收费标准", "Fees", "收费项目、标准和依据", "不收费"),
    _guide("rights", "申请人权利和义务", "Rights and duties of applicants", "申请人的权利和义务", "依法申请行政复议或者提起行政诉讼"),
    _guide("reception", "申请接收", "Where to apply", "接收地点、时间和方式",
           "示例市政务服务中心 2 楼综合窗口，工作日 9:00 至 17:00"),
    _guide("consultation", "咨询途径", "Enquiries", "电话带区号", "021-00000000"),
    _guide("complaint", "投诉渠道", "Complaints", "电话带区号，与咨询电话不同", "021-00000001"),
    _guide("handling_form", "办理方式", "Ways of handling", "窗口、网办、快递等", "窗口办理、网上办理", "text"),
    _guide("disclosure", "决定公开", "Publication of decisions", "决定在何处公开", "示例市人民政府网站"),
    _guide("extra", "其他内容", "Other content", "来源文件中没有对应字段的内容", "{\"来源\": \"示例\"}", "map"),
)  # fmt: skip
FIELD_BY_NAME: dict[str, FieldInfo] = {field.name: field for field in FIELDS}
REQUIRED = ("name", "type", "department")


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_hash(content: ItemContent) -> str:
    """sha256 (64 hex digits) of the content's JSON with sorted keys, without blanks, in UTF-8."""
    return dumped_hash(content.model_dump(mode="json"))


def dumped_hash(dumped: Mapping[str, Any]) -> str:
    """`content_hash` of a content that is JSON already."""
    return hashlib.sha256(_CANONICAL.encode(dumped).encode("utf-8")).hexdigest()


def changed_fields(a: ItemContent, b: ItemContent) -> list[str]:
    """Names of the fields that differ, in the order of FIELDS."""
    return [field.name for field in FIELDS if getattr(a, field.name) != getattr(b, field.name)]


def fields_for(outcome: str) -> tuple[str, ...]:
    """Names of the fields an outcome may set."""
    return tuple(field.name for field in FIELDS if outcome in field.outcomes)


def apply_set(content: ItemContent | None, values: Mapping[str, Any]) -> ItemContent:
    """The content with `values` set; None for `content` begins an item of its own.

    Raises BadInput field_invalid, field_too_long or field_missing with `field` in the details; nothing is half set.
    Empty text and null clear a field that may be empty.
    """
    base: dict[str, Any] = content.model_dump() if content is not None else {}
    for name, value in values.items():
        if name not in FIELD_BY_NAME:
            raise BadInput("field_invalid", f"没有名为“{name}”的字段。", field=name)
        base[name] = _clean(FIELD_BY_NAME[name], value)
    if content is None:
        for name in REQUIRED:
            if not base.get(name):
                raise _missing(FIELD_BY_NAME[name])
    return ItemContent(**base)


def parse_basis(value: Mapping[str, Any]) -> BasisContent:
    """One basis from its JSON object; numbers may be text. Raises BadInput field_invalid or field_missing."""
    info = FIELD_BY_NAME["bases"]
    unknown = set(value) - set(BasisContent.model_fields)
    if unknown:
        raise _invalid(info, f"只含 {'、'.join(BasisContent.model_fields)} 的对象")
    law = str(value.get("law") or "").strip()
    if law.startswith("《") and law.endswith("》"):
        law = law[1:-1]
    if not law:
        raise BadInput("field_missing", "“设定依据”的法律名称未填写。", field="bases")
    if len(law) > NAME_LIMIT:
        raise _too_long(info, NAME_LIMIT, len(law))
    parts = ("article", "sub", "paragraph", "item", "subitem")
    numbers = {key: _number(info, value.get(key), 1, 9999) for key in parts}
    return BasisContent(
        law=law,
        edition=_day(info, value.get("edition")),
        annex=_text(info, value.get("annex")),
        quoted=_text(info, value.get("quoted")),
        **numbers,
    )


def _clean(info: FieldInfo, value: Any) -> Any:
    cleaned = _CLEANERS[info.kind](info, value)
    if cleaned is None and info.name in REQUIRED:
        raise _missing(info)
    return cleaned


def _missing(info: FieldInfo) -> BadInput:
    return BadInput("field_missing", f"“{info.label_zh}”未填写。", field=info.name)


def _invalid(info: FieldInfo, expected: str) -> BadInput:
    return BadInput("field_invalid", f"“{info.label_zh}”应为{expected}，例如 {info.example}。", field=info.name)


def _too_long(info: FieldInfo, limit: int, length: int) -> BadInput:
    message = f"“{info.label_zh}”最多 {limit} 字，现为 {length} 字。"
    return BadInput("field_too_long", message, field=info.name, max=limit, n=length)


def _text(info: FieldInfo, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _invalid(info, "文字")
    text = value.replace("\r\n", "\n").strip()
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise _invalid(info, "不含控制字符的文字")
    limit = info.max_length or TEXT_LIMIT
    if len(text) > limit:
        raise _too_long(info, limit, len(text))
    return text or None


def _one_line(info: FieldInfo, value: Any) -> str | None:
    text = _text(info, value)
    return re.sub(r"\s*\n\s*", " ", text) if text else text


def _choice(info: FieldInfo, value: Any) -> str | None:
    text = _text(info, value)
    if text is None:
        return None
    if info.name == "type":
        text = {label: code for code, label in ITEM_TYPES.items()}.get(text, text)
    if text not in info.choices:
        labels = [f"{code} {ITEM_TYPES[code]}" if code in ITEM_TYPES else code for code in info.choices]
        raise _invalid(info, f"“{'、'.join(labels)}”之一")
    return text


def _number(info: FieldInfo, value: Any, least: int, most: int) -> int | None:
    if value is None or value == "":
        return None
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    # isdecimal also takes full-width digits, which int() reads.
    if not text.isdecimal() or not least <= int(text) <= most:
        raise _invalid(info, f" {least} 至 {most} 的整数")
    return int(text)


def _days(info: FieldInfo, value: Any) -> int | None:
    return _number(info, value, 0, DAYS_LIMIT)


def _day(info: FieldInfo, value: Any) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        message = f"“{info.label_zh}”的版本应为日期，例如 2024-02-27。"
        raise BadInput("field_invalid", message, field=info.name) from None


def _list(info: FieldInfo, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = _list_parts(value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise _invalid(info, "每行一项的列表")
    texts = (_one_line(info, part) for part in parts)
    return tuple(text for text in texts if text)


def _list_parts(text: str) -> list[Any]:
    if text.startswith("["):
        try:
            return list(json.loads(text))
        except ValueError:
            pass  # a text that only begins with a bracket
    return re.split(r"[\n;；｜|]", text)


def _bases(info: FieldInfo, value: Any) -> tuple[BasisContent, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise _invalid(info, "依据的列表") from None
    if not isinstance(value, (list, tuple)):
        raise _invalid(info, "依据的列表")
    bases = []
    for entry in value:
        if isinstance(entry, BasisContent):
            bases.append(entry)
        elif isinstance(entry, Mapping):
            bases.append(parse_basis(entry))
        else:
            raise _invalid(info, "依据的列表")
    return tuple(bases)


def _map(info: FieldInfo, value: Any) -> dict[str, str]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise _invalid(info, "名称和内容成对的对象") from None
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise _invalid(info, "名称和内容成对的对象")
    return {name: _text(info, text) or "" for name, text in value.items()}


_CLEANERS: dict[FieldKind, Callable[[FieldInfo, Any], Any]] = {
    "text": _one_line,
    "longtext": _text,
    "choice": _choice,
    "number": _days,
    "list": _list,
    "bases": _bases,
    "department": _one_line,
    "map": _map,
}
